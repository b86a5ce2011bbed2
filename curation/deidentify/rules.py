"""What is done with an element of the standard: the allow-list as a table by tag, under the options of a run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from curation.deidentify import allowed
from curation.deidentify.options import DeidentifySettings

Kind = Literal[
    "number", "counter", "measure", "code", "image_type", "uid", "class_uid", "date", "time", "moment", "pointer", "table", "sequence", "coded", "label"
]
Action = Literal["kept", "cleaned", "replaced", "emptied", "removed"]
IMAGE_TYPES = frozenset({"ImageType", "FrameType"})

# Written anew by `dataset`, from a rule of its own.
REPLACED = frozenset({"PatientID", "PatientName"})
KNOWN_VALUES = frozenset({"PatientAge", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "PatientIdentityRemoved", "DeidentificationMethod"})
PIXELS = frozenset({
    "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration", "LongitudinalTemporalInformationModified",
    "DeidentificationMethodCodeSequence",
})  # fmt: skip
ACTIONS: dict[Kind, Action] = {
    "number": "kept", "counter": "kept", "measure": "kept", "code": "kept", "image_type": "kept", "class_uid": "kept", "pointer": "kept", "table": "kept",
    "sequence": "cleaned", "coded": "cleaned", "label": "replaced", "date": "cleaned", "time": "cleaned", "moment": "cleaned", "uid": "replaced",
}  # fmt: skip


class Rule(NamedTuple):
    """How the value of one element is looked at; `vrs` and the largest number of values (0: any) are those of the standard."""

    kind: Kind
    keyword: str
    vrs: tuple[str, ...]
    most: int = 0


@lru_cache(maxsize=32)
def rules_for(settings: DeidentifySettings) -> dict[int, Rule]:
    """Return the rule of every element that may stay; what is not there is dropped."""
    from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

    rules: dict[int, Rule] = {}
    for kind, keywords in _kinds(settings):
        for keyword in keywords:
            tag = tag_for_keyword(keyword)
            assert tag is not None, keyword
            most = dictionary_VM(tag).split("-")[-1]
            rules[tag] = Rule(kind, keyword, tuple(dictionary_VR(tag).split(" or ")), int(most) if most.isdigit() else 0)
    return rules


def _kinds(settings: DeidentifySettings) -> Iterable[tuple[Kind, Iterable[str]]]:
    """Yield keywords by kind; a later line takes over what an earlier one named."""
    yield "number", allowed.NUMBERS - frozenset(allowed.PATIENT_NUMBERS)
    yield "counter", allowed.COUNTERS
    characteristics = settings.retain_patient_characteristics
    yield "measure", allowed.PATIENT_NUMBERS if characteristics else ()
    yield "code", [keyword for keyword in allowed.CODES if characteristics or keyword != "PatientSex"]
    yield "image_type", IMAGE_TYPES
    yield "uid", allowed.UIDS
    yield "class_uid", allowed.CLASS_UIDS
    yield "pointer", allowed.POINTERS
    yield "table", allowed.TABLES
    yield "sequence", allowed.SEQUENCES
    yield "label", allowed.LABELS
    if settings.clean_descriptors:
        yield "coded", allowed.CODED
    if settings.retain_longitudinal_modified_dates:
        yield "date", allowed.DATES
        yield "time", allowed.TIMES
        yield "moment", allowed.MOMENTS


def action_on(tag: int, settings: DeidentifySettings) -> Action:
    """Return in one word what is done with an element of the standard."""
    from pydicom.datadict import dictionary_has_tag, keyword_for_tag

    keyword = keyword_for_tag(tag) if dictionary_has_tag(tag) else ""
    if keyword in REPLACED:
        return "replaced"
    if tag in (rules := rules_for(settings)):
        return ACTIONS[rules[tag].kind]
    if keyword in allowed.EMPTY or keyword in ("StudyDate", "StudyTime", "PatientSex"):
        return "emptied"
    is_on = {"PatientAge": settings.retain_patient_characteristics, "DeviceSerialNumber": settings.retain_device_identity}
    return "cleaned" if keyword in KNOWN_VALUES | PIXELS and is_on.get(keyword, True) else "removed"
