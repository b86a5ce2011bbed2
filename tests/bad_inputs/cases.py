"""What a case of bad input is: files that are wrong in one way, and the answer that each must get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Answer = tuple[str, str]
"""Outcome and code of a file."""
KEPT: Answer = ("kept", "")


@dataclass(frozen=True)
class Case:
    """One way in which input is bad.

    Attributes:
        group: number in the catalogue of bad inputs, 1 to 90.
        name: what is wrong.
        kind: of the source that reads it.
        make: writes the files into an empty folder.
        answers: those that occur among the files, no more and no fewer.
        modality: of the source, for files that do not say it.
    """

    group: int
    name: str
    kind: Literal["dicom", "nifti", "raster"]
    make: Callable[[Path], object]
    answers: frozenset[Answer]
    modality: str | None = None

    def __str__(self) -> str:
        return f"{self.group:02d} {self.name}"


def quarantined(*codes: str) -> frozenset[Answer]:
    """Return the answers of files that all go to quarantine."""
    return frozenset(("quarantined", code) for code in codes)


def skipped(*codes: str) -> frozenset[Answer]:
    """Return the answers of files that are no images for us."""
    return frozenset(("skipped", code) for code in codes)


KEPT_ALL = frozenset({KEPT})
