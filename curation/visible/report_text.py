"""Free text without people: names, dates, times, numbers, addresses and places become tokens such as `[NAME]`; what names nobody stays word for word.

Two nets, one behind the other. The first is made of what the record itself knows of the patient, staff and place (its header, its row of a table), in any case,
spelling of accents and order. The second is patterns, for what nobody told us. Then the result is searched again, and text that fails is refused.
A name that neither the record knows nor a title, a label or a degree announces is not found: text is kept only if the recipe asks for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from curation.errors import ImageError
from curation.visible.report_patterns import MONTHS, PATTERNS, TOKEN, TOKENS, YEAR

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_REPEATED = re.compile(rf"{TOKEN.pattern}(?:[\s,/^.-]{{1,2}}\1)+")
_NO_NAME = re.compile(rf"\d{{1,4}}|{MONTHS}", re.IGNORECASE)
_COMMON = frozenset({"and", "the", "for", "with", "von", "van", "der", "hospital", "clinic", "university", "medical", "center", "centre", "unknown", "none",
                     "chest", "anonymous", "head", "brain", "abdomen", "general", "department", "radiology", "lives",
                     "patient"})  # fmt: skip
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"})


def clean_report(text: str, known: frozenset[str]) -> str:
    """Return free text with what identifies people, days and places replaced by tokens.

    Args:
        text: a report or note.
        known: what the record knows of the patient, staff, place and numbers: names (also as DICOM writes them), ids, dates; any case.

    Raises:
        ImageError: TEXT_IDENTIFIERS, something is still there; the text must not be kept.
    """
    clean = unicodedata.normalize("NFC", text)
    phrases = sorted((value for value in known if len(value.strip()) > 2), key=lambda value: (-len(value), value))
    for phrase in phrases:
        if _has_number(phrase):  # before a pattern takes a part of it for a date
            clean = _phrase(phrase).sub(_token_of(phrase), clean)
    clean = _without_patterns(clean)
    for phrase in phrases:
        clean = _phrase(phrase).sub(_token_of(phrase), clean)
    clean = _without_patterns(_without_names(clean, _known_forms(known)))
    clean = _REPEATED.sub(r"\1", clean)
    refuse_identifiers(clean, known)
    return clean


def refuse_identifiers(text: str, known: frozenset[str]) -> None:
    """Search a cleaned text once more: for known words, for known values without their punctuation, and for what the patterns describe.

    Raises:
        ImageError: TEXT_IDENTIFIERS.
    """
    bare = TOKEN.sub(" \x00 ", text)
    squeezed = re.sub(r"[^\w\x00]|_", "", _folded(bare))
    values = (re.sub(r"[\W_]", "", _folded(value)) for value in known)
    if (
        any(len(value) >= 6 and value in squeezed for value in values)
        or _without_names(bare, _known_forms(known)) != bare
        or any(pattern.search(part) for _, pattern in PATTERNS for part in bare.split("\x00"))
    ):
        raise ImageError("TEXT_IDENTIFIERS", "something that identifies the patient, staff or a day is still in the text after cleaning")


def _phrase(value: str) -> re.Pattern[str]:
    """Return a pattern for a known value with any punctuation between its words."""
    if _has_number(value):  # numbers are written with any grouping
        return re.compile(rf"(?<!\w){r'[^0-9A-Za-z]?'.join(re.escape(c) for c in value if c.isalnum())}(?!\w)", re.IGNORECASE)
    words = [re.escape(word) for word in re.findall(r"[^\W_]+", value)]
    return re.compile(rf"(?<!\w){'[^0-9A-Za-z]{0,2}'.join(words)}(?!\w)" if words else r"(?!)", re.IGNORECASE)


def _has_number(value: str) -> bool:
    return sum(c.isdigit() for c in value) > 1


def _token_of(value: str) -> str:
    if not _has_number(value):
        return "[NAME]"
    return "[DATE]" if re.fullmatch(rf"{YEAR}[-.]?\d\d[-.]?\d\d", value.strip()) else "[ID]"


def _known_forms(known: frozenset[str]) -> frozenset[str]:
    """Return every spelling of every known word that can be a name or an id."""
    values = (unicodedata.normalize("NFC", value) for value in known if len(value.split()) <= 4)
    words = {word for value in values for word in _WORD.findall(value) if not _NO_NAME.fullmatch(word)}
    parts = {part for word in words for part in (word, *re.split(r"[-'’]", word))}
    return frozenset(form for part in parts for form in _forms(part) if len(form) > 1 and form not in _COMMON)


def _forms(word: str) -> Iterator[str]:
    """Yield the spellings under which two words are the same: without accents, with umlauts as two letters, with these as one."""
    low = word.casefold()
    plain = _folded(low)
    yield plain
    yield _folded(low.translate(_UMLAUTS))
    yield re.sub(r"([aou])e", r"\1", plain)


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _without_names(text: str, names: frozenset[str]) -> str:
    """Replace every word that is a known one; two letters only when they are written like a name."""

    def replaced(match: re.Match[str]) -> str:
        word = match[0]
        parts = (word, *re.split(r"[-'’]", word))
        is_name = any(form in names for part in parts if len(part) > 2 or part[:1].isupper() for form in _forms(part))
        return ("[ID]" if any(c.isdigit() for c in word) else "[NAME]") if is_name else word

    return "".join(part if part in TOKENS else _WORD.sub(replaced, part) for part in TOKEN.split(text))


def _without_patterns(text: str) -> str:
    """Replace what the patterns describe, in their order; tokens are left alone."""
    for token, pattern in PATTERNS:
        text = "".join(part if part in TOKENS else pattern.sub(token, part) for part in TOKEN.split(text))
    return text
