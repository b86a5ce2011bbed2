"""What a DICOM object is, by its SOP class: a picture of a patient, a label map of another series, or something that goes another way.

What is no picture is routed, not an error: it is skipped and counted under a code that says what it is (`ROUTED`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from curation.errors import ImageError

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
LABEL_MAP_CLASSES = frozenset({SEGMENTATION, LABEL_MAP_SEGMENTATION, STRUCTURE_SET})

NOT_AN_IMAGE = "NOT_AN_IMAGE"
ROUTED: dict[str, str] = {
    "REPORT": "a structured report, measurements or an evaluation",
    "KEY_OBJECTS": "a selection of key images",
    "PRESENTATION_STATE": "how other images were displayed",
    "WAVEFORM": "a waveform or a sound",
    "DOCUMENT": "an encapsulated document or model",
    "DIRECTORY": "a directory of files (DICOMDIR)",
    "RT_PLAN": "a plan of radiotherapy",
    "RT_DOSE": "a distribution of dose",
    "RT_IMAGE": "a portal or other image of a treatment",
    "RT_RECORD": "a record or an instruction of a treatment",
    "REGISTRATION": "a registration, or marks for one",
    "SURFACE": "a surface, mesh or tracts",
    "ANNOTATION": "annotations in bulk",
    "PARAMETRIC_MAP": "a map of computed values",
    "SPECTROSCOPY": "spectra",
    "RAW_DATA": "raw data of a scanner",
    "VALUE_MAPPING": "what stored values mean",
    "PALETTE": "a colour palette or a look-up table",
    "OVERLAY": "an overlay or a curve of other images",
    "PROTOCOL": "a protocol, template or layout",
    "VIDEO": "a video",
    "PRINT": "a printed page",
    "NOT_MEDICAL": "a scan of luggage or material",
    NOT_AN_IMAGE: "an object without a picture of a patient",
}
"""Codes of objects that are whole but no pictures of a patient, and what they are."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_CODES: dict[str, str] = {
    "1.2.840.10008.1.3.10": "DIRECTORY",
    "1.2.840.10008.5.1.1.": "PRINT", f"{_STORAGE}4.2": "SPECTROSCOPY", f"{_STORAGE}8": "OVERLAY", f"{_STORAGE}9": "OVERLAY", f"{_STORAGE}129": "OVERLAY",
    f"{_STORAGE}9.": "WAVEFORM", f"{_STORAGE}10": "PALETTE", f"{_STORAGE}11": "PALETTE", f"{_STORAGE}11.": "PRESENTATION_STATE",
    f"{_STORAGE}30": "PARAMETRIC_MAP", f"{_STORAGE}81.1": "PARAMETRIC_MAP", f"{_STORAGE}82.1": "PARAMETRIC_MAP", f"{_STORAGE}66": "RAW_DATA",
    f"{_STORAGE}66.": "REGISTRATION", f"{_STORAGE}66.5": "SURFACE", f"{_STORAGE}66.6": "SURFACE", f"{_STORAGE}68.": "SURFACE",
    f"{_STORAGE}67": "VALUE_MAPPING", f"{_STORAGE}77.1.5.3": "REGISTRATION", f"{_STORAGE}77.1.5.8": "REPORT", f"{_STORAGE}77.1.1.1": "VIDEO",
    f"{_STORAGE}77.1.2.1": "VIDEO", f"{_STORAGE}77.1.4.1": "VIDEO", f"{_STORAGE}78.": "REPORT", f"{_STORAGE}79.": "REPORT", f"{_STORAGE}80.": "REPORT",
    f"{_STORAGE}88.": "REPORT", f"{_STORAGE}88.59": "KEY_OBJECTS", f"{_STORAGE}90.": "REPORT", f"{_STORAGE}91.": "ANNOTATION",
    f"{_STORAGE}104.": "DOCUMENT", f"{_STORAGE}131": "PROTOCOL", f"{_STORAGE}200.": "PROTOCOL", f"{_STORAGE}201.": "DIRECTORY",
    f"{_STORAGE}481.": "RT_RECORD", f"{_STORAGE}481.1": "RT_IMAGE", f"{_STORAGE}481.23": "RT_IMAGE", f"{_STORAGE}481.24": "RT_IMAGE",
    f"{_STORAGE}481.2": "RT_DOSE", f"{_STORAGE}481.5": "RT_PLAN", f"{_STORAGE}481.8": "RT_PLAN", f"{_STORAGE}501.": "NOT_MEDICAL",
    f"{_STORAGE}601.": "NOT_MEDICAL", "1.2.840.10008.5.1.4.34.": "RT_RECORD", "1.2.840.10008.5.1.4.38.": "PROTOCOL", "1.2.840.10008.5.1.4.39.": "PALETTE",
    "1.2.840.10008.5.1.4.43.": "PROTOCOL", "1.2.840.10008.5.1.4.44.": "PROTOCOL", "1.2.840.10008.5.1.4.45.": "PROTOCOL",
}  # fmt: skip
"""Code by SOP class; a key that ends with a point stands for all classes that begin with it and have no key of their own."""

_VIDEO_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.10{number}" for number in range(10))  # MPEG-2, H.264 and HEVC
_IMAGES_BY_ANOTHER_NAME = frozenset({f"{_STORAGE}6.2"})  # Enhanced US Volume Storage

Kind = Literal["image", "label map", "routed", "unknown"]


@lru_cache(maxsize=1024)
def kind_of(sop_class_uid: str) -> Kind:
    """Return what objects of a SOP class are; classes that the standard does not name are `unknown`."""
    from pydicom.uid import UID

    name = UID(sop_class_uid).name
    if sop_class_uid in LABEL_MAP_CLASSES:
        return "label map"
    if routing_code(sop_class_uid) is not None:
        return "routed"
    if name == sop_class_uid:
        return "unknown"
    return "image" if "Image Storage" in name or sop_class_uid in _IMAGES_BY_ANOTHER_NAME else "routed"


@lru_cache(maxsize=1024)
def routing_code(sop_class_uid: str) -> str | None:
    """Return the code of a SOP class that is routed by name, else None."""
    if sop_class_uid in LABEL_MAP_CLASSES:
        return None
    prefixes = [sop_class_uid[: end + 1] for end, character in enumerate(sop_class_uid) if character == "."]
    return next((_CODES[key] for key in (sop_class_uid, *reversed(prefixes)) if key in _CODES), None)


def refuse_other_objects(sop_class_uid: str, transfer_syntax_uid: str, *, has_rows: bool) -> None:
    """Raise `ImageError` with a code of `ROUTED` for an object that is no picture and no label map; an unknown class is a picture when it has rows."""
    kind = kind_of(sop_class_uid)
    code = routing_code(sop_class_uid) or NOT_AN_IMAGE
    if kind == "routed" or (kind == "unknown" and not has_rows):
        raise ImageError(code, f"no image: {ROUTED[code]}")
    if transfer_syntax_uid.startswith(_VIDEO_SYNTAXES):
        raise ImageError("VIDEO", f"no image: {ROUTED['VIDEO']}")
