"""Forms in which a name, an id or a date could be written by somebody else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from curation.dicom_fields import parse_date

MIN_CHARACTERS = 2
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE", "ß": "ss", "ø": "oe", "Ø": "OE", "å": "aa", "Å": "AA"})
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def without_accents(text: str) -> str:
    """Return the text in plain letters, umlauts written out."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text.translate(_UMLAUTS)) if not unicodedata.combining(letter))


@lru_cache(maxsize=1024)
def variants(text: str, kind: Literal["name", "id", "date"]) -> frozenset[str]:
    """Return the forms of a name, an id or a date."""
    return frozenset({"name": _name_variants, "id": _id_variants, "date": _date_variants}[kind](text))


def _name_variants(text: str) -> Iterator[str]:
    """Yield the parts of a DICOM name (PS3.5 6.2.1), and family and given name together in both orders."""
    for group in text.split("="):
        parts = [part.strip() for part in group.split("^")]
        yield from (word for part in parts for word in re.split(r"[\s,]+", part) if len(word) >= MIN_CHARACTERS)
        named = [part for part in parts[:2] if part]
        if len(named) == 2:
            for first, second in (named, reversed(named)):
                yield from (f"{first}{separator}{second}" for separator in ("", " ", "^", ",", ", ", "_", "-", "."))
        yield group.strip()


def _id_variants(text: str) -> Iterator[str]:
    """Yield an id as it is, without separators, and each of its longer parts."""
    yield text.strip()
    yield re.sub(r"[\W_]+", "", text)
    yield from (part for part in re.split(r"[\W_]+", text) if len(part) > MIN_CHARACTERS)


def _date_variants(text: str) -> Iterator[str]:
    """Yield a date in the usual forms, with two-digit years only where letters mark it."""
    yield text.strip()
    day = parse_date(text)
    if day is None:
        return
    year, month, number = f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}"
    for order in ((year, month, number), (number, month, year), (month, number, year)):
        yield from (separator.join(order) for separator in ("", "-", ".", "/", " ", "_"))
    name = _MONTHS[day.month - 1]
    yield from (separator.join((number, name, year)) for separator in ("", "-", " ", "."))
    yield f"{number}{name}{year[2:]}"
