"""Columns of the record that a DICOM header may give: each from a list of known values, a number, or a keyed pseudonym.

No text of a header is ever copied: a value that is not on its list is dropped.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from curation.pseudonyms import pseudonym, pseudonymous_uid, shift_date

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_AGE_YEARS = 90.0
DAYS_OF_UNIT = {"Y": 365.25, "M": 30.4375, "W": 7.0, "D": 1.0}

# After PS3.16 CID 2 (anatomic regions, defined terms of Body Part Examined in PS3.16 Annex L).
BODY_PARTS = frozenset({
    "ABDOMEN", "ABDOMENPELVIS", "ADRENAL", "ANKLE", "AORTA", "ARM", "AXILLA", "BACK", "BLADDER", "BODY", "BONE", "BRAIN", "BREAST", "BRONCHUS", "BUTTOCK",
    "CALCANEUS", "CALF", "CAROTID", "CEREBELLUM", "CERVIX", "CHEEK", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "CLAVICLE", "COCCYX", "COLON", "CORNEA",
    "CORONARYARTERY", "CSPINE", "CTSPINE", "DUODENUM", "EAR", "ELBOW", "ESOPHAGUS", "EXTREMITY", "EYE", "FACE", "FEMUR", "FINGER", "FOOT", "FOREARM",
    "GALLBLADDER", "HAND", "HEAD", "HEADNECK", "HEART", "HIP", "HUMERUS", "IAC", "ILIUM", "JAW", "KIDNEY", "KNEE", "LARYNX", "LEG", "LIVER", "LSPINE",
    "LSSPINE", "LUNG", "MANDIBLE", "MAXILLA", "MEDIASTINUM", "NECK", "NECKCHEST", "NOSE", "ORBIT", "OVARY", "PANCREAS", "PAROTID", "PATELLA", "PELVIS",
    "PROSTATE", "RECTUM", "RIB", "SACRUM", "SCALP", "SCAPULA", "SHOULDER", "SINUS", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH", "TESTIS",
    "THIGH", "THUMB", "THYMUS", "THYROID", "TIBIA", "TLSPINE", "TMJ", "TOE", "TRACHEA", "TSPINE", "UPRARM", "URETER", "URETHRA", "UTERUS", "VAGINA",
    "WHOLEBODY", "WRIST", "ZYGOMA",
})  # fmt: skip
VIEW_POSITIONS = frozenset({
    "AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT", "LATERAL", "LPO", "RPO", "LAO", "RAO", "CC", "MLO", "ML", "LM", "LMO", "XCC", "XCCL", "XCCM",
    "FB", "SIO", "ISO", "CV", "AT", "RM", "TAN", "SWIMMERS", "OBL", "SUNRISE", "WATERS", "TOWNE",
})  # fmt: skip
LATERALITIES = frozenset({"L", "R", "B", "U"})
SEXES = frozenset({"F", "M", "O"})
MAKERS = {
    "agfa": "Agfa", "aperio": "Leica", "barco": "Barco", "bruker": "Bruker", "canon": "Canon", "carestream": "Carestream", "kodak": "Carestream",
    "esaote": "Esaote",
    "fuji": "Fujifilm", "ge healthcare": "GE", "ge medical": "GE", "gems": "GE", "ge_medical": "GE", "general electric": "GE", "hamamatsu": "Hamamatsu",
    "heidelberg": "Heidelberg Engineering", "hitachi": "Hitachi", "hologic": "Hologic", "konica": "Konica Minolta", "leica": "Leica", "lorad": "Hologic",
    "lumedx": "Lumedx", "mindray": "Mindray", "neusoft": "Neusoft", "nikon": "Nikon", "olympus": "Olympus", "philips": "Philips", "picker": "Picker",
    "planmeca": "Planmeca", "samsung": "Samsung", "shimadzu": "Shimadzu", "siemens": "Siemens", "sirona": "Dentsply Sirona", "sonosite": "Fujifilm",
    "swissray": "Swissray", "topcon": "Topcon", "toshiba": "Canon", "united imaging": "United Imaging", "varian": "Varian",
    "vidar": "Vidar", "zeiss": "Zeiss",
}  # fmt: skip
SHORT_MAKERS = {"ge": "GE", "uih": "United Imaging"}


def text_of(dataset: Dataset, *names: str) -> str:
    """Return the first value that is there among the named elements, stripped; empty when there is none."""
    for name in names:
        value = dataset.get(name)
        if value is not None and str(value).strip():
            return str(value).strip()
    return ""


def one_of(value: str, allowed: frozenset[str]) -> str | None:
    """Return the value in capitals if it is allowed, else None."""
    known = value.upper()
    return known if known in allowed else None


def patient_of(dataset: Dataset) -> str:
    """Return the raw patient id, or one made of the raw study UID when there is none. Never store it."""
    return text_of(dataset, "PatientID") or f"study {text_of(dataset, 'StudyInstanceUID')}"


def fields_of(dataset: Dataset, key: bytes) -> dict[str, Any]:
    """Return the record's columns that this header gives; columns without a value are left out."""
    model, site = text_of(dataset, "ManufacturerModelName"), text_of(dataset, "InstitutionName")
    found = {
        "study_uid": pseudonymous_uid(key, text_of(dataset, "StudyInstanceUID")),
        "series_uid": pseudonymous_uid(key, text_of(dataset, "SeriesInstanceUID")),
        "body_part": one_of(re.sub(r"[\s_,-]", "", text_of(dataset, "BodyPartExamined")), BODY_PARTS),
        "view_position": one_of(text_of(dataset, "ViewPosition"), VIEW_POSITIONS),
        "laterality": one_of(text_of(dataset, "ImageLaterality", "Laterality"), LATERALITIES),
        "manufacturer": known_maker(text_of(dataset, "Manufacturer")),
        "model_name": f"model-{pseudonym(key, 'model', model)[:8]}" if model else None,
        "site": f"site-{pseudonym(key, 'site', site)[:8]}" if site else None,
        "age_years": age_years(dataset),
        "sex": one_of(text_of(dataset, "PatientSex"), SEXES),
        "acquired_on": _shifted_date(dataset, key),
    }
    return {name: value for name, value in found.items() if value is not None}


def known_maker(text: str) -> str | None:
    """Return the maker's name as we write it, or None for one that we do not know."""
    lowered = text.strip().lower()
    return SHORT_MAKERS.get(lowered) or next((name for part, name in MAKERS.items() if part in lowered), None)


def age_years(dataset: Dataset) -> float | None:
    """Return the age at the study, at most 90."""
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text_of(dataset, "PatientAge"))
    if match:
        years = int(match[1]) * DAYS_OF_UNIT[match[2]] / 365.25
        return min(round(years, 2), MAX_AGE_YEARS)
    born, seen = parse_date(text_of(dataset, "PatientBirthDate")), first_date(dataset)
    if born is None or seen is None or not 0 <= (seen - born).days <= 130 * 366:
        return None
    return min(float(int((seen - born).days / 365.25)), MAX_AGE_YEARS)


def parse_date(text: str) -> date | None:
    """Return a DICOM date (YYYYMMDD), or None for one that no calendar has."""
    match = re.match(r"((?:19|20)\d\d)\.?(\d\d)\.?(\d\d)", text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def first_date(dataset: Dataset) -> date | None:
    """Return the date of acquisition, else of the series, the study or the content."""
    for name in ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate", "ContentDate"):
        found = parse_date(text_of(dataset, name))
        if found is not None:
            return found
    return None


def _shifted_date(dataset: Dataset, key: bytes) -> str | None:
    seen = first_date(dataset)
    return shift_date(key, patient_of(dataset), seen).isoformat() if seen else None
