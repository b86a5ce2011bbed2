"""A fast reader of plain DICOM headers: one pass over the top level of little-endian files, values converted when they are asked for.

It gives what `pydicom.dcmread` gives, element by element (a property test compares them), or None: whatever is odd, short, nested in an unusual way or
not little endian is pydicom's to read. The cost of a header is the number of elements that somebody asks for, and equal bytes are converted once:
slices of a series share nearly all of them.
"""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

PREAMBLE_BYTES, HEAD_BYTES, MAX_TAGS = 132, 16 << 10, 1 << 16
UNDEFINED_LENGTH = 0xFFFFFFFF
FIRST_PIXELS, LAST_PIXELS = 0x7FE00008, 0x7FE00010
CHARACTER_SET, SYNTAX = 0x00080005, 0x00020010
IMPLICIT, EXPLICIT = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"
COMPRESSED = (b"1.2.840.10008.1.2.4.", b"1.2.840.10008.1.2.5")
BEFORE_GROUP_2, BEFORE_GROUP_8, ITEMS = 0x0001FFFF, 0x0007FFFF, 0xFFFE0000
LONG_VRS = {str(vr).encode(): str(vr) for vr in EXPLICIT_VR_LENGTH_32}
SHORT_VRS = {str(vr).encode(): str(vr) for vr in EXPLICIT_VR_LENGTH_16}
ELEMENT, LENGTH = struct.Struct("<HH2sH"), struct.Struct("<I")
TAGS: dict[int, BaseTag] = {}
"""One object a tag, so that dictionaries find it by identity instead of by a comparison in Python."""
TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI"})
PLAIN_VRS = TEXT_VRS | {"FD", "FL", "SL", "SS", "UL", "US"}
"""Kinds of value that depend on nothing but their bytes and the character set."""


class _Scanned(Dataset):
    """A data set whose single values come from a table of converted bytes; everything else is pydicom's."""

    _texts: tuple[str, ...] | str = default_encoding

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of an element by keyword, as pydicom does."""
        tag = _tag_of(key) if type(key) is str else None
        if tag is None:
            return super().get(key, default)
        element: Any = self._dict.get(tag)
        if element is None:
            return default
        if type(element) is RawDataElement and element.VR in PLAIN_VRS:
            return _converted(tag, element.VR, element.length, element.value, default_encoding if tag == CHARACTER_SET else self._texts)
        return super().get(key, default)

    def __getattr__(self, name: str) -> Any:
        tag = _tag_of(name)
        element: Any = None if tag is None else self._dict.get(tag)
        if tag is not None and type(element) is RawDataElement and element.VR in PLAIN_VRS:
            return _converted(tag, element.VR, element.length, element.value, default_encoding if tag == CHARACTER_SET else self._texts)
        return super().__getattr__(name)

    def __contains__(self, name: Any) -> bool:
        tag = _tag_of(name) if type(name) is str else None
        return super().__contains__(name) if tag is None else tag in self._dict


class ScannedDataset(_Scanned):
    """What `scan` returns: the elements, `file_meta` and `preamble`."""

    preamble: bytes


class _ScannedMeta(_Scanned, FileMetaDataset):
    """The file meta of a scanned file."""

    def __init__(self, elements: dict[BaseTag, Any]) -> None:
        """Take elements that are known to be of group 2; the parent looks at each again."""
        Dataset.__init__(self, elements)


@lru_cache(maxsize=4096)
def _tag_of(name: str) -> BaseTag | None:
    tag = tag_for_keyword(name)
    return None if tag is None else _interned(tag)


def _interned(tag: int) -> BaseTag:
    if len(TAGS) > MAX_TAGS:
        TAGS.clear()
    return TAGS.setdefault(tag, BaseTag(tag))


@lru_cache(maxsize=8192)
def _converted(tag: BaseTag, vr: str, length: int, value: bytes | None, encoding: tuple[str, ...] | str) -> Any:
    """Return the value of an element as pydicom converts it."""
    raw = RawDataElement(tag, vr, length, value, 0, False, True)
    return convert_raw_data_element(raw, encoding=encoding if isinstance(encoding, str) else list(encoding)).value


def scan(content: bytes | memoryview, *, is_whole: bool = True, with_pixels: bool = True) -> ScannedDataset | None:
    """Return the data set of a plain little-endian file, or None when pydicom has to read it.

    Args:
        content: the file, or its beginning.
        is_whole: `content` is the whole file.
        with_pixels: read to the end, uncompressed files only; else stop before the pixels. `PixelData` is a memoryview of `content`.
    """
    whole = memoryview(content)
    if isinstance(content, bytes):
        return _scan(content, whole, is_whole, with_pixels)
    found = _scan(bytes(whole[:HEAD_BYTES]), whole, is_whole, with_pixels)
    return found if found is not None or len(whole) <= HEAD_BYTES else _scan(bytes(whole), whole, is_whole, with_pixels)


def _scan(head: bytes, whole: memoryview, is_whole: bool, with_pixels: bool) -> ScannedDataset | None:
    """Do as `scan` for a file whose elements besides the pixels lie in `head`."""
    if head[128:PREAMBLE_BYTES] != b"DICM" or head[PREAMBLE_BYTES : PREAMBLE_BYTES + 8] != b"\x02\x00\x00\x00UL\x04\x00":
        return None
    end_of_meta = PREAMBLE_BYTES + 12 + struct.unpack_from("<I", head, PREAMBLE_BYTES + 8)[0]
    meta: dict[BaseTag, Any] = {}
    if _scan_explicit(head[:end_of_meta], whole, PREAMBLE_BYTES, meta, False, BEFORE_GROUP_2) != end_of_meta or SYNTAX not in meta or max(meta) >> 16 != 2:
        return None
    syntax = bytes(meta[_interned(SYNTAX)].value or b"").rstrip(b"\0 ")
    if syntax not in (IMPLICIT, EXPLICIT) and (with_pixels or not syntax.startswith(COMPRESSED)):
        return None
    elements: dict[BaseTag, Any] = {}
    read = _scan_implicit if syntax == IMPLICIT else _scan_explicit
    end = read(head, whole, end_of_meta, elements, with_pixels)
    if end is None or (end < 0 and with_pixels) or (end >= 0 and not (is_whole and end == len(whole))):
        return None
    return _assembled(head, meta, elements, is_implicit=syntax == IMPLICIT)


def _assembled(content: bytes, meta: dict[BaseTag, Any], elements: dict[BaseTag, Any], *, is_implicit: bool) -> ScannedDataset:
    dataset = ScannedDataset(elements)
    dataset.__dict__["file_meta"] = file_meta = _ScannedMeta(meta)
    file_meta.set_original_encoding(False, True, default_encoding)
    dataset.__dict__["preamble"] = content[:128]
    named = elements.get(_interned(CHARACTER_SET))
    encoding = default_encoding if named is None else convert_encodings(convert_raw_data_element(named).value)
    dataset.__dict__["_texts"] = encoding if isinstance(encoding, str) else tuple(encoding)
    dataset.set_original_encoding(is_implicit, True, encoding)
    return dataset


def _scan_explicit(content: bytes, whole: memoryview, offset: int, found: dict[BaseTag, Any], with_pixels: bool, last: int = BEFORE_GROUP_8) -> int | None:
    """Add the elements from `offset` on; return where they end, -1 before pixels that are not wanted or not plain, None when anything else is not plain.

    Args:
        content: the file, or its beginning.
        whole: the file; the pixels' value is a part of it.
        offset: of the first element.
        found: filled, a raw element a tag.
        with_pixels: do not stop before the pixels.
        last: all tags are larger, and each is larger than the one before it.
    """
    total, begin = len(content), 0
    unpack, unpack_long, tags, make = ELEMENT.unpack_from, LENGTH.unpack_from, TAGS, tuple.__new__
    while offset + 8 <= total:
        group, element, vr, length = unpack(content, offset)
        tag = group << 16 | element
        name = SHORT_VRS.get(vr)
        if name is not None:
            begin = offset + 8
        elif (name := LONG_VRS.get(vr)) is not None and offset + 12 <= total:
            (length,) = unpack_long(content, offset + 8)
            begin = offset + 12
        else:
            return None
        if tag <= last or tag >= ITEMS:
            return None
        key = tags.get(tag) or _interned(tag)
        last, offset = tag, begin + length
        if tag >= FIRST_PIXELS and tag <= LAST_PIXELS:
            if not with_pixels or offset > len(whole):
                return -1
            value: Any = whole[begin:offset] if length else _empty(name)
        elif length == UNDEFINED_LENGTH:
            if name != "SQ" or (end := _read_sequence(content, begin, key, found)) is None:
                return None
            offset = end
            continue
        elif offset > total:
            return None
        else:
            value = content[begin:offset] if length else _empty(name)
        found[key] = make(RawDataElement, (key, name, length, value, begin, False, True))
    return offset


def _scan_implicit(content: bytes, whole: memoryview, offset: int, found: dict[BaseTag, Any], with_pixels: bool) -> int | None:
    """Do as `_scan_explicit` for elements without their kind of value."""
    total, last = len(content), BEFORE_GROUP_8
    unpack = struct.Struct("<HHI").unpack_from
    if b"AA" <= content[offset + 4 : offset + 6] <= b"ZZ":  # pydicom looks whether the syntax is a lie
        return None
    while offset + 8 <= total:
        group_number, element, length = unpack(content, offset)
        tag = group_number << 16 | element
        begin, is_pixels = offset + 8, FIRST_PIXELS <= tag <= LAST_PIXELS
        if tag <= last or tag >= ITEMS:
            return None
        if is_pixels and (not with_pixels or begin + length > len(whole)):
            return -1
        offset = begin + length
        if length == UNDEFINED_LENGTH or (offset > total and not is_pixels):
            return None
        key, last = _interned(tag), tag
        value: Any = whole[begin:offset] if is_pixels and length else content[begin:offset]
        found[key] = RawDataElement(key, None, length, value if length else None, begin, True, True)
    return offset


@lru_cache(maxsize=64)
def _empty(vr: str) -> Any:
    from pydicom.dataelem import empty_value_for_VR

    return empty_value_for_VR(vr, raw=True)


def _read_sequence(content: bytes, begin: int, tag: BaseTag, found: dict[BaseTag, Any]) -> int | None:
    """Let pydicom read a sequence of undefined length; return where it ends, None when it has no end in `content`."""
    from pydicom.dataelem import DataElement
    from pydicom.values import convert_string

    named = found.get(_interned(CHARACTER_SET))
    encoding = convert_encodings(convert_string(named.value or b"", True)) if named is not None else default_encoding
    stream = io.BytesIO(content)
    stream.seek(begin)
    try:
        sequence = read_sequence(stream, False, True, UNDEFINED_LENGTH, encoding)
    except (EOFError, OSError):
        return None
    end = stream.tell()
    if content[end - 8 : end] != b"\xfe\xff\xdd\xe0\0\0\0\0":
        return None
    found[tag] = DataElement(tag, "SQ", sequence, begin, is_undefined_length=True)
    return end
