"""One file of any kind to new files below an output folder, or the reason why there is none.

Names in the output are pseudonyms; names of the input appear nowhere, not even in the report.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from curation.deidentify.objects import NewFile, clean_dicom
from curation.deidentify.options import DeidentifySettings
from curation.deidentify.pictures import clean_raster
from curation.deidentify.volumes import clean_nifti, is_voxels_of_pair
from curation.dicom_reading import guarded
from curation.errors import ImageError
from curation.sources.sniff import HEAD_BYTES, promises_image, sniff

NOT_AN_IMAGE = "NOT_AN_IMAGE"
UNFINISHED = ".unfinished"
"""Folder below the output where files lie until they are whole."""


class Refusal(NamedTuple):
    """One file that was not written. `name` is the start of its SHA-256, as file names may name patients."""

    name: str
    code: str
    reason: str


class Written(NamedTuple):
    """A whole new file that waits below `.unfinished` to be moved to its place."""

    place: str
    waiting: str
    masked_px: int = 0


class Answer(NamedTuple):
    """What became of one file: new files, or a refusal, or neither, when it holds no image."""

    written: tuple[Written, ...] = ()
    refusal: Refusal | None = None


class Job(NamedTuple):
    """Some files for one worker."""

    number: int
    paths: tuple[str, ...]
    out: str
    key: bytes
    settings: DeidentifySettings


def clean_files(job: Job) -> tuple[Answer, ...]:
    """Clean some files and return their answers in order; bad input never raises."""
    return tuple(clean_one(Path(path), Path(job.out), job.key, job.settings) for path in job.paths)


def clean_one(path: Path, out: Path, key: bytes, settings: DeidentifySettings) -> Answer:
    """Clean one file and write what comes of it below `out/.unfinished`."""
    waiting: list[Written] = []
    try:
        for new in new_files(path, key, settings):
            waiting.append(_write(new, out))  # noqa: PERF401 (what was written before a refusal has to be known)
    except ImageError as error:
        for written in waiting:
            (out / UNFINISHED / written.waiting).unlink()
        return Answer() if error.code == NOT_AN_IMAGE else Answer(refusal=Refusal(name_of(path), error.code, error.reason))
    return Answer(tuple(waiting))


def new_files(path: Path, key: bytes, settings: DeidentifySettings) -> Iterator[NewFile]:
    """Yield the new files for one file.

    Raises:
        ImageError: NOT_AN_IMAGE, or why it is refused.
    """
    with guarded():
        with path.open("rb") as stream:
            kind = sniff(stream.read(HEAD_BYTES))
        if kind == "dicom":
            yield clean_dicom(path, key, settings)
        elif kind == "nifti":
            yield clean_nifti(path, key, settings)
        elif kind == "other":
            refuse_other(path)
        else:
            yield from clean_raster(path, key, settings)


def refuse_other(path: Path) -> NoReturn:
    """Say why a file that begins like no image is not taken.

    Raises:
        ImageError: NOT_AN_IMAGE, EMPTY or BAD_MAGIC.
    """
    if not path.stat().st_size:
        raise ImageError("EMPTY", "the file has no bytes")
    if is_voxels_of_pair(path):
        raise ImageError(NOT_AN_IMAGE, "the voxels of a pair are written with their header")
    if any(promises_image(path.name, kind) for kind in ("dicom", "nifti", "raster")):
        raise ImageError("BAD_MAGIC", "the name promises an image, but the first bytes are not those of one")
    raise ImageError(NOT_AN_IMAGE, "the file is no image that we know")


def _write(new: NewFile, out: Path) -> Written:
    """Write a file where nobody looks for it yet."""
    waiting = uuid.uuid4().hex
    with (out / UNFINISHED / waiting).open("wb") as stream:
        stream.writelines(new.parts)
    return Written(new.place, waiting, new.masked_px)


def settle(written: Written, out: Path) -> bool:
    """Move a new file to its place; False when an equal one is there already.

    Raises:
        ImageError: UID_CONFLICT, when another one is there.
    """
    waiting, place = out / UNFINISHED / written.waiting, out / written.place
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        waiting.replace(place)
        return True
    is_equal = _sha256(waiting) == _sha256(place)
    waiting.unlink()
    if not is_equal:
        raise ImageError("UID_CONFLICT", "another file with the same UID and other content was written before")
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def name_of(path: Path) -> str:
    """Return the first 16 hex digits of a file's SHA-256, or that it cannot be read."""
    try:
        return _sha256(path)[:16]
    except OSError:
        return "unreadable"
