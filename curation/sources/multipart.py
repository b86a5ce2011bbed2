"""The parts of a multipart answer (RFC 2046), one after the other as they come: no part is ever whole in the memory, and an answer that ends early is seen."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

HEAD_BYTES = 4096
MAX_PART_HEADER_BYTES = 1 << 16
_LONG = (b"OB", b"OW", b"UN", b"UT", b"SQ")


def split_parts(pieces: Iterable[bytes], boundary: bytes) -> Iterator[Iterator[bytes]]:
    """Yield the content of each part as pieces; each must be read to its end before the next one.

    Raises:
        requests.ConnectionError: the answer ends before its last mark.
    """
    answer = _Answer(iter(pieces), b"\r\n--" + boundary)
    answer.skip(answer.mark)
    while answer.peek(2) != b"--":
        answer.skip(b"\r\n\r\n")
        yield answer.content()


class _Answer:
    def __init__(self, pieces: Iterator[bytes], mark: bytes) -> None:
        self.pieces, self.mark, self.waiting = pieces, mark, bytearray(b"\r\n")

    def fill(self) -> None:
        import requests

        piece = next(self.pieces, b"")
        if not piece:
            raise requests.ConnectionError("the answer is cut short")
        self.waiting += piece

    def peek(self, count: int) -> bytes:
        while len(self.waiting) < count:
            self.fill()
        return bytes(self.waiting[:count])

    def skip(self, token: bytes) -> None:
        """Forget everything up to the end of `token`."""
        import requests

        while (place := self.waiting.find(token)) < 0:
            if len(self.waiting) > MAX_PART_HEADER_BYTES:
                raise requests.ConnectionError("the answer is not what it says")
            self.fill()
        del self.waiting[: place + len(token)]

    def content(self) -> Iterator[bytes]:
        """Yield what is left of this part."""
        while (place := self.waiting.find(self.mark)) < 0:
            sure = len(self.waiting) - len(self.mark) + 1
            if sure > 0:
                yield bytes(self.waiting[:sure])
                del self.waiting[:sure]
            self.fill()
        yield bytes(self.waiting[:place])
        del self.waiting[: place + len(self.mark)]


def instance_uid(head: bytes) -> str:
    """Return the Media Storage SOP Instance UID (0002,0003) of a DICOM file that begins with `head`; empty when it has none there."""
    place = 132 if head[128:132] == b"DICM" else len(head)
    while place + 12 <= len(head):
        group, element = struct.unpack_from("<HH", head, place)
        is_long = head[place + 4 : place + 6] in _LONG
        (length,) = struct.unpack_from("<I" if is_long else "<H", head, place + (8 if is_long else 6))
        place += 12 if is_long else 8
        if (group, element) == (2, 3):
            return head[place : place + length].decode("ascii", "replace").rstrip("\0 ")
        if group != 2:
            return ""
        place += length
    return ""
