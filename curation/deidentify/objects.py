"""A DICOM file to the parts of a new one: read, judged, cleaned, and searched for what names the patient before anybody gets to see it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from curation.deidentify.dataset import clean_level, cleaning_of
from curation.deidentify.harvest import Identifiers, harvest_identifiers
from curation.deidentify.identity import meta_bytes, put, write_identity, write_method
from curation.deidentify.little_endian import level
from curation.deidentify.options import DeidentifySettings, method_codes
from curation.deidentify.pixels import pixel_header, write_pixels
from curation.deidentify.routing import ObjectKind, kind_of
from curation.deidentify.second_look import refuse_leaks
from curation.dicom_fields import text_of
from curation.dicom_reading import guarded, open_dataset
from curation.errors import ImageError
from curation.pixels import Pixels
from curation.pseudonyms import pseudonym

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Part = bytes | memoryview


class NewFile(NamedTuple):
    """Where a new file goes below the output folder, its bytes in order, and how many pixels were covered because they showed text."""

    place: str
    parts: tuple[Part, ...]
    masked_px: int = 0


def clean_dicom(path: Path, key: bytes, settings: DeidentifySettings) -> NewFile:
    """Return a new DICOM file; what identifies the patient is searched in it before it may be written.

    Raises:
        ImageError: LEAK, BURNED_IN_TEXT, RECOGNIZABLE, the name of a kind that is not passed on, or why the file cannot be read.
    """
    dataset = open_dataset(path)
    with guarded():
        kind = kind_of(dataset)
    identifiers = harvest_identifiers(dataset)
    try:
        new = clean_object(dataset, kind, key, settings)
    except ImageError as error:
        if Identifiers(numbers=identifiers.numbers, uids=identifiers.uids).are_in_text(error.reason):  # our sentences quote numbers only
            raise ImageError(error.code, "the file cannot be cleaned") from None
        raise
    refuse_leaks(new.parts, new.place, identifiers)
    return new


def clean_object(dataset: Dataset, kind: ObjectKind, key: bytes, settings: DeidentifySettings) -> NewFile:
    """Return the parts of a new file for an opened data set, not yet searched.

    Raises:
        ImageError: as `clean_dicom`.
    """
    with guarded("CORRUPT", "an element that has to be copied cannot be read"):
        cleaning = cleaning_of(dataset, key, settings)
        clean = clean_level(dataset, cleaning)
        if kind == "image":
            refuse_faces(dataset, settings)
        write_identity(clean, dataset, cleaning, kind)
        pixels: tuple[Part, ...] = ()
        masked_px: list[int] = []
        if kind != "contours":
            content = write_pixels(clean, dataset, partial(_hide_text, dataset, settings, masked_px)) if kind == "image" else write_pixels(clean, dataset)
            pixels = (pixel_header(content, int(dataset.BitsAllocated)), content, b"\0" * (len(content) % 2))
        if kind == "image":
            put(clean, "BurnedInAnnotation", "NO")
        write_method(clean, settings, method_codes(settings, pixels_were_read=kind == "image"))
        names = [text_of(dataset, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        study, series, instance = (pseudonym(key, "name", uid) for uid in names)
        return NewFile(f"{study}/{series}/{instance}.dcm", (meta_bytes(clean) + level(clean), *pixels), sum(masked_px))


def refuse_faces(dataset: Dataset, settings: DeidentifySettings) -> None:
    """Refuse images from which the patient could be recognized, unless the settings accept that.

    Raises:
        ImageError: RECOGNIZABLE or FACE_RISK.
    """
    from curation.visible.faces import is_thin_head_slice

    if settings.accept_face_risk:
        return
    if text_of(dataset, "RecognizableVisualFeatures").upper() == "YES":
        raise ImageError("RECOGNIZABLE", "the header says that the patient can be recognized")
    if is_thin_head_slice(dataset):
        raise ImageError("FACE_RISK", "a thin slice of a head, from which a face can be drawn; `accept_face_risk` lets it pass")


def _hide_text(dataset: Dataset, settings: DeidentifySettings, masked_px: list[int], frames: Pixels) -> Pixels:
    """Return the frames with burned-in text covered, the same array when there is none, and add the number of covered pixels to `masked_px`."""
    from curation.visible.header_word import clear_text

    cleared = clear_text(dataset, frames, clean_pixels=settings.clean_pixel_data)
    masked_px.append(cleared.masked_px)
    return cleared.frames
