"""What a worker does: read, de-identify, harmonize and encode the units of a chunk, and leave one part on the disk.

Nothing that a file holds can stop it: whatever a reader raises becomes the outcome of that file. Arrays and raw identifiers never leave the worker.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from curation.acquired import Acquired
from curation.errors import ImageError, IntegrityError, WorkerLostError
from curation.file_reading import read_file_unit, refuse_changed
from curation.memory import keep_freed_memory
from curation.outcomes import READ_ERRORS, FileResult, UnitResult, hash_file, refusal_of, refuse
from curation.row import make_row
from curation.shards import OWN_SHARD_BYTES, OWN_SHARDS, verify_shard, write_own_shard
from curation.sources.table import Lookup
from curation.study_reading import split_study
from curation.units import Chunk, Unit, UnitFile
from curation.visible.clearing import clear_image

SAME_IN_UNIT = "SAME_PIXELS"
MAX_ROOM_BYTES = 1 << 30


def read_chunk(chunk: Chunk) -> str:
    """Read all units, write `<name>.bin` (encoded images) and `<name>.json` (outcomes and rows), and return the name; a finished part is left as it is."""
    import cv2

    cv2.setNumThreads(1)
    keep_freed_memory()
    if not is_finished(chunk.folder, chunk.name):
        write_part([read_unit(unit, chunk) for unit in chunk.units], chunk.folder, chunk.name)
    return chunk.name


def is_finished(folder: Path, name: str) -> bool:
    """Say whether all files of a part are whole; not all are flushed to the disk, so a power cut may leave anything in them."""
    try:
        part = json.loads((folder / f"{name}.json").read_bytes())
        for shard in {row["shard"] for unit in part["units"] for row in unit["rows"] if row["shard"]}:
            verify_shard(folder / OWN_SHARDS / shard)
        return bool(hashlib.sha256((folder / f"{name}.bin").read_bytes()).hexdigest() == part["bin_sha256"])
    except (OSError, ValueError, KeyError, TypeError, IntegrityError):
        return False


def write_part(results: list[UnitResult], folder: Path, name: str) -> None:
    """Write the results of a chunk; the list of outcomes last, so that a part with one is whole. A big image is written as a shard already."""
    small: list[bytes | memoryview] = []
    offset = 0
    for result in results:
        for row, content in zip(result.rows, result.encoded, strict=True):
            row["unit"] = result.unit
            if len(content) >= OWN_SHARD_BYTES:
                row |= write_own_shard(row, content, folder / OWN_SHARDS)
                continue
            row |= {"part": name, "part_offset": offset, "part_bytes": len(content)}
            offset += len(content)
            small.append(content)
    joined = b"".join(small)
    units = [{"source": r.source, "unit": r.unit, "files": [vars(file) for file in r.files], "rows": r.rows} for r in results]
    _replace(folder / f"{name}.bin", joined)
    _replace(folder / f"{name}.json", json.dumps({"bin_sha256": hashlib.sha256(joined).hexdigest(), "units": units}).encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file that another process sees whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def crash_part(chunk: Chunk, lost: WorkerLostError) -> str:
    """Write the part of a chunk of one unit that takes the worker that reads it."""
    results = []
    for unit in chunk.units:
        files = [FileResult(file.path, "quarantined", lost.code, lost.reason, hash_file(file.real)) for file in unit.files]
        results.append(UnitResult(unit.source, unit.name, files))
    write_part(results, chunk.folder, chunk.name)
    return chunk.name


def read_unit(unit: Unit, chunk: Chunk) -> UnitResult:
    """Return what became of one unit, whatever its files hold."""
    try:
        if unit.kind != "dicom":
            return read_file_unit(unit, chunk)
        return _read_study_unit(unit, chunk) if unit.has_reports else _read_series_unit(unit, chunk)
    except READ_ERRORS as error:
        refusal = refuse(error)
    return UnitResult(unit.source, unit.name, [refusal_of(file.path, refusal, hash_file(file.real)) for file in unit.files])


def _read_study_unit(unit: Unit, chunk: Chunk) -> UnitResult:
    """Read all files of one DICOM study, and give the text of its reports to its images."""
    hashes = [hash_file(file.real) for file in unit.files]
    if all(file.known_sha256 and file.known_sha256 == sha256 for file, sha256 in zip(unit.files, hashes, strict=True)):
        return UnitResult(unit.source, unit.name, [FileResult(file.path, "unchanged", sha256=file.known_sha256) for file in unit.files])
    parts, others = split_study(unit)
    made = UnitResult(unit.source, unit.name, others)
    seen: set[str] = set()
    for result in (_read_series_unit(part, chunk) for part in parts):
        for file in result.files:
            if file.image_ids and seen.issuperset(file.image_ids):
                file.outcome, file.code, file.reason = "duplicate", SAME_IN_UNIT, "the same pixels are in an earlier series of the study"
        made.files.extend(result.files)
        new = [(row, content) for row, content in zip(result.rows, result.encoded, strict=True) if row["image_id"] not in seen]
        made.rows.extend(row for row, _ in new)
        made.encoded.extend(content for _, content in new)
        seen |= {row["image_id"] for row, _ in new}
    return made


class HashedReads:
    """Reads files whole, once, and keeps the hash of each."""

    def __init__(self, files: tuple[UnitFile, ...]) -> None:
        """Take memory for all `files` at once: many pieces would cost as much time as reading them does."""
        self._sha256: dict[Path, str] = {}
        self._room = memoryview(np.empty(min(sum(file.size_bytes for file in files), MAX_ROOM_BYTES), np.uint8).data)

    def read(self, path: Path) -> bytes | memoryview:
        """Return the bytes of a file."""
        content: bytes | memoryview | None = self._read_into_room(path)
        if content is None:
            content = path.read_bytes()
        self._sha256[path] = hashlib.sha256(content).hexdigest()
        return content

    def _read_into_room(self, path: Path) -> memoryview | None:
        """Return the bytes of a file, or None when it does not fit or has another size than it says."""
        with path.open("rb", buffering=0) as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            if not 0 < size_bytes <= len(self._room) or stream.readinto(self._room[:size_bytes]) != size_bytes or stream.read(1):
                return None
        content, self._room = self._room[:size_bytes], self._room[size_bytes:]
        return content

    def sha256_of(self, path: Path) -> str | None:
        """Return the hash of a file, also of one that was never read whole; None when it cannot be read."""
        return self._sha256.get(path) or hash_file(path)


def _read_series_unit(unit: Unit, chunk: Chunk) -> UnitResult:
    """Read all files of one DICOM series."""
    from curation.dicom import read_series

    if all(file.known_sha256 and file.known_sha256 == hash_file(file.real) for file in unit.files):
        return UnitResult(unit.source, unit.name, [FileResult(file.path, "unchanged", sha256=file.known_sha256) for file in unit.files])
    hashes = HashedReads(unit.files)
    series = read_series(
        [file.real for file in unit.files],
        chunk.secret,
        correct_tilt=chunk.harmonize.ct.correct_tilt,
        frames=unit.frames,
        structures=unit.files[0].lookup.structures,
        read=hashes.read,
    )
    by_path = {file.real: file for file in unit.files}
    result = UnitResult(unit.source, unit.name, [])
    for path, file in by_path.items():
        outcome = series.outcomes[path]
        result.files.append(FileResult(file.path, outcome.outcome, outcome.code, outcome.reason, hashes.sha256_of(path)))
    members = [[n for n, path in enumerate(by_path) if index in series.outcomes[path].images] for index in range(len(series.images))]
    kept = [n for n, file in enumerate(result.files) if file.outcome == "kept"]
    for image, numbers in zip(series.images, members, strict=True):
        _add_image(image, [(unit.files[n], result.files[n]) for n in numbers or kept[:1]], unit, chunk, result)
    return result


def _add_image(image: Acquired, members: list[tuple[UnitFile, FileResult]], unit: Unit, chunk: Chunk, result: UnitResult) -> None:
    """Add the row of one image of a series, or give its files the reason why not."""
    try:
        for file, _ in members:
            refuse_changed(file)
        lookup = _with_names(_one_lookup([file.lookup for file, _ in members]), members[0][0])
        image = clear_image(image, unit.burned_in_text, accept_face_risk=unit.accept_face_risk)
        row, encoded = make_row(image, lookup, unit.source, chunk.harmonize, chunk.secret, unit.patients)
    except (ImageError, *READ_ERRORS) as error:
        refusal = refuse(error)
        _settle(members, "quarantined", refusal.code, refusal.reason)
        return
    if any(row["image_id"] == other["image_id"] for other in result.rows):
        _settle(members, "duplicate", SAME_IN_UNIT, "the same pixels are in an earlier file of the series")
        return
    _settle(members, "kept", "", "")
    for _, outcome in members:
        outcome.image_ids.append(row["image_id"])
    result.rows.append(row)
    result.encoded.append(encoded)


def _settle(members: list[tuple[UnitFile, FileResult]], outcome: str, code: str, reason: str) -> None:
    """Give the files of an image their outcome; a file that another image already uses stays kept."""
    for _, result in members:
        if not result.image_ids:
            result.outcome, result.code, result.reason = outcome, code, reason


def _with_names(lookup: Lookup, file: UnitFile) -> Lookup:
    """Return the lookup with what the header says of people and places, when there is a text to clean of them."""
    if not lookup.text:
        return lookup
    from curation.dicom_reports import header_names

    return replace(lookup, known=lookup.known | header_names(file.real))


def _one_lookup(lookups: list[Lookup]) -> Lookup:
    """Return what the table says of an image of several files.

    Raises:
        ImageError: TABLE_CONFLICT, the table says different things of them, or what the table's own problem is.
    """
    for lookup in lookups:
        if lookup.problem:
            raise ImageError(*lookup.problem)
    distinct = {json.dumps([lookup.patient, lookup.fields], sort_keys=True): lookup for lookup in lookups}
    labelled = [lookup for lookup in distinct.values() if "label" in lookup.fields]
    if len(labelled) > 1:
        raise ImageError("TABLE_CONFLICT", "the table says different things of the files of one image")
    return labelled[0] if labelled else next(iter(distinct.values()), Lookup())
