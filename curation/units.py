"""What is read together: one file, or all files of one DICOM series; and how units are packed into chunks for the workers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from curation.recipe import HarmonizeSettings
from curation.sources.table import Lookup

CHUNK_FILES = 32
CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class UnitFile:
    """One file of a unit.

    Attributes:
        path: printable path relative to the source.
        real: what to open.
        size_bytes: size when it was found.
        mtime_ns: time of the last change when it was found.
        known_sha256: hash of its bytes at the last run, if equal bytes mean that nothing has to be done.
        lookup: what recipe and table say of it.
    """

    path: str
    real: Path
    size_bytes: int
    mtime_ns: int
    known_sha256: str | None
    lookup: Lookup


@dataclass(frozen=True)
class Unit:
    """Files that are read together.

    Attributes:
        source: name of the source.
        kind: what the source reads.
        name: the file's path, or a pseudonym of the series.
        files: at least one.
        patients: name space of patient ids; empty: the source's name.
        frames: what is taken of films.
        has_reports: the files are those of a study, its reports among them.
        burned_in_text: what becomes of text in the pixels.
        accept_face_risk: whether head volumes with thin slices are taken.
    """

    source: str
    kind: Literal["dicom", "nifti", "raster"]
    name: str
    files: tuple[UnitFile, ...]
    patients: str = ""
    frames: Literal["refuse", "middle", "all"] = "refuse"
    has_reports: bool = False
    burned_in_text: Literal["mask", "refuse", "header"] = "mask"
    accept_face_risk: bool = False


@dataclass(frozen=True)
class Chunk:
    """Some units, and all that a worker needs to read them.

    Attributes:
        name: hash of all inputs, so that a finished chunk is recognized after a crash.
        units: what to read.
        harmonize: how to make the pixels alike.
        secret: key of the pseudonyms.
        folder: where the part is written.
    """

    name: str
    units: tuple[Unit, ...]
    harmonize: HarmonizeSettings
    secret: bytes
    folder: Path

    @property
    def file_count(self) -> int:
        """Number of files in all units."""
        return sum(len(unit.files) for unit in self.units)

    def split(self) -> list[Chunk]:
        """Return one chunk a unit."""
        return [replace(self, name=hashlib.sha256(f"{self.name}|{number}".encode()).hexdigest(), units=(unit,)) for number, unit in enumerate(self.units)]


def make_chunks(units: Iterable[Unit], harmonize: HarmonizeSettings, recipe_sha256: str, secret: bytes, folder: Path) -> Iterator[Chunk]:
    """Yield chunks of about 32 files or 64 MB, in the order of the units; a bigger unit is a chunk of its own."""
    waiting: list[Unit] = []
    files = size_bytes = 0
    for unit in units:
        waiting.append(unit)
        files += len(unit.files)
        size_bytes += sum(file.size_bytes for file in unit.files)
        if files >= CHUNK_FILES or size_bytes >= CHUNK_BYTES:
            yield Chunk(_name(waiting, recipe_sha256), tuple(waiting), harmonize, secret, folder)
            waiting, files, size_bytes = [], 0, 0
    if waiting:
        yield Chunk(_name(waiting, recipe_sha256), tuple(waiting), harmonize, secret, folder)


def _name(units: list[Unit], recipe_sha256: str) -> str:
    inputs = [
        (unit.source, unit.kind, unit.name, unit.frames, [(f.path, f.size_bytes, f.mtime_ns, f.known_sha256, *_told(f.lookup)) for f in unit.files])
        for unit in units
    ]
    return hashlib.sha256(json.dumps([recipe_sha256, inputs], sort_keys=True).encode()).hexdigest()


def _told(lookup: Lookup) -> tuple[object, ...]:
    """Return what the row of an image is made of besides its file."""
    return lookup.fields, lookup.problem, lookup.structures, lookup.text
