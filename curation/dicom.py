"""DICOM files to images and volumes. `read_header` says what a file is, `read_series` decodes all files of one series.

Every file gets exactly one outcome. Nothing of a header leaves this module except what `curation.dicom_fields` allows, and the raw patient id in
`Acquired.patient`, which the caller turns into a pseudonym.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curation.acquired import Acquired
from curation.dicom_fields import fields_of, patient_of, text_of
from curation.dicom_instances import OWNER_NAMES, SAME_PIXELS, Instance, Outcome, conflict_of, drop_repeats, refusal_of
from curation.dicom_kinds import LABEL_MAP_CLASSES, refuse_other_objects
from curation.dicom_label_maps import REFERENCE_TAGS, Drawing, Target, draw, referenced_series
from curation.dicom_nuclear import is_tomogram, nuclear_planes
from curation.dicom_pixels import decode_frames, frames_of
from curation.dicom_planes import Plane, planes_of
from curation.dicom_reading import guarded, open_dataset
from curation.dicom_stills import Frames, check_photometric, chosen_frames, still_of
from curation.dicom_streams import stream_notes
from curation.dicom_suv import uptake_of
from curation.dicom_tilt import upright
from curation.dicom_volumes import AIR_HU, Volume, attributes_of, build_volumes, volume_pixels
from curation.errors import ImageError
from curation.modalities import family_of
from curation.visible.header_word import highest_risk, text_risk_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TILT_CORRECTED = "GANTRY_TILT_CORRECTED"
"""Note of a volume that was sheared upright; its `attributes` say by how many degrees the gantry was tilted."""
CONTENT_NAMES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")
HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns", "NumberOfFrames",
    *REFERENCE_TAGS,
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


class SeriesResult(NamedTuple):
    """Images of one series, and the outcome of each of its files."""

    images: list[Acquired]
    outcomes: dict[Path, Outcome]


def read_header(path: Path) -> SeriesKey:
    """Return what a file is, from a few elements and without its pixels.

    Raises:
        ImageError: a code of `dicom_kinds.ROUTED` for an object that is whole but no picture of a patient (report, plan, directory); else why it cannot
            be used.
    """
    return describe(open_dataset(path, HEADER_TAGS))


def describe(dataset: Dataset) -> SeriesKey:
    """Return what an opened data set is; a label map (SEG, RTSTRUCT) goes with the series that it refers to.

    Raises:
        ImageError: as `read_header`.
    """
    with guarded():
        sop_class_uid = text_of(dataset, "SOPClassUID") or text_of(dataset.file_meta, "MediaStorageSOPClassUID")
        rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
        study_uid, series_uid, instance_uid = (text_of(dataset, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
        if not sop_class_uid:
            raise ImageError("NO_UID", "the file does not say what kind of object it is")
        refuse_other_objects(sop_class_uid, text_of(dataset.file_meta, "TransferSyntaxUID"), has_rows="Rows" in dataset)
        if sop_class_uid in LABEL_MAP_CLASSES:
            study_uid, series_uid = referenced_series(dataset)
        elif "Rows" not in dataset or "Columns" not in dataset:
            raise ImageError("TRUNCATED", "the file ends before its pixels")
        if not (study_uid and series_uid and instance_uid):
            raise ImageError("NO_UID", "the study, series or instance has no UID")
        patient, modality = text_of(dataset, "PatientID"), text_of(dataset, "Modality")
        return SeriesKey(patient, study_uid, series_uid, instance_uid, sop_class_uid, modality, rows, columns, frames_of(dataset))


def read_series(
    paths: Iterable[Path],
    key: bytes,
    *,
    correct_tilt: bool = False,
    frames: Frames = "refuse",
    structures: Mapping[str, str] | None = None,
    read: Callable[[Path], bytes | memoryview] = Path.read_bytes,
) -> SeriesResult:
    """Return the images of one series.

    Args:
        paths: all files that share a series UID, and the label maps that refer to it, in any order; the result does not depend on it.
        key: secret of the pseudonyms.
        correct_tilt: shear CT volumes of a tilted gantry upright instead of refusing them.
        frames: what is taken of films.
        structures: the user's names of structures in label maps, by their labels there.
        read: gives the bytes of a file; a caller that hashes them passes what keeps the hash.
    """
    outcomes: dict[Path, Outcome] = {}
    instances: list[Instance] = []
    drawings: list[Drawing] = []
    for path in sorted(paths):
        try:
            dataset = open_dataset(path, read=read)
            if describe(dataset).sop_class_uid in LABEL_MAP_CLASSES:
                drawings.append(Drawing(path, dataset))
            else:
                instances.append(_decode_instance(path, dataset, frames))
        except ImageError as error:
            outcomes[path] = refusal_of(error)
    instances = drop_repeats(instances, outcomes)
    if conflict := conflict_of(instances):
        outcomes.update((instance.path, refusal_of(conflict)) for instance in instances)
        instances = []
    images: list[Acquired] = []
    if slices := [instance for instance in instances if is_volume(instance.dataset)]:
        _keep_volumes(slices, key, images, outcomes, correct_tilt=correct_tilt)
    _keep_images([instance for instance in instances if not is_volume(instance.dataset)], key, images, outcomes, frames)
    if drawings:
        images = _add_label_maps(drawings, instances, images, outcomes, structures or {})
    return SeriesResult(images, outcomes)


def _decode_instance(path: Path, dataset: Dataset, frames: Frames) -> Instance:
    """Return one decoded file.

    Raises:
        ImageError: the file cannot be used, whatever the rest of its series is.
    """
    with guarded():
        check_instance(dataset, frames)
        refuse_visible_identity(dataset)
    decoded = decode_frames(dataset)
    with guarded():
        notes = stream_notes(dataset)
        del dataset.PixelData
        owner, place = (tuple(text_of(dataset, name) for name in names) for names in (OWNER_NAMES, CONTENT_NAMES))
        return Instance(path, dataset, decoded, text_of(dataset, "SOPInstanceUID"), owner, place, notes)


def is_volume(dataset: Dataset) -> bool:
    """Return whether the files of this series are slices of volumes; all others are pictures by themselves."""
    return family_of(text_of(dataset, "Modality")) in ("ct", "mr", "pt") or is_tomogram(dataset)


def check_instance(dataset: Dataset, frames: Frames = "refuse") -> None:
    """Refuse what cannot be an image of ours, before its pixels are decoded.

    Raises:
        ImageError: SYNTHETIC, MODALITY, PHOTOMETRIC, COLOUR or MULTIFRAME.
    """
    if text_of(dataset, "SyntheticData").upper() == "YES":
        raise ImageError("SYNTHETIC", "the header says that the image is synthetic: no patient's image")
    if family_of(text_of(dataset, "Modality")) is None:
        raise ImageError("MODALITY", "the modality is missing or is not one that we take")
    check_photometric(dataset, is_volume=is_volume(dataset))
    if not is_volume(dataset) and not chosen_frames(frames_of(dataset), frames):
        raise ImageError("MULTIFRAME", f"{frames_of(dataset)} frames in one file: films are taken when the source's `frames` asks for them")


def refuse_visible_identity(dataset: Dataset) -> None:
    """Refuse a picture that is known to show who the patient is; text in its pixels is looked for later (`visible.clearing`).

    Raises:
        ImageError: RECOGNIZABLE.
    """
    if text_of(dataset, "RecognizableVisualFeatures").upper() == "YES":
        raise ImageError("RECOGNIZABLE", "the header says that the patient can be recognized")


def _keep_volumes(instances: list[Instance], key: bytes, images: list[Acquired], outcomes: dict[Path, Outcome], *, correct_tilt: bool) -> None:
    """Add the volumes of a CT or MR series and the outcome of every file."""
    planes: list[Plane] = []
    by_path = {instance.path: instance for instance in instances}
    for instance in instances:
        try:
            with guarded():
                _refuse_localizer(instance.dataset)
                read_planes = nuclear_planes if is_tomogram(instance.dataset) else planes_of
                planes.extend(read_planes(instance.path, instance.dataset, instance.frames))
        except ImageError as error:
            outcomes[instance.path] = refusal_of(error)
    found = build_volumes(planes, correct_tilt=correct_tilt and instances[0].owner[-1] == "CT")
    for volume in found.volumes:
        paths = dict.fromkeys(plane.path for plane in volume.planes)
        try:
            with guarded():
                images.append(_acquired_volume(volume, [by_path[path] for path in paths], key))
        except ImageError as error:
            outcome = refusal_of(error)
        else:
            outcome = Outcome("kept", image_index=len(images) - 1)
        _settle(paths, outcome, outcomes)
    for group in found.refused:
        _settle(dict.fromkeys(plane.path for plane in group.planes), refusal_of(group.error), outcomes)
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


def _acquired_volume(volume: Volume, instances: list[Instance], key: bytes) -> Acquired:
    dataset = instances[0].dataset
    modality = text_of(dataset, "Modality")
    pixels, affine, fields = volume_pixels(volume, modality), volume.stack.affine, fields_of(dataset, key)
    notes = sorted({note for instance in instances for note in instance.notes})
    if any(volume.stack.shear_mm):
        pixels, affine = upright(pixels, volume.stack, AIR_HU)
        notes.append(TILT_CORRECTED)
    if attributes := attributes_of(volume):
        fields["attributes"] = json.dumps(attributes, sort_keys=True)
    image = Acquired(pixels, modality, patient_of(dataset), volume.stack.spacing_mm, affine, fields, notes=tuple(notes))
    image = replace(image, text_risk=highest_risk(instance.dataset for instance in instances))
    if modality == "NM":
        return replace(image, value_unit="counts")
    if modality != "PT":
        return image
    uptake = uptake_of([instance.dataset for instance in instances])
    return replace(image, pixels=pixels * np.float32(uptake.factor), value_unit=uptake.unit, notes=(*image.notes, *uptake.notes))


def _keep_images(instances: list[Instance], key: bytes, images: list[Acquired], outcomes: dict[Path, Outcome], frames: Frames) -> None:
    """Add every file of a series as 2-D images, one a frame that is taken."""
    for instance in instances:
        chosen = chosen_frames(len(instance.frames), frames)
        try:
            with guarded():
                made = [still_of(instance.dataset, instance.frames[number], key) for number in chosen]
        except ImageError as error:
            outcomes[instance.path] = refusal_of(error)
            continue
        first = len(images)
        images.extend(replace(image, notes=(*image.notes, *instance.notes), text_risk=text_risk_of(instance.dataset)) for image in made)
        outcomes[instance.path] = Outcome("kept", image_index=first, more_indexes=tuple(range(first + 1, len(images))))


def _add_label_maps(
    drawings: list[Drawing], instances: list[Instance], images: list[Acquired], outcomes: dict[Path, Outcome], structures: Mapping[str, str]
) -> list[Acquired]:
    """Return the images with their label maps, and give every SEG and RTSTRUCT file its outcome."""
    uids: list[set[str]] = [set() for _ in images]
    for instance in instances:
        for index in outcomes[instance.path].images:
            uids[index].add(instance.instance_uid)
    drawn = draw(drawings, [Target(image, frozenset(names)) for image, names in zip(images, uids, strict=True)], structures)
    outcomes.update((path, refusal_of(error)) for path, error in drawn.refused.items())
    outcomes.update((path, Outcome("duplicate", "SAME_LABEL_MAP", "an earlier file of the series marks the same voxels")) for path in drawn.same)
    outcomes.update((path, Outcome("kept", image_index=places[0], more_indexes=places[1:])) for path, places in drawn.used.items())
    return drawn.images
