"""Tokens that cannot be there by chance, each planted in exactly one place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta

LETTERS = "BCDFGHJKLMNPRSTV"
PATTERNS = (
    rb"QX[BCDFGHJKLMNPRSTV]{5}",
    rb"777[0-9]{6}",
    rb"1\.2\.777\.[0-9]+",
    rb"(?:19[0-5][0-9]|20[01][0-9])(?:0[1-9]|1[0-2])[0-3][0-9]",
    rb"\.777[0-9]{3}",
    rb"09[1-9]Y",
)
ANY_TOKEN = re.compile(b"|".join(PATTERNS))


@dataclass(frozen=True)
class Plant:
    """One identifying value in one place.

    Attributes:
        token: what is searched for.
        place: where it was put, in words.
        kind: group of the table: element, nested, private, meta, stream, pixels, burned-in, name, header.
        file: path of the planted file, relative to the input.
    """

    token: str
    place: str
    kind: str
    file: str


@dataclass
class Garden:
    """Makes tokens and remembers where each was planted."""

    plants: list[Plant] = field(default_factory=list)
    file: str = ""

    def _note(self, token: str, place: str, kind: str) -> str:
        self.plants.append(Plant(token, place, kind, self.file))
        return token

    def word(self, place: str, kind: str) -> str:
        """Return a word of 7 capitals that is in no dictionary."""
        number, letters = len(self.plants), []
        for _ in range(5):
            number, digit = divmod(number, len(LETTERS))
            letters.append(LETTERS[digit])
        return self._note("QX" + "".join(letters), place, kind)

    def number(self, place: str, kind: str) -> str:
        """Return 9 digits."""
        return self._note(f"777{len(self.plants):06d}", place, kind)

    def uid(self, place: str, kind: str) -> str:
        """Return a UID."""
        return self._note(f"1.2.777.{len(self.plants) + 1}", place, kind)

    def age(self, place: str, kind: str) -> str:
        """Return an age above 89 years, as DICOM writes it."""
        return self._note(f"09{len(self.plants) % 9 + 1}Y", place, kind)

    def day(self, place: str, kind: str, *, is_recent: bool = False) -> str:
        """Return a date as DICOM writes it; recent ones are far from the old ones, so that a shifted date is no other plant's."""
        number = len(self.plants)
        first, span = (date(2004, 1, 1), 5000) if is_recent else (date(1900, 1, 1), 21000)
        return self._note(f"{first + timedelta(days=number * 37 % span):%Y%m%d}", place, kind)

    def fraction(self, place: str, kind: str) -> str:
        """Return a fraction of a second, `.777nnn`."""
        return self._note(f".777{len(self.plants) % 1000:03d}", place, kind)


def find_tokens(content: bytes) -> set[str]:
    """Return everything in `content` that looks like a token, in ASCII of any case and in UTF-16 of both orders."""
    found: set[str] = set()
    for form in (content.upper(), content[::2], content[1::2]):
        found.update(match.decode("ascii") for match in ANY_TOKEN.findall(form))
    return found
