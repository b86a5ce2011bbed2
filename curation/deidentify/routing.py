"""What kind of object a DICOM file is, for de-identification: images, segmentations and contours are made anew, everything else is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curation.dicom_fields import text_of
from curation.dicom_reading import is_image_class
from curation.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ObjectKind = Literal["image", "segmentation", "contours"]
SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

# Words of the standard's names of SOP classes, and why such an object is not passed on. The first that fits counts.
REFUSED = (
    ("Media Storage Directory", "DIRECTORY", "a DICOMDIR lists names and places of files; make a new one for the cleaned files"),
    ("Key Object Selection", "KEY_OBJECTS", "a selection of key objects is a document with texts; texts are not passed on"),
    ("Encapsulated", "DOCUMENT", "an enclosed document (PDF, CDA, model) can hold anything about the patient"),
    ("SR Storage", "REPORT", "a structured report holds texts about the patient; texts are not passed on"),
    ("Structured Report", "REPORT", "a structured report holds texts about the patient; texts are not passed on"),
    ("Report", "REPORT", "a report holds texts about the patient; texts are not passed on"),
    ("SR", "REPORT", "a structured report holds texts about the patient; texts are not passed on"),
    ("Log Storage", "REPORT", "a log holds texts about what was done to the patient"),
    ("Presentation State", "PRESENTATION", "a presentation state can draw names and notes over an image"),
    ("Waveform", "WAVEFORM", "curves such as an ECG are no images, and their notes are texts"),
    ("ECG", "WAVEFORM", "curves such as an ECG are no images, and their notes are texts"),
    ("EEG", "WAVEFORM", "curves are no images, and their notes are texts"),
    ("Audio", "WAVEFORM", "a voice is as personal as a face"),
    ("RT Plan", "PLAN", "a treatment plan holds names, dates and texts of a treatment"),
    ("RT Ion Plan", "PLAN", "a treatment plan holds names, dates and texts of a treatment"),
    ("RT Brachy", "PLAN", "a treatment record holds names, dates and texts of a treatment"),
    ("Treatment", "PLAN", "a treatment record holds names, dates and texts of a treatment"),
    ("RT Beams", "PLAN", "a treatment record holds names, dates and texts of a treatment"),
    ("RT Dose", "DOSE", "dose grids are not taken"),
    ("RT ", "PLAN", "objects of radiotherapy other than structure sets are not taken"),
    ("Spatial Registration", "REGISTRATION", "registrations are not taken"),
    ("Deformable", "REGISTRATION", "registrations are not taken"),
    ("Fiducials", "REGISTRATION", "fiducials are not taken"),
    ("Surface", "SURFACE", "surfaces are not taken; a segmentation of voxels is"),
    ("Tractography", "SURFACE", "tracts are not taken"),
    ("Parametric Map", "FLOAT_PIXELS", "maps of floating point values are not taken"),
    ("Real World Value Mapping", "MAPPING", "mappings of values are not taken"),
    ("Raw Data", "RAW_DATA", "raw data of a device can hold anything"),
    ("Spectroscopy", "RAW_DATA", "spectra are not taken"),
    ("Video", "VIDEO", "films with sound and faces are not taken"),
    ("Whole Slide", "SLIDE", "whole slides show labels with names, and are not taken"),
)
FLOAT_PIXELS = ("FloatPixelData", "DoubleFloatPixelData")


def kind_of(dataset: Dataset) -> ObjectKind:
    """Return what an opened data set is.

    Raises:
        ImageError: NO_UID, TRUNCATED, or the code of a kind that is refused.
    """
    sop_class = text_of(dataset, "SOPClassUID") or text_of(dataset.file_meta, "MediaStorageSOPClassUID")
    if not sop_class:
        raise ImageError("NO_UID", "the file does not say what kind of object it is")
    if sop_class in SEGMENTATIONS or sop_class == STRUCTURE_SET:
        return "segmentation" if sop_class in SEGMENTATIONS else "contours"
    refuse_by_name(sop_class)
    if not is_image_class(sop_class, has_rows="Rows" in dataset):
        raise ImageError("OBJECT", "the object holds no image of a patient")
    if any(name in dataset for name in FLOAT_PIXELS):
        raise ImageError("FLOAT_PIXELS", "maps of floating point values are not taken")
    if "Rows" not in dataset or "Columns" not in dataset:
        raise ImageError("TRUNCATED", "the file ends before its pixels")
    return "image"


def refuse_by_name(sop_class: str) -> None:
    """Refuse the kinds of objects that are no images.

    Raises:
        ImageError: the code of the kind.
    """
    from pydicom.uid import UID

    name = UID(sop_class).name
    if name == sop_class:
        return
    for words, code, reason in REFUSED:
        if words in name:
            raise ImageError(code, reason)
