"""What every de-identified object says beside its pixels: whom (a pseudonym), with what, how it was cleaned, and what its kind cannot be without."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from curation.deidentify import allowed
from curation.deidentify.dataset import Cleaning, Level
from curation.deidentify.devices import known_model
from curation.deidentify.little_endian import element, level, sequence
from curation.deidentify.options import METHOD_CODES, DeidentifySettings, MethodCode
from curation.deidentify.routing import ObjectKind
from curation.dicom_fields import age_years, known_maker, text_of
from curation.errors import ImageError
from curation.pseudonyms import pseudonym

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

METHOD = "Curaloop allow-list 2"
IMPLEMENTATION_UID = "2.25.203917350921873311415923764518250913811"
IMPLEMENTATION_NAME = "CURALOOP"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
MADE_LABELS = {"segmentation": "SEGMENTATION", "contours": "STRUCTURES"}
NEEDED_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
UNKNOWN_DEVICE = "UNKNOWN"

# Elements of type 2 of the kinds that are not images, and of type 1 that can only be made.
EMPTY_OF_KIND: dict[ObjectKind, tuple[str, ...]] = {
    "image": (), "segmentation": ("ContentDescription", "ContentCreatorName"), "contours": ("OperatorsName", "ROIInterpreter")[:1],
}  # fmt: skip
OWN_WORDS = frozenset({
    METHOD.upper(), IMPLEMENTATION_NAME, "YES", "NO", "MODIFIED", "REMOVED", "DCM", UNKNOWN_DEVICE, *MADE_LABELS.values(),
    *(code.value for code in METHOD_CODES), *(code.meaning.upper() for code in METHOD_CODES),
})  # fmt: skip
"""Every text, in capitals, that is written into a file without being read from one."""


@lru_cache(maxsize=512)
def _entry(keyword: str) -> tuple[int, str]:
    """Return tag and VR of an element."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag, dictionary_VR(tag).split(" or ")[0]


def put(clean: Level, keyword: str, value: str | int) -> None:
    """Write one element of a level."""
    tag, vr = _entry(keyword)
    clean[tag] = element(tag, vr, struct.pack("<H", value) if vr == "US" else str(value).encode("ascii"))


def has(clean: Level, keyword: str) -> bool:
    """Say whether a level holds an element."""
    return _entry(keyword)[0] in clean


def write_identity(clean: Level, dataset: Dataset, cleaning: Cleaning, kind: ObjectKind) -> None:
    """Write what an object must say about whom and with what, as pseudonyms and listed values.

    Raises:
        ImageError: NO_UID or MODALITY.
    """
    for keyword in NEEDED_UIDS:
        if not has(clean, keyword):
            raise ImageError("NO_UID", "a UID that every object needs is missing or is not of the standard")
    if not has(clean, "Modality"):
        raise ImageError("MODALITY", "the modality is missing or is not one that we take")
    patient = pseudonym(cleaning.key, "patient", cleaning.patient)
    put(clean, "PatientID", patient)
    put(clean, "PatientName", patient)
    for keyword in (*allowed.EMPTY, *EMPTY_OF_KIND[kind]):
        put(clean, keyword, "")
    for keyword in ("StudyDate", "StudyTime", "PatientSex", "SeriesNumber", "InstanceNumber"):
        if not has(clean, keyword):
            put(clean, keyword, "")
    if cleaning.settings.retain_patient_characteristics and (age := age_years(dataset)) is not None:
        put(clean, "PatientAge", f"{int(age):03d}Y" if age >= 2 else f"{int(age * 12):03d}M")
    if kind in MADE_LABELS:
        put(clean, "ContentLabel" if kind == "segmentation" else "StructureSetLabel", MADE_LABELS[kind])
    _write_device(clean, dataset, cleaning, is_enhanced=has(clean, "SharedFunctionalGroupsSequence") or kind != "image")


def _write_device(clean: Level, dataset: Dataset, cleaning: Cleaning, *, is_enhanced: bool) -> None:
    """Write the maker from our list, and the model as the options say; enhanced objects may not leave them out."""
    put(clean, "Manufacturer", known_maker(text_of(dataset, "Manufacturer")) or (UNKNOWN_DEVICE if is_enhanced else ""))
    model, serial = text_of(dataset, "ManufacturerModelName"), text_of(dataset, "DeviceSerialNumber")
    name = known_model(model) if cleaning.settings.retain_device_identity else None
    if model:
        put(clean, "ManufacturerModelName", name or f"model-{pseudonym(cleaning.key, 'model', model)[:8]}")
    elif is_enhanced:
        put(clean, "ManufacturerModelName", UNKNOWN_DEVICE)
    if cleaning.settings.retain_device_identity and serial:
        put(clean, "DeviceSerialNumber", f"device-{pseudonym(cleaning.key, 'device', serial)[:8]}")
    elif is_enhanced:
        put(clean, "DeviceSerialNumber", UNKNOWN_DEVICE)
    if is_enhanced:
        put(clean, "SoftwareVersions", UNKNOWN_DEVICE)


def write_method(clean: Level, settings: DeidentifySettings, codes: tuple[MethodCode, ...]) -> None:
    """Say that and how an object was de-identified."""
    put(clean, "PatientIdentityRemoved", "YES")
    put(clean, "DeidentificationMethod", METHOD)
    put(clean, "LongitudinalTemporalInformationModified", "MODIFIED" if settings.retain_longitudinal_modified_dates else "REMOVED")
    entries = []
    for code in codes:
        entry: Level = {}
        for keyword, value in (("CodeValue", code.value), ("CodingSchemeDesignator", "DCM"), ("CodeMeaning", code.meaning)):
            put(entry, keyword, value)
        entries.append(level(entry))
    tag, _ = _entry("DeidentificationMethodCodeSequence")
    clean[tag] = sequence(tag, entries)


def meta_bytes(clean: Level) -> bytes:
    """Return a preamble of zeros and new file meta information for the object (PS3.10 7.1)."""
    meta: Level = {0x00020001: element(0x00020001, "OB", b"\0\1")}
    for tag, source in ((0x00020002, "SOPClassUID"), (0x00020003, "SOPInstanceUID")):
        meta[tag] = element(tag, "UI", clean[_entry(source)[0]][8:].rstrip(b"\0"))
    put(meta, "TransferSyntaxUID", EXPLICIT_LITTLE_ENDIAN)
    put(meta, "ImplementationClassUID", IMPLEMENTATION_UID)
    put(meta, "ImplementationVersionName", IMPLEMENTATION_NAME)
    body = level(meta)
    return b"\0" * 128 + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(body))) + body
