"""Searching a new file for the identifiers of its original, in every value, byte and name. What cannot be read counts as found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.deidentify.allowed import LISTED_VALUES
from curation.deidentify.devices import known_model
from curation.deidentify.harvest import MIN_DIGITS, Identifiers
from curation.deidentify.identity import OWN_WORDS
from curation.deidentify.little_endian import Value, values_of
from curation.deidentify.private import CODES, CREATORS
from curation.deidentify.values import BINARY_TYPES
from curation.dicom_fields import MAKERS
from curation.errors import ImageError

HEAD_BYTES, MAX_REMEMBERED_BYTES = 132, 256
FIRST_OF_WORDS, WORD_SPAN = np.uint8(0x2D), np.uint8(0x52)
"""Characters from - to ~: digits, letters, marks within words."""
MIN_PIXEL_WORD, MIN_PIXEL_NUMBER, MIN_SPREAD = 8, 12, 8
"""What may be searched in pixels: noise spells short words and most numbers sooner or later, and an image must not be refused for that."""
NUMBER_VRS, DATE_VRS, BYTE_VRS = frozenset({"DS", "IS"}), frozenset({"DA", "TM", "DT"}), frozenset({"OB", "OW", "UN"})
VOCABULARY = LISTED_VALUES | OWN_WORDS | {maker.upper() for maker in MAKERS.values()} | {name.upper() for name in CREATORS} | frozenset().union(*CODES.values())
OWN_FORMS = re.compile(r"(ROI|SEGMENT) \d*|(MODEL|DEVICE)-|2\.25\.")
PSEUDONYMS = re.compile(r"[0-9a-f]{20}|2\.25\.\d+|(model|device)-[0-9a-f]{8}|\d{3}[DWMY]")
"""Pseudonyms and ages: never words of a vocabulary: the large ones need not be asked."""
OWN_PLACES = re.compile(r"^(nifti|raster)/|\.(dcm|nii\.gz|png)$")
LEAK = "the second look found something of the patient in the result; nothing was written"
Part = bytes | memoryview
Bytes = npt.NDArray[np.uint8]


def refuse_leaks(parts: tuple[Part, ...], place: str, identifiers: Identifiers) -> None:
    """Search the parts of a new DICOM file (header; head of the pixels, pixels, padding) and its place for identifiers.

    Raises:
        ImageError: LEAK.
    """
    header = bytes(parts[0])
    if any(header[:128]) or header[128:HEAD_BYTES] != b"DICM":
        raise ImageError("LEAK", LEAK)
    try:
        found = list(values_of(header, HEAD_BYTES))
    except (ValueError, LookupError, UnicodeError, ArithmeticError):
        raise ImageError("LEAK", "the second look could not read the result; nothing was written") from None
    if _in_values(found, identifiers) or identifiers.are_in_text(OWN_PLACES.sub("", place)) or any(_in_bytes(part, identifiers) for part in parts[1:]):
        raise ImageError("LEAK", LEAK)


class Reading(NamedTuple):
    """What a value says that has to be searched: numbers as one would write them, texts that are no vocabulary."""

    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    is_plain: bool = True


def _in_values(found: list[Value], identifiers: Identifiers) -> bool:
    """Say whether a value holds an identifier; texts are searched together."""
    texts: list[str] = []
    for value in found:
        if value.vr in BYTE_VRS:
            if _in_bytes(value.content, identifiers):
                return True
            continue
        read = _read(value.vr, value.content) if len(value.content) <= MAX_REMEMBERED_BYTES else _read.__wrapped__(value.vr, value.content)
        if not read.is_plain or _in_numbers(read.numbers, identifiers) or _repeats_day(value, identifiers):
            return True
        texts.extend(read.texts)
    return _in_texts(texts, identifiers)


@lru_cache(maxsize=8192)
def _read(vr: str, content: bytes) -> Reading:
    """Return what a value says."""
    if vr in BINARY_TYPES or vr in NUMBER_VRS:
        return Reading(numbers=tuple(number for number in _numbers(vr, content) if len(number) >= MIN_DIGITS))
    if vr == "AT":
        return Reading()
    if not _is_plain(vr, content):
        return Reading(is_plain=False)
    return Reading() if vr in DATE_VRS else Reading(texts=tuple(part for part in _parts(content) if part and not _is_vocabulary(part)))


def _repeats_day(value: Value, identifiers: Identifiers) -> bool:
    """Say whether a date is still the one that was there."""
    return value.vr == "DA" and bool(value.content) and _parts(value.content) == [identifiers.days.get(value.tag)]


def _is_plain(vr: str, content: bytes) -> bool:
    """Say whether a text is printable ASCII; nothing else is ever written, so no other character set has to be searched."""
    text = content.rstrip(b"\0") if vr == "UI" else content
    return text.isascii() and text.decode("ascii").isprintable()


def _parts(content: bytes) -> list[str]:
    return [part.strip(" \0") for part in content.decode("ascii").split("\\")]


def _numbers(vr: str, content: bytes) -> Iterator[str]:
    """Yield numbers as one would write them; those of two bytes are too short to mean anybody."""
    if vr in NUMBER_VRS:
        yield from (part.strip(" \0") for part in content.decode("latin-1").split("\\"))
        return
    dtype = np.dtype(BINARY_TYPES[vr])
    if dtype.itemsize > 2:
        for number in np.frombuffer(content, dtype).tolist():
            yield str(int(number)) if number == int(number) else repr(number)


def _in_numbers(found: Iterable[str], identifiers: Identifiers) -> bool:
    """Say whether a number is, as a whole, one that identifies; short ones are measures by chance."""
    return any(number in identifiers.numbers for number in found)


def _is_vocabulary(text: str) -> bool:
    """Say whether a text is a word that is the same for everybody."""
    upper = text.upper()
    if upper not in VOCABULARY and PSEUDONYMS.fullmatch(text):
        return False
    return upper in VOCABULARY or _is_standard(text) or upper in _standard_words() or known_model(text) == text


def _is_standard(text: str) -> bool:
    from pydicom._uid_dict import UID_dictionary

    return text in UID_dictionary


@lru_cache(maxsize=1)
def _standard_words() -> frozenset[str]:
    """Return every code, scheme and meaning of the standard's context groups, in capitals, as far as they can be written."""
    from curation.deidentify.concepts import all_concepts

    return frozenset(
        part.upper() for concept in all_concepts() for part in (concept.scheme, concept.code, concept.meaning[:64].encode("ascii", "replace").decode().strip())
    )


def _in_texts(texts: list[str], identifiers: Identifiers) -> bool:
    """Say whether texts that are no vocabulary hold an identifier."""
    joined = "\n".join(OWN_FORMS.sub("", text.upper()) for text in texts)
    uids = {text for text in texts if text in identifiers.uids}
    words = set(re.split(r"[^\w]+", joined))
    return bool(uids) or identifiers.are_in_text(joined) or bool(words & identifiers.short) or bool(set(texts) & identifiers.numbers)


def _in_bytes(content: Part, identifiers: Identifiers) -> bool:
    """Say whether bytes that are no text, such as pixels, hold an identifier as text of one or two bytes a character."""
    pattern = _pattern(identifiers.words, identifiers.numbers)
    for text in _texts_in(np.frombuffer(content, np.uint8)):
        if (pattern and pattern.search(text)) or any(uid.encode() in text for uid in identifiers.uids if len(uid) >= MIN_PIXEL_NUMBER):
            return True
    return False


def _texts_in(content: Bytes) -> Iterator[bytes]:
    """Yield bytes in capitals where eight in a row could be a word: as they are, and the low halves of two-byte characters."""
    if _has_run((content - FIRST_OF_WORDS) < WORD_SPAN):
        yield content.tobytes().upper()
    little = content[: len(content) // 2 * 2].view("<u2")
    if _has_run(is_text := (little - np.uint16(FIRST_OF_WORDS)) < WORD_SPAN):
        yield np.where(is_text, little, 0).astype(np.uint8).tobytes().upper()
    if _has_run((little - (np.uint16(FIRST_OF_WORDS) << 8)) < np.uint16(WORD_SPAN) << 8):
        big = little.byteswap()
        yield np.where((big - np.uint16(FIRST_OF_WORDS)) < WORD_SPAN, big, 0).astype(np.uint8).tobytes().upper()


def _has_run(is_text: npt.NDArray[np.bool_]) -> bool:
    """Say whether eight values in a row are true."""
    twos = is_text[1:] & is_text[:-1]
    fours = twos[2:] & twos[:-2]
    return bool((fours[4:] & fours[:-4]).any())


@lru_cache(maxsize=64)
def _pattern(words: frozenset[str], numbers: frozenset[str]) -> re.Pattern[bytes] | None:
    """Return one pattern for all that is searched in pixels."""
    long = [word for word in words if len(word) >= MIN_PIXEL_WORD] + [number for number in numbers if len(number) >= MIN_PIXEL_NUMBER]
    forms = {token.encode(encoding, "ignore") for token in long if ord(max(token)) - ord(min(token)) >= MIN_SPREAD for encoding in ("utf-8", "latin-1")}
    return re.compile(b"|".join(re.escape(form) for form in sorted(forms) if len(form) >= MIN_PIXEL_WORD)) if forms else None


def refuse_bytes(parts: tuple[Part, ...], place: str, identifiers: Identifiers) -> None:
    """Search parts of a file that hold no text, and its place.

    Raises:
        ImageError: LEAK.
    """
    if identifiers.are_in_text(OWN_PLACES.sub("", place)) or any(_in_bytes(part, identifiers) for part in parts):
        raise ImageError("LEAK", LEAK)
