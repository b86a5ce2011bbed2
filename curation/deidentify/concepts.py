"""Codes of the standard and their meanings: a coded description is not copied but looked up, so that its words are the standard's and not a typist's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

MAX_CODE_CHARACTERS = 16
RETIRED_SCHEMES = ("SRT", "SNM3", "99SDM")
"""Names of SNOMED RT, which most old files use."""


class Concept(NamedTuple):
    """A code with the meaning that PS3.16 gives it."""

    scheme: str
    code: str
    meaning: str


@lru_cache(maxsize=4096)
def concept_of(scheme: str, code: str) -> Concept | None:
    """Return the concept of a code, or None when the standard's context groups do not have it; codes of old SNOMED stay what they are."""
    if not code or len(code) > MAX_CODE_CHARACTERS:
        return None
    meaning = _meanings().get(("SCT", _snomed_of().get(code, ""))) if scheme in RETIRED_SCHEMES else _meanings().get((scheme, code))
    return Concept(scheme, code, meaning[:64]) if meaning else None


def all_concepts() -> Iterator[Concept]:
    """Yield every concept that `concept_of` may return."""
    yield from (Concept(scheme, code, meaning) for (scheme, code), meaning in _meanings().items())
    yield from (Concept(scheme, code, "") for code in _snomed_of() for scheme in RETIRED_SCHEMES)


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    """Return the meaning, of several the shortest, of every code in the context groups that pydicom carries."""
    from pydicom.sr._concepts_dict import concepts

    found: dict[tuple[str, str], str] = {}
    for scheme, names in concepts.items():
        for codes in names.values():
            for code, meanings in codes.items():  # type: ignore[attr-defined]
                found[scheme, code] = min(found.get((scheme, code), meanings[0]), meanings[0], key=lambda words: (len(words), words))
    return found


@lru_cache(maxsize=1)
def _snomed_of() -> dict[str, str]:
    """Return the SNOMED CT code of each SNOMED RT code."""
    from pydicom.sr._snomed_dict import mapping

    return dict(mapping["SRT"])
