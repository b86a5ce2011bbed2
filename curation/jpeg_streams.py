"""Whether a JPEG stream is whole, by its markers alone (ITU-T T.81, annex B): the decoder that follows ends the process on some that are not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from curation.errors import ImageError

FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3})
"""Start of frame: baseline, extended, progressive, lossless; all Huffman."""
TABLES, QUANTIZATION, SCAN, END, START = 0xC4, 0xDB, 0xDA, 0xD9, 0xD8
NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
"""What ends the coded data of a scan: a marker that is neither a stuffed byte nor a restart."""


def check_jpeg(stream: bytes) -> None:
    """Refuse a JPEG stream whose segments do not hang together.

    Raises:
        ImageError: TRUNCATED, the end is missing; CORRUPT, anything else.
    """
    seen: set[int] = set()
    known: set[int] = set()
    components: set[int] = set()
    for marker, segment in _segments(stream):
        if marker in FRAMES and marker not in seen and not components:
            components = _components(segment)
        elif marker == TABLES:
            known |= _huffman_tables(segment)
        elif marker == QUANTIZATION:
            _check_quantization(segment)
        elif marker == SCAN:
            _check_scan(segment, components, known, is_lossless=0xC3 in seen, is_progressive=0xC2 in seen)
        elif 0xC0 <= marker <= 0xCF:
            raise _corrupt()
        seen.add(marker)
    if SCAN not in seen:
        raise _corrupt()


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers between start and end, with their segments."""
    if stream[:2] != b"\xff\xd8":
        raise _corrupt()
    place = 2
    while True:
        head = stream[place : place + 4]
        if len(head) < 2:
            raise ImageError("TRUNCATED", "a compressed frame has no end")
        if head[0] != 0xFF or head[1] == START:
            raise _corrupt()
        if head[1] == 0xFF:
            place += 1
            continue
        if head[1] == END:
            return
        length = int.from_bytes(head[2:4], "big")
        segment = stream[place + 4 : place + 2 + length]
        if length < 2 or len(segment) != length - 2:
            raise ImageError("TRUNCATED", "a compressed frame ends within a segment")
        yield head[1], segment
        place += 2 + length
        if head[1] == SCAN:
            found = NEXT_MARKER.search(stream, place)
            if found is None:
                raise ImageError("TRUNCATED", "a compressed frame has no end")
            place = found.start()


def _components(segment: bytes) -> set[int]:
    """Return the ids of the components of a frame header."""
    count = segment[5] if len(segment) > 5 else 0
    if count not in (1, 3) or len(segment) != 6 + 3 * count or not any(segment[1:3]) or not any(segment[3:5]):
        raise _corrupt()
    for factors, table in zip(segment[7::3], segment[8::3], strict=True):
        if not (1 <= factors >> 4 <= 4 and 1 <= factors & 15 <= 4 and table <= 3):
            raise _corrupt()
    return set(segment[6::3])


def _huffman_tables(segment: bytes) -> set[int]:
    """Return the names of the tables that a segment defines: class (0 DC, 1 AC) in the upper four bits, number in the lower."""
    names, place = set(), 0
    while place < len(segment):
        counts = segment[place + 1 : place + 17]
        codes = sum(count << 16 - bits for bits, count in enumerate(counts, start=1))
        if segment[place] & 0xEC or len(counts) != 16 or sum(counts) > 256 or codes > 1 << 16:
            raise _corrupt()
        names.add(segment[place])
        place += 17 + sum(counts)
    if place != len(segment):
        raise _corrupt()
    return names


def _check_quantization(segment: bytes) -> None:
    place = 0
    while place < len(segment):
        if segment[place] & 0xEC:
            raise _corrupt()
        place += 65 if segment[place] < 16 else 129
    if place != len(segment):
        raise _corrupt()


def _check_scan(segment: bytes, components: set[int], known: set[int], *, is_lossless: bool, is_progressive: bool) -> None:
    """Refuse a scan of components that the frame does not have, or with tables that nobody defined."""
    count = segment[0] if segment else 0
    if not 1 <= count <= len(components) or len(segment) != 4 + 2 * count or not components.issuperset(segment[1 : 1 + 2 * count : 2]):
        raise _corrupt()
    for tables in segment[2 : 2 + 2 * count : 2]:
        needed = {tables >> 4} if is_lossless else {tables >> 4, 0x10 | tables & 15}
        if not is_progressive and not needed <= known:
            raise _corrupt()


def _corrupt() -> ImageError:
    return ImageError("CORRUPT", "the segments of a compressed frame do not hang together")
