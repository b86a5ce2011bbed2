"""What a worker makes of raster and NIfTI files: one image, one a volume or page, or an image with its label maps, voxels and b-values beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.nifti import NiftiFile, open_nifti, parse_b_values, read_volumes
from curation.nifti_labels import LabelMap, join_label_maps, read_label_map
from curation.outcomes import READ_ERRORS, FileResult, UnitResult, check_kind, hash_file, refusal_of, refuse
from curation.raster import read_raster
from curation.row import make_row
from curation.sources.bids import SIDECARS, Role, is_label_map, modality_of, role_of, structure_of, subject_of
from curation.sources.sidecar import read_sidecar
from curation.sources.sniff import HEAD_BYTES
from curation.structures import OVERLAP
from curation.units import Chunk, Unit, UnitFile
from curation.visible.clearing import clear_image

MAX_FILE_BYTES = 4 << 30
PART_REFUSED = "PART_REFUSED"
"""Note of an image when other volumes or pages of its file could not be used."""


class Loaded(NamedTuple):
    """One file of a unit, whole."""

    file: UnitFile
    role: Role
    content: bytes
    sha256: str


def read_file_unit(unit: Unit, chunk: Chunk) -> UnitResult:
    """Return what became of one raster or NIfTI image and the files beside it. An image is kept also when a file beside it is refused."""
    results: dict[str, FileResult] = {}
    loaded: list[Loaded] = []
    for file in unit.files:
        try:
            loaded.append(load(file, role_of(file.path, unit.name), unit.kind))
        except (ImageError, *READ_ERRORS) as error:
            results[file.path] = refusal_of(file.path, refuse(error), hash_file(file.real))
    if len(loaded) == len(unit.files) and all(known.sha256 == known.file.known_sha256 for known in loaded):
        return UnitResult(unit.source, unit.name, [FileResult(known.file.path, "unchanged", sha256=known.sha256) for known in loaded])
    made = UnitResult(unit.source, unit.name, [])
    try:
        for known in loaded:
            refuse_changed(known.file)
        _make_rows(_images(unit, loaded, results, chunk.secret), unit, chunk, made)
    except (ImageError, *READ_ERRORS) as error:
        made = UnitResult(unit.source, unit.name, [])
        _settle_refused(loaded, results, refuse(error))
    ids = [row["image_id"] for row in made.rows]
    for known in loaded:
        path = known.file.path
        if path not in results:
            is_beside = known.role in SIDECARS.values()
            told = ("skipped", "SIDECAR", "read together with its image") if is_beside else ("kept", "", "")
            results[path] = FileResult(path, *told, known.sha256, [] if is_beside else ids)
    made.files.extend(results[file.path] for file in unit.files)
    return made


def load(file: UnitFile, role: Role, kind: str) -> Loaded:
    """Read one file whole.

    Raises:
        ImageError: it is not what its unit needs.
    """
    with file.real.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if role == "image" and kind == "nifti" and file.path.lower().endswith((".img", ".img.gz")):
            raise ImageError("PAIR", "voxels (.img) without a header (.hdr) of the same name beside them")
        if role in ("image", "label_map"):
            check_kind(file.path, head, kind)
        if file.size_bytes > MAX_FILE_BYTES:
            raise ImageError("TOO_LARGE", "the file has more than 4 GiB")
        # Room for as many bytes as are asked for is taken at once. One more than there were: a file that grew is refused later.
        content = head + stream.read(max(0, file.size_bytes - len(head)) + 1)
    return Loaded(file, role, content, hashlib.sha256(content).hexdigest())


def refuse_changed(file: UnitFile) -> None:
    """Raise `ImageError` (CHANGED) when a file is not what was found any more."""
    status = file.real.stat()
    if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
        raise ImageError("CHANGED", "the file changed while it was read")


def _settle_refused(loaded: list[Loaded], results: dict[str, FileResult], refusal: ImageError) -> None:
    """Give the files of an image that is refused their outcomes."""
    orphan = ImageError("LABEL_MAP", "a label map whose image cannot be used")
    for known in loaded:
        error = orphan if known.role == "label_map" else ImageError("SIDECAR", "its image cannot be used") if known.role in SIDECARS.values() else refusal
        results.setdefault(known.file.path, refusal_of(known.file.path, error, known.sha256))


def _make_rows(images: Iterator[Acquired | ImageError], unit: Unit, chunk: Chunk, made: UnitResult) -> None:
    """Add a row for each image that can be used.

    Raises:
        ImageError: none can; why the first one cannot.
    """
    lookup = next(file.lookup for file in unit.files if file.path == unit.name)
    refusals: list[ImageError] = []
    seen: set[str] = set()
    for image in images:
        try:
            if isinstance(image, ImageError):
                raise image
            image = clear_image(image, unit.burned_in_text, accept_face_risk=unit.accept_face_risk)
            row, encoded = make_row(image, lookup, unit.source, chunk.harmonize, chunk.secret, unit.patients)
        except (ImageError, *READ_ERRORS) as error:
            refusals.append(refuse(error))
            continue
        if row["image_id"] not in seen:
            seen.add(row["image_id"])
            made.rows.append(row)
            made.encoded.append(encoded)
    if not made.rows:
        raise refusals[0]
    for row in made.rows if refusals else ():
        row["notes"] = sorted({*(row["notes"] or ()), PART_REFUSED})


def _images(unit: Unit, loaded: list[Loaded], results: dict[str, FileResult], secret: bytes) -> Iterator[Acquired | ImageError]:
    """Yield the images of a unit. Whose they are: the table's word, else the subject in a BIDS name, else the file itself.

    Raises:
        ImageError: the file of the image cannot be used.
    """
    file = next(file for file in unit.files if file.path == unit.name)
    if unit.name in results:
        raise ImageError(results[unit.name].code, results[unit.name].reason)
    if file.lookup.problem:
        raise ImageError(*file.lookup.problem)
    modality = str(file.lookup.fields.get("modality", ""))
    content = next(known.content for known in loaded if known.role == "image")
    if unit.kind == "raster":
        yield from read_raster(content, modality, file.lookup.patient or f"file {file.path}")
        return
    patient = file.lookup.patient or subject_of(file.path) or f"file {file.path}"
    yield from _nifti_images(file, content, _agreed(modality, file.path), patient, loaded, results, secret)


def _agreed(modality: str, path: str) -> str:
    """Return the modality of a NIfTI file, which the recipe says, its BIDS name, or both."""
    named = modality_of(path)
    if named and modality and named != modality:
        raise ImageError("MODALITY", f"the recipe says that the source holds {modality}, and the BIDS suffix of the file says {named}")
    if not (modality or named):
        raise ImageError("MODALITY", "neither the recipe's `modality` nor a BIDS suffix says what kind of image it is")
    return modality or named or ""


def _nifti_images(
    file: UnitFile, content: bytes, modality: str, patient: str, loaded: list[Loaded], results: dict[str, FileResult], secret: bytes
) -> Iterator[Acquired | ImageError]:
    image = open_nifti(content, next((known.content for known in loaded if known.role == "voxels"), None))
    if is_label_map(file.path) and image.is_whole:
        raise ImageError("LABEL_MAP", "a label map or derivative that fits no image of the source, or several")
    b_values: tuple[float, ...] = ()
    label_map: LabelMap | None = None
    fields: dict[str, Any] = {}
    for known in loaded:
        try:
            if known.role == "b_values":
                b_values = parse_b_values(known.content, image.shape.volumes)
            elif known.role == "sidecar":
                fields = read_sidecar(known.content, secret)
            elif known.role == "label_map":
                label_map = _added(label_map, known, image, file)
        except (ImageError, *READ_ERRORS) as error:
            results[known.file.path] = refusal_of(known.file.path, refuse(error), known.sha256)
    for volume in read_volumes(image, modality, patient, b_values, fields):
        if label_map is None or isinstance(volume, ImageError):
            yield volume
        else:
            notes = (*volume.notes, OVERLAP) if label_map.has_overlap else volume.notes
            yield replace(volume, label_map=label_map.values, label_values=label_map.names, notes=notes)


def _added(so_far: LabelMap | None, known: Loaded, image: NiftiFile, file: UnitFile) -> LabelMap:
    """Return the label maps of an image as one, with that of one more file."""
    found = read_label_map(open_nifti(known.content), image, structure_of(known.file.path), file.lookup.structures)
    return found if so_far is None else join_label_maps(so_far, found)
