"""Label maps in DICOM: SEG and RTSTRUCT files, which series each belongs to, and how they become the label maps of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from curation.acquired import Acquired
from curation.dicom_contours import HOLES, contours_on
from curation.dicom_fields import text_of
from curation.dicom_kinds import STRUCTURE_SET
from curation.dicom_reading import guarded
from curation.dicom_segments import segments_on
from curation.errors import ImageError
from curation.pixels import hash_pixels
from curation.structures import OVERLAP, Grid, Structure, paint

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NO_REFERENCE = "NO_REFERENCE"
REFERENCE_TAGS = ["ReferencedSeriesSequence", "StudiesContainingOtherReferencedInstancesSequence", "ReferencedFrameOfReferenceSequence"]


class Drawing(NamedTuple):
    """One SEG or RTSTRUCT file, read whole."""

    path: Path
    dataset: Dataset


class Target(NamedTuple):
    """An image that label maps may belong to: the decoded image, and the raw instance UIDs of its files."""

    image: Acquired
    instance_uids: frozenset[str]


class Drawn(NamedTuple):
    """What became of the label maps of one series.

    Attributes:
        images: the images, with their label maps.
        used: for each drawing that is used, the places of its images.
        same: drawings that say again what an earlier one says.
        refused: why a drawing is not used.
    """

    images: list[Acquired]
    used: dict[Path, tuple[int, ...]]
    same: list[Path]
    refused: dict[Path, ImageError]


def referenced_series(dataset: Dataset) -> tuple[str, str]:
    """Return the raw study and series UID of the one series that a SEG or RTSTRUCT object belongs to.

    Raises:
        ImageError: NO_REFERENCE, when it names none or several.
    """
    own = text_of(dataset, "StudyInstanceUID")
    found = [(own, text_of(series, "SeriesInstanceUID")) for series in dataset.get("ReferencedSeriesSequence") or ()]
    for study in dataset.get("StudiesContainingOtherReferencedInstancesSequence") or ():
        found += [(text_of(study, "StudyInstanceUID"), text_of(series, "SeriesInstanceUID")) for series in study.get("ReferencedSeriesSequence") or ()]
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            uid = text_of(study, "ReferencedSOPInstanceUID") or own
            found += [(uid, text_of(series, "SeriesInstanceUID")) for series in study.get("RTReferencedSeriesSequence") or ()]
    distinct = {(study, series) for study, series in found if study and series}
    if len(distinct) != 1:
        raise ImageError(NO_REFERENCE, f"the label map names {len(distinct) or 'no'} series that it belongs to")
    return distinct.pop()


def draw(drawings: Sequence[Drawing], targets: Sequence[Target], names: Mapping[str, str]) -> Drawn:
    """Return the images of a series with their label maps.

    Several label maps of one image become one: their structures follow each other in the order of their instance UIDs.

    Args:
        drawings: SEG and RTSTRUCT files of the series.
        targets: its images.
        names: the user's names of structures by their labels.
    """
    drawn = Drawn([target.image for target in targets], {}, [], {})
    found: dict[int, list[Structure]] = {}
    notes: dict[int, set[str]] = {}
    seen: set[str] = set()
    for drawing in sorted(drawings, key=lambda drawing: (text_of(drawing.dataset, "SOPInstanceUID"), drawing.path)):
        try:
            with guarded():
                on_images = _on_images(drawing.dataset, targets, names)
        except ImageError as error:
            drawn.refused[drawing.path] = error
            continue
        content = _content(on_images)
        if content in seen:
            drawn.same.append(drawing.path)
            continue
        seen.add(content)
        drawn.used[drawing.path] = tuple(on_images)
        for index, (structures, noted) in on_images.items():
            found.setdefault(index, []).extend(structures)
            notes.setdefault(index, set()).update(noted)
    for index, structures in found.items():
        drawn.images[index] = _painted(drawn.images[index], structures, notes[index])
    return drawn


OnImages = dict[int, tuple[list[Structure], tuple[str, ...]]]
"""Structures and notes by the place of the image."""


def _on_images(dataset: Dataset, targets: Sequence[Target], names: Mapping[str, str]) -> OnImages:
    """Return what a drawing marks on each image that it refers to.

    Raises:
        ImageError: NO_REFERENCE, IDENTITY, or why it fits no image.
    """
    chosen = _chosen(dataset, targets)
    found: OnImages = {}
    error: ImageError | None = None
    for index in chosen:
        image = targets[index].image
        try:
            found[index] = _read(dataset, Grid(_shape(image), image.affine), names)
        except ImageError as refusal:
            error = refusal
    if error is not None and not found:
        raise error
    return found


def _read(dataset: Dataset, grid: Grid, names: Mapping[str, str]) -> tuple[list[Structure], tuple[str, ...]]:
    if text_of(dataset, "SOPClassUID") != STRUCTURE_SET:
        return segments_on(dataset, grid, names), ()
    structures, has_holes = contours_on(dataset, grid, names)
    return structures, (HOLES,) if has_holes else ()


def _shape(image: Acquired) -> tuple[int, ...]:
    """Return slices, rows, columns of a volume; rows, columns of a picture, whose last axis may be colour."""
    return image.pixels.shape if image.affine is not None else image.pixels.shape[:2]


def _chosen(dataset: Dataset, targets: Sequence[Target]) -> list[int]:
    """Return the places of the images that a drawing refers to: those whose files it names, else all of the series."""
    if not targets:
        raise ImageError(NO_REFERENCE, "the series that the label map belongs to is not in this source, or was refused")
    patient = text_of(dataset, "PatientID") or f"study {referenced_series(dataset)[0]}"  # as `patient_of` names one without an id
    if any(target.image.patient != patient for target in targets):
        raise ImageError("IDENTITY", "the label map names another patient than its series")
    named = _instance_uids(dataset)
    chosen = [index for index, target in enumerate(targets) if target.instance_uids & named]
    if named and not chosen:
        raise ImageError(NO_REFERENCE, "the images that the label map belongs to are not in this source, or were refused")
    return chosen or list(range(len(targets)))


def _instance_uids(dataset: Dataset) -> frozenset[str]:
    """Return the raw UIDs of the instances that a drawing names, wherever it names them."""
    found: set[str] = set()
    for series in _referenced(dataset):
        for sequence in ("ReferencedInstanceSequence", "ContourImageSequence"):
            found.update(text_of(item, "ReferencedSOPInstanceUID") for item in series.get(sequence) or ())
    return frozenset(found - {""})


def _referenced(dataset: Dataset) -> list[Dataset]:
    """Return the items that stand for the referenced series."""
    found = list(dataset.get("ReferencedSeriesSequence") or ())
    for study in dataset.get("StudiesContainingOtherReferencedInstancesSequence") or ():
        found += list(study.get("ReferencedSeriesSequence") or ())
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            found += list(study.get("RTReferencedSeriesSequence") or ())
    return found


def _content(on_images: OnImages) -> str:
    """Return what makes two drawings the same: the voxels and names of their structures."""
    parts = [f"{index}|{structure.name}|{hash_pixels(structure.voxels)}" for index, (structures, _) in on_images.items() for structure in structures]
    return "\n".join(parts)


def _painted(image: Acquired, structures: list[Structure], notes: set[str]) -> Acquired:
    label_map, values, overlaps = paint(structures, _shape(image))
    further = notes | ({OVERLAP} if overlaps else set())
    return replace(image, label_map=label_map, label_values=values, notes=tuple(sorted({*image.notes, *further})))
