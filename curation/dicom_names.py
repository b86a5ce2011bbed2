"""Names of structures in label maps: from codes of the standard, from a list of ours, or from the user's table. Free text is never copied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from curation.dicom_fields import text_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Context groups of PS3.16 whose codes name what is segmented: anatomy, tissues, lesions, devices, artefacts, and volumes of radiotherapy.
CONTEXT_GROUPS = frozenset({4, 4031, *range(7140, 7170), *range(7191, 7200), 9503, 9514, 9580})
SIDES = {"7771000": "left", "24028007": "right", "51440002": "both"}

# Structures after the nomenclature of AAPM TG-263, by the letters of their names.
LISTED: dict[str, str] = {
    "bladder": "Bladder", "body": "External", "bone": "Bone", "bowel": "Bowel", "bowelbag": "Bowel bag", "brain": "Brain", "brainstem": "Brainstem",
    "breastl": "Left breast", "breastr": "Right breast", "carina": "Carina", "cochleal": "Left cochlea", "cochlear": "Right cochlea", "colon": "Colon",
    "ctv": "CTV", "duodenum": "Duodenum", "esophagus": "Esophagus", "external": "External", "eyel": "Left eye", "eyer": "Right eye",
    "femurheadl": "Left femoral head", "femurheadr": "Right femoral head", "gallbladder": "Gallbladder", "gtv": "GTV", "heart": "Heart", "itv": "ITV",
    "kidneyl": "Left kidney", "kidneyr": "Right kidney", "larynx": "Larynx", "lensl": "Left lens", "lensr": "Right lens", "liver": "Liver",
    "lungl": "Left lung", "lungr": "Right lung", "lungs": "Lungs", "mandible": "Mandible", "opticchiasm": "Optic chiasm", "opticnrvl": "Left optic nerve",
    "opticnrvr": "Right optic nerve", "oralcavity": "Oral cavity", "pancreas": "Pancreas", "parotidl": "Left parotid gland",
    "parotidr": "Right parotid gland", "penilebulb": "Penile bulb", "pituitary": "Pituitary gland", "prostate": "Prostate", "ptv": "PTV",
    "rectum": "Rectum", "seminalves": "Seminal vesicles", "skin": "Skin", "spinalcanal": "Spinal canal", "spinalcord": "Spinal cord", "spleen": "Spleen",
    "stomach": "Stomach", "thyroid": "Thyroid gland", "trachea": "Trachea", "tumor": "Tumour", "tumour": "Tumour", "uterus": "Uterus",
}  # fmt: skip
INTERPRETED = frozenset({
    "EXTERNAL", "PTV", "CTV", "GTV", "BOLUS", "AVOIDANCE", "TREATED_VOLUME", "IRRAD_VOLUME", "CONTRAST_AGENT", "CAVITY", "SUPPORT", "FIXATION",
    "BRACHY_CHANNEL", "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD", "DOSE_REGION", "CONTROL",
})  # fmt: skip
"""RT ROI Interpreted Types that say something by themselves (PS3.3 C.8.8.8.1)."""


def structure_name(item: Dataset, label: str, given: Mapping[str, str]) -> str | None:
    """Return the name of a structure, or None when nothing that may be told names it.

    Args:
        item: entry of the Segment Sequence, or of the RT ROI Observations Sequence.
        label: the free text that its author called it; only compared, never copied.
        given: the user's names by such texts.
    """
    return given.get(label.strip()) or _coded(item) or LISTED.get(re.sub(r"[^a-z]", "", label.lower())) or _interpreted(item)


def _interpreted(item: Dataset) -> str | None:
    kind = text_of(item, "RTROIInterpretedType").upper()
    return kind.replace("_", " ") if kind in INTERPRETED else None


def _coded(item: Dataset) -> str | None:
    """Return the standard's own meaning of the first code that it knows, with the side in front; the file's text of it is not used."""
    for sequence in ("SegmentedPropertyTypeCodeSequence", "RTROIIdentificationCodeSequence"):
        for code in item.get(sequence) or ():
            meaning = known_meanings().get(_snomed(code))
            if meaning:
                side = _side(item, code)
                return f"{side} {meaning}".strip().capitalize() if side else meaning
    return None


def _snomed(code: Dataset) -> str:
    """Return scheme and value; the old SNOMED-RT codes become today's."""
    from pydicom.sr._snomed_dict import mapping

    scheme, value = text_of(code, "CodingSchemeDesignator"), text_of(code, "CodeValue", "LongCodeValue")
    if scheme in ("SRT", "SNM3", "99SDM"):
        return f"SCT {mapping['SRT'].get(value, '')}"
    return f"{scheme} {value}"


def _side(item: Dataset, code: Dataset) -> str:
    modifiers = [*(item.get("SegmentedPropertyTypeModifierCodeSequence") or ()), *(code.get("SegmentedPropertyTypeModifierCodeSequence") or ())]
    return next((SIDES[value] for value in (_snomed(modifier).partition(" ")[2] for modifier in modifiers) if value in SIDES), "")


@lru_cache(maxsize=1)
def known_meanings() -> dict[str, str]:
    """Return the meaning of every code of `CONTEXT_GROUPS`, by scheme and value, as PS3.16 words it."""
    from pydicom.sr import _concepts_dict

    concepts: dict[str, Any] = dict(_concepts_dict.concepts)

    found: dict[str, str] = {}
    for scheme in ("SCT", "DCM"):
        for versions in concepts[scheme].values():
            found |= {f"{scheme} {value}": meaning for value, (meaning, groups) in versions.items() if CONTEXT_GROUPS.intersection(groups)}
    return found
