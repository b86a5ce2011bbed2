"""What a worker does with one damaged file: the real readers of ingest and `curaloop deidentify`, and what may be wrong with their answers."""

from __future__ import annotations

import gzip
import random
import re
import shutil
import time
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.fuzz.bases import NAME, PATIENT, Base
from benchmarks.fuzz.mutations import MUTATIONS
from benchmarks.fuzz.readings import reading_of
from curation.deidentify.files import UNFINISHED, clean_one
from curation.deidentify.options import DeidentifySettings
from curation.headers import HeaderJob, read_headers
from curation.reading import read_unit
from curation.recipe import HarmonizeSettings
from curation.sources.archives import Archive, open_archive
from curation.sources.bids import find_units
from curation.sources.table import Lookup
from curation.units import Chunk, Unit, UnitFile

KEY = b"k" * 32
FRAGMENT = 7
"""So many letters of a planted name in a row are a leak."""
SECONDS, GROWN_MB = 5.0, 1024


class Mutant(NamedTuple):
    """One damaged file: the generator's seed is `base.name#number`; number 0 is the sound one."""

    base: Base
    number: int
    folder: Path

    def split(self) -> list[Mutant]:
        """Return the mutant alone: it cannot be divided."""
        return [self]


class Answer(NamedTuple):
    """What the readers said.

    Attributes:
        mutant: of which file.
        mutation: what was done to it.
        outcome: of the damaged file in ingest: a code, or `kept`.
        images: fingerprints of what came out: image, pixels and label map, or the members of an archive.
        cleaned: a code, or `written`, of `curaloop deidentify`; empty for archives.
        is_same: the reading that pixels hang on is that of the sound file.
        leaks: planted words in what `curaloop deidentify` wrote.
        seconds: CPU time.
        grown_mb: by how much the memory of the worker grew at its peak.
    """

    mutant: Mutant
    mutation: str
    outcome: str
    images: frozenset[str]
    cleaned: str
    is_same: bool
    leaks: tuple[str, ...]
    seconds: float
    grown_mb: int


def probe(mutant: Mutant) -> Answer:
    """Damage, read and de-identify."""
    base, number, folder = mutant
    shutil.rmtree(folder, ignore_errors=True)
    (folder / UNFINISHED).mkdir(parents=True)
    target = base.damaged[number % len(base.damaged)]
    mutation, content = _damage(base, number, target.read_bytes())
    path = folder / target.name
    path.write_bytes(content)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started, held_kb = time.process_time(), _status_kb("VmRSS")
    outcome, images = _open(path, folder) if base.kind == "archive" else _ingest(base, target, path)
    cleaned, leaks = _clean(path, folder) if base.kind != "archive" else ("", ())
    seconds, grown_mb = time.process_time() - started, (_status_kb("VmHWM") - held_kb) // 1024
    is_same = reading_of(content, target.name) == _sound_reading(target)
    return Answer(mutant, mutation, outcome, images, cleaned, is_same, leaks, seconds, grown_mb)


def _status_kb(name: str) -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))


@lru_cache(maxsize=512)
def _sound_reading(path: Path) -> str:
    return reading_of(path.read_bytes(), path.name)


def _damage(base: Base, number: int, content: bytes) -> tuple[str, bytes]:
    if number == 0:
        return "none", content
    rng = random.Random(f"{base.name}#{number}")
    mutation = rng.choice(MUTATIONS)
    return mutation.__name__, mutation(content, rng)


def _ingest(base: Base, target: Path, path: Path) -> tuple[str, frozenset[str]]:
    """Read the unit of the damaged file as a worker of ingest does."""
    real = {file: path if file == target else file for file in base.files}
    if base.kind == "dicom":
        headers = {h.path: h for h in read_headers(HeaderJob(tuple((base.name, file.name, real[file]) for file in base.files)))}
        own = headers[target.name]
        if own.refusal:
            return own.refusal.code, frozenset()
        real = {file: place for file, place in real.items() if not headers[file.name].refusal and headers[file.name].unit(KEY) == own.unit(KEY)}
    units = find_units([file.name for file in real]) if base.kind == "nifti" else {}
    name = units.get(target.name, target.name)
    members = tuple(_unit_file(file.name, place, base.kind) for file, place in real.items())
    chunk = Chunk("fuzz", (), HarmonizeSettings(), KEY, path.parent)
    result = read_unit(Unit("fuzz", base.kind, name, members), chunk)  # type: ignore[arg-type]
    own_result = next(file for file in result.files if file.path == target.name)
    images = frozenset(f"{row['image_id']} {row['pixels_sha256']} {row.get('label_map_sha256')}" for row in result.rows)
    return own_result.code or own_result.outcome, images


def _unit_file(name: str, path: Path, kind: str) -> UnitFile:
    status = path.stat()
    lookup = Lookup() if kind == "dicom" else Lookup("patient", {"modality": "MR" if kind == "nifti" else "XC"})
    return UnitFile(name, path, status.st_size, status.st_mtime_ns, None, lookup)


def _open(path: Path, folder: Path) -> tuple[str, frozenset[str]]:
    status = path.stat()
    opened = open_archive(Archive("fuzz", path.name, str(path), status.st_size, status.st_mtime_ns, folder / "members"))
    contents = {f"{zlib.crc32(Path(found.real).read_bytes()):08x}" for found in opened.members if found.state == "file"}
    outcome = "kept" if opened.state == "archive" and all(found.state == "file" for found in opened.members) else opened.state
    return "member_damaged" if outcome == "archive" else outcome, frozenset(contents)


def _clean(path: Path, folder: Path) -> tuple[str, tuple[str, ...]]:
    answer = clean_one(path, folder, KEY, DeidentifySettings())
    if answer.refusal:
        return answer.refusal.code, ()
    written = [(folder / UNFINISHED / new.waiting).read_bytes() for new in answer.written]
    found = {match.decode("latin-1") for content in written for match in _planted().findall(_unpacked(content))}
    return "written" if written else "nothing", tuple(sorted(found))


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


@lru_cache(maxsize=1)
def _planted() -> re.Pattern[bytes]:
    """Match any piece of a planted word."""
    pieces = {word[start : start + FRAGMENT] for word in (*NAME.split("^"), PATIENT, "Krankenhaus Hinterwald") for start in range(len(word) - FRAGMENT + 1)}
    return re.compile(b"|".join(re.escape(piece.encode()) for piece in sorted(pieces)), re.IGNORECASE)
