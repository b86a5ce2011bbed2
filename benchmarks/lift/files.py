"""Which file of a folder a row of the table means."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lift.rows import Left, TableRow, name_few, name_lines
from benchmarks.lift.study import Study
from curation.errors import UsageError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
OTHER_ENDINGS = (*ENDINGS, ".dcm", ".dicom")
"""A table that was made for other files may name them with these."""


@dataclass(frozen=True)
class Index:
    """The images of a folder by their path below it, by each end of that path, with and without the file's ending, and by the number in their name."""

    whole: dict[str, set[str]]
    ends: dict[str, set[str]]
    numbers: dict[str, set[str]]

    def find(self, name: str) -> set[str]:
        """Return the files that a name may mean: their path ends with it, or it ends with their path."""
        parts = _split(name)
        for found in (self.whole, self.ends):
            if hits := _look_up(found, parts):
                return hits
        for start in range(1, len(parts)):
            if hits := _look_up(self.whole, parts[start:]):
                return hits
        return set()

    def find_number(self, name: str) -> set[str]:
        """Return the files whose name is the same number: spreadsheets write 000007 as 7, or as 7.0 where a cell of the column is empty."""
        return self.numbers.get(_as_number(_plain("/".join(_split(name)))), set())


def _split(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _as_number(name: str) -> str:
    """Return a path whose last part is a whole number without the zeros around it; "" when it is none.

    Worked value: `left/0070.png` and `left/70.0` are `left/70`.
    """
    folder, _, last = _without_ending(name, OTHER_ENDINGS).rpartition("/")
    number = re.fullmatch(r"([0-9]+)(?:[.,]0)?", last)
    return f"{folder}/{int(number[1])}" if number else ""


def _look_up(found: dict[str, set[str]], parts: Sequence[str]) -> set[str]:
    name = _plain("/".join(parts))
    return found.get(name) or found.get(_without_ending(name, OTHER_ENDINGS)) or set()


def _plain(name: str) -> str:
    """Return a name without regard to case and forms of accents."""
    return unicodedata.normalize("NFC", name).casefold()


def _without_ending(name: str, endings: Sequence[str]) -> str:
    return next((name[: -len(ending)] for ending in endings if name.endswith(ending)), name)


def index_files(folder: Path) -> Index:
    """Return the images below a folder; hidden files and macOS's shadows are none.

    Raises:
        UsageError: there is none.
    """
    index, others = Index(defaultdict(set), defaultdict(set), defaultdict(set)), Counter[str]()
    for path in sorted(Path(place) / name for place, _, names in os.walk(folder, followlinks=True) for name in names):
        relative = path.relative_to(folder)
        if any(part.startswith((".", "__MACOSX")) for part in relative.parts):
            continue
        if path.suffix.lower() not in ENDINGS:
            others[path.suffix.lower() or "no ending"] += 1
            continue
        plain = _plain(relative.as_posix()).split("/")
        for start in range(len(plain)):
            name = "/".join(plain[start:])
            if number := _as_number(name):
                index.numbers[number].add(relative.as_posix())
            for key in (name, _without_ending(name, ENDINGS)):
                index.ends[key].add(relative.as_posix())
                if start == 0:
                    index.whole[key].add(relative.as_posix())
    if not index.whole:
        seen = name_few([f"{count} of {ending}" for ending, count in others.most_common()]) or "no file at all"
        raise UsageError(f"--images holds no image ({', '.join(ENDINGS)}): it holds {seen}; convert them, or name another folder")
    return index


def match_files(rows: Sequence[TableRow], index: Index, study: Study, left: Left) -> dict[str, TableRow]:
    """Return the row of each image, by the path below the folder, sorted.

    Raises:
        UsageError: a name means several files, or too few images are there.
    """
    hits = _find_all(rows, index, left)
    if unclear := [row.line for row, files in hits if len(files) > 1]:
        raise UsageError(
            f"{len(unclear)} row{'s' * (len(unclear) > 1)} could mean several files ({name_lines(unclear)} of the table, column {study.image!r}): "
            "write the folder and the ending into that column, or point --images at the folder that holds the images only"
        )
    left.out("the image is not in the folder", [row for row, files in hits if not files])
    found = sum(bool(files) for _, files in hits)
    if not found or found < study.least_found * len(rows):
        lost = name_lines([row.line for row, files in hits if not files])
        raise UsageError(
            f"--images has the files of only {found} of {len(rows)} rows (missing: {lost}): check --image ({study.image!r}) and the folder; "
            "when the folder holds a part of the table on purpose, lower --least-found"
        )
    by_file: dict[str, list[TableRow]] = {}
    for row, files in hits:
        for file in files:
            by_file.setdefault(file, []).append(row)
    return {file: by_file[file][0] for file in sorted(keep_agreeing(by_file, left))}


def _find_all(rows: Sequence[TableRow], index: Index, left: Left) -> list[tuple[TableRow, set[str]]]:
    """Return the files that each row may mean; by number only where no name fits."""
    named = [(row, index.find(row.image)) for row in rows]
    hits = [(row, files or index.find_number(row.image)) for row, files in named]
    if by_number := [row.line for (row, files), (_, found) in zip(named, hits, strict=True) if found and not files]:
        left.read_as.append(
            f"{len(by_number)} row{'s' * (len(by_number) > 1)} found the image by its number, without the zeros in front ({name_lines(by_number)})"
        )
    return hits


def keep_agreeing(by_file: dict[str, list[TableRow]], left: Left) -> list[str]:
    """Return the images of which the table says one thing; the same said twice counts once, with a note."""
    said = {file: {row.said for row in rows} for file, rows in by_file.items()}
    left.out("contradicts another row about the same image", [row for file, rows in by_file.items() if len(said[file]) > 1 for row in rows])
    left.out("repeats another row", [row for file, rows in by_file.items() if len(said[file]) == 1 for row in rows[1:]])
    return [file for file in by_file if len(said[file]) == 1]
