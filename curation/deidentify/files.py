"""De-identify a file or a folder: DICOM to DICOM, NIfTI to NIfTI, PNG, JPEG and TIFF to PNG.

One file after the other, so memory does not grow with the folder. Names in the output are pseudonyms; names of the input appear nowhere, not even
in the report. Pixels are only judged by what a header says of them: text or a face in a PNG is not seen.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from curation.deidentify.dataset import clean_dataset, encode_dataset
from curation.deidentify.harvest import harvest_identifiers, refuse_leaks
from curation.dicom import NOT_AN_IMAGE, describe, refuse_visible_identity
from curation.dicom_reading import guarded, open_dataset
from curation.errors import ImageError, UsageError
from curation.nifti import read_nifti
from curation.pixels import encode_nifti, encode_png
from curation.progress import Progress, silent
from curation.pseudonyms import pseudonym
from curation.raster import decode_raster
from curation.sources.sniff import HEAD_BYTES, Kind, promises_image, sniff
from curation.sources.walk import Found, walk


class Refusal(NamedTuple):
    """One file that was not written. `name` is the start of its SHA-256, as file names may name patients."""

    name: str
    code: str
    reason: str


@dataclass(frozen=True)
class DeidentifyReport:
    """What became of every file: `found` is the sum of cleaned, duplicates, skipped and the refused."""

    found: int
    cleaned: int
    duplicates: int
    skipped: int
    refused: tuple[Refusal, ...]


class Cleaned(NamedTuple):
    """The bytes of a new file, and where they go below the output folder."""

    place: str
    content: bytes


def deidentify_files(inp: Path, out: Path, key: bytes, progress: Progress = silent) -> DeidentifyReport:
    """Write a de-identified copy of every image at `inp` below the new folder `out`.

    Args:
        inp: a file or a folder; it is only read.
        out: a folder that is empty or not there yet, and not inside `inp`.
        key: secret of the pseudonyms; the same key gives the same names, so parts of a cohort can be done one by one.
        progress: told after every file.

    Raises:
        UsageError: `inp` is missing, or `out` may not be written to.
    """
    _check_folders(inp, out)
    entries = sorted(walk(inp), key=lambda found: found.path)
    written: dict[str, str] = {}
    counts: Counter[str] = Counter()
    refused: list[Refusal] = []
    for done, found in enumerate(entries, start=1):
        try:
            counts[_deidentify(found, out, key, written)] += 1
        except ImageError as error:
            if error.code == NOT_AN_IMAGE:
                counts["skipped"] += 1
            else:
                refused.append(Refusal(_name(found), error.code, error.reason))
        progress(done, len(entries), "de-identify")
    return DeidentifyReport(len(entries), counts["cleaned"], counts["duplicates"], counts["skipped"], tuple(refused))


def _check_folders(inp: Path, out: Path) -> None:
    if not inp.exists():
        raise UsageError("the input does not exist")
    if out.resolve() == inp.resolve() or out.resolve().is_relative_to(inp.resolve()):
        raise UsageError("the output may not lie inside the input")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the output must be an empty folder, or not exist yet")


def _deidentify(found: Found, out: Path, key: bytes, written: dict[str, str]) -> str:
    """Clean one entry and write it; return the counter that it belongs to."""
    if found.state in ("link", "special"):
        raise ImageError(NOT_AN_IMAGE, "a link or a device is not followed")
    if found.state == "unreadable":
        raise ImageError("UNREADABLE", "the file or folder may not be read")
    path = Path(found.real)
    with guarded():
        with path.open("rb") as stream:
            kind = sniff(stream.read(HEAD_BYTES))
        if kind == "other":
            _refuse_other(found)
        cleaned = CLEANERS[kind](path, key)
    sha256 = hashlib.sha256(cleaned.content).hexdigest()
    if cleaned.place in written:
        if written[cleaned.place] == sha256:
            return "duplicates"
        raise ImageError("UID_CONFLICT", "another file with the same UID and other content was written before")
    _write(out / cleaned.place, cleaned.content)
    written[cleaned.place] = sha256
    return "cleaned"


def _refuse_other(found: Found) -> NoReturn:
    if not found.size_bytes:
        raise ImageError("EMPTY", "the file has no bytes")
    if any(promises_image(found.path, kind) for kind in ("dicom", "nifti", "raster")):
        raise ImageError("BAD_MAGIC", "the name promises an image, but the first bytes are not those of one")
    raise ImageError(NOT_AN_IMAGE, "the file is no image that we know")


def clean_dicom(path: Path, key: bytes) -> Cleaned:
    """Return a DICOM file with a new header; what identifies the patient is searched in it again before it may be written.

    Raises:
        ImageError: NOT_AN_IMAGE, BURNED_IN_TEXT, RECOGNIZABLE, LEAK, or why the file cannot be read.
    """
    dataset = open_dataset(path)
    describe(dataset)
    with guarded():
        refuse_visible_identity(dataset)
    identifiers = harvest_identifiers(dataset)
    clean = clean_dataset(dataset, key)
    content = encode_dataset(clean)
    with guarded("LEAK", "the second look could not read the result; nothing was written"):
        refuse_leaks(content, identifiers)
    study, series, instance = (pseudonym(key, "name", str(uid)) for uid in (clean.StudyInstanceUID, clean.SeriesInstanceUID, clean.SOPInstanceUID))
    return Cleaned(f"{study}/{series}/{instance}.dcm", content)


def clean_nifti(path: Path, key: bytes) -> Cleaned:
    """Return a NIfTI file with voxels and affine only, packed without name and time."""
    volume = read_nifti(path.read_bytes(), "", "MR", "")
    assert volume.affine is not None
    content = encode_nifti(volume.pixels, volume.affine)
    return Cleaned(f"nifti/{pseudonym(key, 'name', hashlib.sha256(content).hexdigest())}.nii.gz", content)


def clean_raster(path: Path, key: bytes) -> Cleaned:
    """Return a PNG with pixels only."""
    original = path.read_bytes()
    try:
        pixels = decode_raster(original, colour=True)
    except ImageError as error:
        if error.code != "DTYPE":
            raise
        pixels = decode_raster(original, colour=False)
    if pixels.ndim == 3 and (np.ptp(pixels, axis=2) == 0).all():
        pixels = np.ascontiguousarray(pixels[..., 0])
    content = encode_png(pixels)
    return Cleaned(f"raster/{pseudonym(key, 'name', hashlib.sha256(content).hexdigest())}.png", content)


CLEANERS: dict[Kind, Callable[[Path, bytes], Cleaned]] = {
    "dicom": clean_dicom, "nifti": clean_nifti, "png": clean_raster, "jpeg": clean_raster, "tiff": clean_raster,
}  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def _name(found: Found) -> str:
    """Return the first 16 hex digits of the file's SHA-256, or that it cannot be read."""
    try:
        with Path(found.real).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError:
        return "unreadable"
