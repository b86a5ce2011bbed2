"""DICOM files to images and volumes. `read_header` says what a file is, `read_series` decodes all files of one series.

Every file gets exactly one outcome. Nothing of a header leaves this module except what `curation.dicom_fields` allows, and the raw patient id in
`Acquired.patient`, which the caller turns into a pseudonym.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from curation.acquired import Acquired
from curation.dicom_fields import fields_of, patient_of, text_of
from curation.dicom_geometry import is_sane_spacing
from curation.dicom_pixels import coloured, decode_frames, displayed, frames_of
from curation.dicom_planes import Plane, planes_of
from curation.dicom_reading import guarded, is_image_class, open_dataset
from curation.dicom_tilt import upright
from curation.dicom_volumes import AIR_HU, Volume, attributes_of, build_volumes, volume_pixels
from curation.errors import ImageError
from curation.modalities import family_of
from curation.pixels import Pixels, hash_pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NOT_AN_IMAGE = "NOT_AN_IMAGE"
SAME_PIXELS = "the same pixels at the same place are in an earlier file of the series"
TILT_CORRECTED = "GANTRY_TILT_CORRECTED"
"""Note of a volume that was sheared upright; its `attributes` say by how many degrees the gantry was tilted."""
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
OWNER_NAMES = ("PatientID", "StudyInstanceUID", "Modality")
CONTENT_NAMES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")
TEXT_MODALITIES = frozenset({"US", "SC", "OT"})
HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns", "NumberOfFrames",
]  # fmt: skip


class SeriesKey(NamedTuple):
    """What a file is, in raw strings of its header: only for grouping and matching, never stored."""

    patient: str
    study_uid: str
    series_uid: str
    instance_uid: str
    sop_class_uid: str
    modality: str
    rows: int
    columns: int
    frames: int


class Outcome(NamedTuple):
    """What became of one file. `image_index` points into `SeriesResult.images`; of several, the first."""

    outcome: Literal["kept", "duplicate", "quarantined", "skipped"]
    code: str = ""
    reason: str = ""
    image_index: int | None = None
    more_indexes: tuple[int, ...] = ()

    @property
    def images(self) -> tuple[int, ...]:
        """Places in `SeriesResult.images` of all images that the file gave something to."""
        return self.more_indexes if self.image_index is None else (self.image_index, *self.more_indexes)


class SeriesResult(NamedTuple):
    """Images of one series, and the outcome of each of its files."""

    images: list[Acquired]
    outcomes: dict[Path, Outcome]


class Instance(NamedTuple):
    """One decoded file.

    Attributes:
        path: where it is.
        dataset: its header; the pixels are gone.
        frames: stored values, `(F, H, W)` or `(F, H, W, 3)`.
        instance_uid: raw.
        owner: raw values of `OWNER_NAMES`; a series has one owner.
        content: what makes two files the same image: hash of the pixels, and their place and meaning.
    """

    path: Path
    dataset: Dataset
    frames: Pixels
    instance_uid: str
    owner: tuple[str, ...]
    content: tuple[str, ...]


def read_header(path: Path) -> SeriesKey:
    """Return what a file is, from a few elements and without its pixels.

    Raises:
        ImageError: NOT_AN_IMAGE for an object that is whole but holds no picture of a patient (report, plan, directory); else why it cannot be used.
    """
    return describe(open_dataset(path, HEADER_TAGS))


def describe(dataset: Dataset) -> SeriesKey:
    """Return what an opened data set is.

    Raises:
        ImageError: as `read_header`.
    """
    with guarded():
        sop_class_uid = text_of(dataset, "SOPClassUID") or text_of(dataset.file_meta, "MediaStorageSOPClassUID")
        rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
        study_uid, series_uid, instance_uid = (text_of(dataset, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
        if not sop_class_uid:
            raise ImageError("NO_UID", "the file does not say what kind of object it is")
        if not is_image_class(sop_class_uid, has_rows="Rows" in dataset):
            raise ImageError(NOT_AN_IMAGE, "the object holds no image: a report, plan, segmentation, presentation, waveform or directory")
        if "Rows" not in dataset or "Columns" not in dataset:
            raise ImageError("TRUNCATED", "the file ends before its pixels")
        if not (study_uid and series_uid and instance_uid):
            raise ImageError("NO_UID", "the study, series or instance has no UID")
        patient, modality = text_of(dataset, "PatientID"), text_of(dataset, "Modality")
        return SeriesKey(patient, study_uid, series_uid, instance_uid, sop_class_uid, modality, rows, columns, frames_of(dataset))


def read_series(paths: Iterable[Path], key: bytes, *, correct_tilt: bool = False) -> SeriesResult:
    """Return the images of one series.

    Args:
        paths: all files that share a series UID, in any order; the result does not depend on it.
        key: secret of the pseudonyms.
        correct_tilt: shear CT volumes of a tilted gantry upright instead of refusing them.
    """
    outcomes: dict[Path, Outcome] = {}
    instances: list[Instance] = []
    for path in sorted(paths):
        try:
            instances.append(read_instance(path))
        except ImageError as error:
            outcomes[path] = _refusal(error)
    instances = _drop_repeats(instances, outcomes)
    if conflict := _conflict(instances):
        outcomes.update((instance.path, _refusal(conflict)) for instance in instances)
        instances = []
    images: list[Acquired] = []
    if instances and family_of(instances[0].owner[-1]) in ("ct", "mr"):
        _keep_volumes(instances, key, images, outcomes, correct_tilt=correct_tilt)
    else:
        _keep_images(instances, key, images, outcomes)
    return SeriesResult(images, outcomes)


def _refusal(error: ImageError) -> Outcome:
    return Outcome("skipped" if error.code == NOT_AN_IMAGE else "quarantined", error.code, error.reason)


def read_instance(path: Path) -> Instance:
    """Return one decoded file.

    Raises:
        ImageError: the file cannot be used, whatever the rest of its series is.
    """
    dataset = open_dataset(path)
    describe(dataset)
    with guarded():
        check_instance(dataset)
        refuse_visible_identity(dataset)
    frames = decode_frames(dataset)
    with guarded():
        del dataset.PixelData
        owner, place = (tuple(text_of(dataset, name) for name in names) for names in (OWNER_NAMES, CONTENT_NAMES))
        return Instance(path, dataset, frames, text_of(dataset, "SOPInstanceUID"), owner, (hash_pixels(frames), *place))


def check_instance(dataset: Dataset) -> None:
    """Refuse what cannot be an image of ours, before its pixels are decoded.

    Raises:
        ImageError: SYNTHETIC, MODALITY or MULTIFRAME.
    """
    if text_of(dataset, "SyntheticData").upper() == "YES":
        raise ImageError("SYNTHETIC", "the header says that the image is synthetic: no patient's image")
    modality = text_of(dataset, "Modality")
    family = family_of(modality)
    if family is None:
        raise ImageError("MODALITY", "the modality is missing or is not one that we take")
    if frames_of(dataset) > 1 and family not in ("ct", "mr"):
        raise ImageError("MULTIFRAME", f"{frames_of(dataset)} frames in one file: films are not taken yet")


def refuse_visible_identity(dataset: Dataset) -> None:
    """Refuse pixels that may show who the patient is.

    Raises:
        ImageError: BURNED_IN_TEXT or RECOGNIZABLE.
    """
    said = text_of(dataset, "BurnedInAnnotation").upper()
    is_capture = text_of(dataset, "SOPClassUID").startswith(SECONDARY_CAPTURE) or text_of(dataset, "Modality") in TEXT_MODALITIES
    if said == "YES":
        raise ImageError("BURNED_IN_TEXT", "the header says that text is burned into the pixels")
    if is_capture and said != "NO":
        raise ImageError("BURNED_IN_TEXT", "screens and ultrasound often show the patient's name, and the header does not exclude it")
    if text_of(dataset, "RecognizableVisualFeatures").upper() == "YES":
        raise ImageError("RECOGNIZABLE", "the header says that the patient can be recognized")


def _drop_repeats(instances: list[Instance], outcomes: dict[Path, Outcome]) -> list[Instance]:
    """Keep the first of equal instances; refuse all that share a UID but not their pixels and place."""
    by_uid: dict[str, list[Instance]] = {}
    for instance in instances:
        by_uid.setdefault(instance.instance_uid, []).append(instance)
    unique: dict[tuple[str, ...], Instance] = {}
    for same in by_uid.values():
        if len({instance.content for instance in same}) > 1:
            conflict = Outcome("quarantined", "UID_CONFLICT", "several files claim one instance UID with different pixels or places")
            outcomes.update((instance.path, conflict) for instance in same)
            continue
        number = text_of(same[0].dataset, "InstanceNumber")  # equal slices of two time points (of air, say) are no repeats
        for instance in same:
            if unique.setdefault((*instance.content, number), instance) is not instance:
                outcomes[instance.path] = Outcome("duplicate", "SAME_PIXELS", SAME_PIXELS)
    return list(unique.values())


def _conflict(instances: list[Instance]) -> ImageError | None:
    """Return why files cannot be one series: they name different patients, studies or modalities."""
    for index, name in enumerate(OWNER_NAMES):
        if len({instance.owner[index] for instance in instances}) > 1:
            return ImageError("IDENTITY", f"files of one series differ in {name}")
    return None


def _keep_volumes(instances: list[Instance], key: bytes, images: list[Acquired], outcomes: dict[Path, Outcome], *, correct_tilt: bool) -> None:
    """Add the volumes of a CT or MR series and the outcome of every file."""
    planes: list[Plane] = []
    headers = {instance.path: instance.dataset for instance in instances}
    for instance in instances:
        try:
            with guarded():
                _refuse_localizer(instance.dataset)
                planes.extend(planes_of(instance.path, instance.dataset, instance.frames))
        except ImageError as error:
            outcomes[instance.path] = _refusal(error)
    found = build_volumes(planes, correct_tilt=correct_tilt and instances[0].owner[-1] == "CT")
    for volume in found.volumes:
        paths = dict.fromkeys(plane.path for plane in volume.planes)
        try:
            with guarded():
                images.append(_acquired_volume(volume, headers[volume.planes[0].path], key))
        except ImageError as error:
            outcome = _refusal(error)
        else:
            outcome = Outcome("kept", image_index=len(images) - 1)
        _settle(paths, outcome, outcomes)
    for group in found.refused:
        _settle(dict.fromkeys(plane.path for plane in group.planes), _refusal(group.error), outcomes)
    _settle((plane.path for plane in found.repeated), Outcome("duplicate", "SAME_PIXELS", SAME_PIXELS), outcomes)


def _settle(paths: Iterable[Path], outcome: Outcome, outcomes: dict[Path, Outcome]) -> None:
    """Give each file its outcome; a file that is kept in one volume stays kept."""
    for path in paths:
        known = outcomes.get(path)
        if known is None or (known.outcome != "kept" and outcome.outcome == "kept"):
            outcomes[path] = outcome
        elif known.outcome == outcome.outcome == "kept":
            outcomes[path] = known._replace(more_indexes=known.more_indexes + outcome.images)


def _refuse_localizer(dataset: Dataset) -> None:
    if "LOCALIZER" in text_of(dataset, "ImageType").upper():
        raise ImageError("SINGLE_SLICE", "a localizer is no volume")
    if text_of(dataset, "Modality") == "CT" and "PerFrameFunctionalGroupsSequence" not in dataset and dataset.get("RescaleIntercept") is None:
        raise ImageError("VALUE_RANGE", "a CT without rescale intercept cannot be turned into Hounsfield units")


def _acquired_volume(volume: Volume, dataset: Dataset, key: bytes) -> Acquired:
    modality = text_of(dataset, "Modality")
    pixels, affine, fields = volume_pixels(volume, modality), volume.stack.affine, fields_of(dataset, key)
    is_tilted = any(volume.stack.shear_mm)
    if is_tilted:
        pixels, affine = upright(pixels, volume.stack, AIR_HU)
    if attributes := attributes_of(volume):
        fields["attributes"] = json.dumps(attributes, sort_keys=True)
    return Acquired(pixels, modality, patient_of(dataset), volume.stack.spacing_mm, affine, fields, notes=(TILT_CORRECTED,) if is_tilted else ())


def _keep_images(instances: list[Instance], key: bytes, images: list[Acquired], outcomes: dict[Path, Outcome]) -> None:
    """Add every file of a series as a 2-D image."""
    for instance in instances:
        try:
            with guarded():
                images.append(_acquired_image(instance, key))
        except ImageError as error:
            outcomes[instance.path] = _refusal(error)
        else:
            outcomes[instance.path] = Outcome("kept", image_index=len(images) - 1)


def _acquired_image(instance: Instance, key: bytes) -> Acquired:
    dataset, stored = instance.dataset, instance.frames[0]
    modality = text_of(dataset, "Modality")
    if stored.ndim == 3 or dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        if family_of(modality) == "xray":
            raise ImageError("COLOUR", "a projection image cannot be in colour")
        pixels: Pixels = coloured(dataset, stored)
    else:
        pixels = displayed(dataset, stored)
    if pixels.min() == pixels.max():
        raise ImageError("VALUE_RANGE", "every pixel has the same value")
    return Acquired(pixels, modality, patient_of(dataset), _spacing_2d(dataset), None, fields_of(dataset, key))


def _spacing_2d(dataset: Dataset) -> tuple[float, float] | None:
    """Return the distance of rows and columns in mm, or None when it is not said.

    Raises:
        ImageError: SPACING, when it is said and cannot be.
    """
    value = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    if not value:
        return None
    spacing = tuple(float(number) for number in value) if not isinstance(value, str | float | int) else ()
    if len(spacing) != 2 or not all(is_sane_spacing(number) for number in spacing):
        raise ImageError("SPACING", "the pixel spacing is zero, negative or absurd")
    return spacing[0], spacing[1]
