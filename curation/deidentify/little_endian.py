"""Elements to bytes and back, explicit VR little endian (PS3.5 7.1.2): the only form in which a de-identified file is written."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
MAX_SHORT_BYTES = 0xFFFE
"""What a length of 16 bits can say; a longer value is written as UN (PS3.5 6.2.2), e.g. contours with thousands of points."""
_ZERO_PADDED = frozenset({"UI", "OB"})


class Value(NamedTuple):
    """One element of a written file; a sequence is given as its elements, not as itself."""

    tag: int
    vr: str
    content: bytes


def element(tag: int, vr: str, content: bytes) -> bytes:
    """Return one element, its value padded to an even length."""
    if len(content) % 2:
        content += b"\0" if vr in _ZERO_PADDED else b" "
    if vr not in LONG_VRS and len(content) > MAX_SHORT_BYTES:
        vr = "UN"
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    length = struct.pack("<HI", 0, len(content)) if vr in LONG_VRS else struct.pack("<H", len(content))
    return head + length + content


def sequence(tag: int, entries: list[bytes]) -> bytes:
    """Return a sequence of entries that are already written."""
    return element(tag, "SQ", b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(entry)) + entry for entry in entries))


def level(elements: dict[int, bytes]) -> bytes:
    """Return the elements of one level in the order of their tags."""
    return b"".join(elements[tag] for tag in sorted(elements))


def values_of(content: bytes, begin: int = 0) -> Iterator[Value]:
    """Yield every element of written bytes, those of sequences too.

    Raises:
        ValueError: the bytes are not what `element` and `sequence` write.
    """
    position = begin
    while position < len(content):
        group, number, vr = struct.unpack_from("<HH2s", content, position)
        tag, name = group << 16 | number, vr.decode("ascii")
        if name in LONG_VRS:
            (length,) = struct.unpack_from("<I", content, position + 8)
            position += 12
        else:
            (length,) = struct.unpack_from("<H", content, position + 6)
            position += 8
        if position + length > len(content):
            raise ValueError("an element is longer than what holds it")
        if name == "SQ":
            yield from _entries(content[position : position + length])
        else:
            yield Value(tag, name, content[position : position + length])
        position += length


def _entries(content: bytes) -> Iterator[Value]:
    position = 0
    while position < len(content):
        group, number, length = struct.unpack_from("<HHI", content, position)
        position += 8
        if group << 16 | number != ITEM or position + length > len(content):
            raise ValueError("an entry of a sequence is damaged")
        yield from values_of(content[position : position + length])
        position += length


def raw_value(dataset: Dataset, tag: Any) -> tuple[str, bytes]:
    """Return the VR that a data set states for an element ("" when it does not), and its value as little-endian bytes."""
    return raw_of(dataset.get_item(tag), dataset)


def raw_of(found: Any, dataset: Dataset) -> tuple[str, bytes]:
    """Return the same of an element that was taken from `dataset`."""
    if isinstance(found, tuple) and dataset.original_encoding[1] is not False:  # as it lies in the file, and not big endian
        raw: Any = found
        return raw.VR or "", raw.value or b""
    return _written(dataset[found.tag])


def _written(found: Any) -> tuple[str, bytes]:
    """Return VR and little-endian bytes of an element that pydicom has converted or that is big endian."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_data_element

    if found.value is None or found.VR == "SQ":
        return found.VR, b""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_data_element(stream, found, ["utf-8"])
    content = stream.getvalue()
    return found.VR, content[12 if content[4:6].decode() in LONG_VRS else 8 :]
