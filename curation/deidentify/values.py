"""One value of an element to the bytes that may be written: each function returns None when nothing may.

Values come and go as they lie in a little-endian file, so numbers are looked at and copied without ever becoming Python objects.
"""

from __future__ import annotations

import re

import numpy as np

from curation.pseudonyms import pseudonymous_uid

_DECIMAL = rb"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d{1,3}+)?"
_WHOLE = rb"[+-]?\d{1,11}+"
_TEXT_FORMS = {
    "DS": re.compile(rb"(?: *+%b *+)(?:\\ *+%b *+)*+" % (_DECIMAL, _DECIMAL)),
    "IS": re.compile(rb"(?: *+%b *+)(?:\\ *+%b *+)*+" % (_WHOLE, _WHOLE)),
}
BINARY_TYPES = {"US": "<u2", "SS": "<i2", "UL": "<u4", "SL": "<i4", "FL": "<f4", "FD": "<f8", "UV": "<u8", "SV": "<i8"}
MAX_COUNTER_DIGITS = 5
MAX_MEASURE = 1e6
"""No length in mm, time in ms, angle, current or dose that we keep is larger; numbers of patients and orders are. `allowed.LARGE` has the exceptions."""
MAX_DS_CHARACTERS = 16
PADDING = b" \0"
WORD = re.compile(rb"[A-Za-z0-9 ^._-]{8,}+\0*+|[ -~]{12,}+\0*+")
"""Bytes of binary numbers that could as well be read as a word, or as a line of text, are one."""


def numbers(vr: str, raw: bytes, limit: float = MAX_MEASURE) -> bytes | None:
    """Return the value if every part of it is a number of the kind that `vr` wants, and none is larger than `limit`: such a one is an identifier."""
    if vr in BINARY_TYPES:
        dtype = np.dtype(BINARY_TYPES[vr])
        if not raw or len(raw) % dtype.itemsize:
            return None
        if WORD.fullmatch(raw):
            return None
        return raw if dtype.itemsize <= 2 or bool((np.abs(np.frombuffer(raw, dtype).astype(np.float64)) <= limit).all()) else None
    text = raw.strip(PADDING)
    if not text or vr not in _TEXT_FORMS or not _TEXT_FORMS[vr].fullmatch(text):
        return None
    parts = [part.strip(b" ") for part in text.split(b"\\")]
    if any(not -limit <= float(part) <= limit for part in parts):
        return None
    return b"\\".join(_short_decimal(part) for part in parts) if vr == "DS" else b"\\".join(parts)


def _short_decimal(part: bytes) -> bytes:
    """Return a decimal string within the 16 characters that the standard gives it."""
    if len(part) <= MAX_DS_CHARACTERS:
        return part
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(part)).encode()


def count(vr: str, value: bytes) -> int:
    """Return how many values an element has."""
    return len(value) // np.dtype(BINARY_TYPES[vr]).itemsize if vr in BINARY_TYPES else value.count(b"\\") + 1


def descriptor(raw: bytes) -> bytes | None:
    """Return the description of a lookup table: entries, first value, bits of an entry (PS3.3 C.11.1.1.1)."""
    return raw if len(raw) == 6 and 1 <= int.from_bytes(raw[4:], "little") <= 16 else None


def rounded(value: bytes) -> bytes:
    """Return decimal numbers, of the large ones the first five digits."""
    return b"\\".join(part if abs(float(part)) <= MAX_MEASURE else f"{float(part):.4e}".encode() for part in value.split(b"\\"))


def counters(vr: str, raw: bytes) -> bytes | None:
    """Return numbers that only count: a long one is an identifier."""
    value = numbers(vr, raw)
    if value is None or vr in BINARY_TYPES:
        return value
    return value if all(len(part.lstrip(b"+-")) <= MAX_COUNTER_DIGITS for part in value.split(b"\\")) else None


def measure(raw: bytes, limits: tuple[float, float]) -> bytes | None:
    """Return one decimal number if it lies within `limits`."""
    value = numbers("DS", raw)
    return value if value is not None and b"\\" not in value and limits[0] < float(value) <= limits[1] else None


def codes(raw: bytes, allowed: frozenset[str], replacement: str = "") -> bytes | None:
    r"""Return those of the `\`-separated codes that are allowed, in capitals.

    Args:
        raw: value.
        allowed: every code that may be written.
        replacement: stands in for a code that is not, where its place has a meaning and another one follows.
    """
    found = [part.strip(" \0").upper() for part in raw.decode("latin-1").split("\\")]
    kept = [part if part in allowed else replacement for part in found]
    while kept and (kept[-1] == replacement and found[len(kept) - 1] not in allowed):
        kept.pop()
    kept = [part for part in kept if part]
    return "\\".join(kept).encode() if kept else None


def uids(raw: bytes, key: bytes) -> bytes | None:
    """Return a pseudonym for each UID."""
    parts = [part.strip(PADDING) for part in raw.split(b"\\")]
    return b"\\".join(pseudonymous_uid(key, part.decode("latin-1")).encode() for part in parts if part) or None


def class_uids(raw: bytes) -> bytes | None:
    """Return the UIDs that the standard itself defines."""
    from pydicom._uid_dict import UID_dictionary

    parts = (part.strip(PADDING).decode("latin-1") for part in raw.split(b"\\"))
    return "\\".join(part for part in parts if part in UID_dictionary).encode() or None


def pointers(raw: bytes) -> bytes | None:
    """Return pointers to elements of the standard; private ones would point to nothing."""
    from pydicom.datadict import dictionary_has_tag

    if not raw or len(raw) % 4:
        return None
    pairs = np.frombuffer(raw, "<u2").reshape(-1, 2)
    known = [pair.tobytes() for pair in pairs if pair[0] % 2 == 0 and dictionary_has_tag(int(pair[0]) << 16 | int(pair[1]))]
    return b"".join(known) or None


def table(raw: bytes, descriptor: bytes | None) -> bytes | None:
    """Return a lookup table cut to the length that its descriptor declares, in little-endian words or bytes; None without a sane descriptor."""
    if descriptor is None or len(descriptor) != 6:
        return None
    entries, bits = int.from_bytes(descriptor[:2], "little") or 1 << 16, int.from_bytes(descriptor[4:], "little")
    size_bytes = entries * (2 if bits > 8 or len(raw) >= 2 * entries else 1)
    return raw[: size_bytes + size_bytes % 2]
