"""One DICOM data set to the bytes of a new one, made of what the allow-list names, pseudonyms, and the values of the pixels.

Nothing is copied unless a rule says so, at every depth by the same rules. What comes out is explicit VR little endian, whatever came in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curation.deidentify import allowed, values
from curation.deidentify.calendar import Calendar, calendar_of
from curation.deidentify.concepts import Concept, concept_of
from curation.deidentify.little_endian import element, level, raw_of, raw_value, sequence
from curation.deidentify.options import DeidentifySettings
from curation.deidentify.private import safe_elements
from curation.deidentify.rules import Rule, rules_for
from curation.dicom_fields import patient_of, text_of
from curation.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_DEPTH = 8
EMPTY_BESIDE = {0x30060022: {0x30060036: "CS"}, 0x30060082: {0x300600A4: "CS", 0x300600A6: "PN"}}
"""Elements of type 2 in entries of structure sets (PS3.3 C.8.8.5, C.8.8.8): beside a ROI Number, and beside an Observation Number."""
SEGMENT_ALGORITHM, SEGMENT_ALGORITHM_NAME, SEGMENT_CODES = 0x00620008, 0x00620009, (0x00620003, 0x0062000F)
UNKNOWN = Concept("SCT", "261665006", "Unknown")
"""What a segment is called whose codes are not the standard's: it may not be without (PS3.3 C.8.20.4)."""
DEPENDENT = frozenset({"table", "label", "date", "time", "moment"})
"""Kinds of rules that look at other elements too."""
MAX_REMEMBERED, MAX_REMEMBERED_BYTES = 20_000, 256
Level = dict[int, bytes]
_written_before: dict[tuple[int, str, bytes, bool, bytes], bytes | None] = {}
"""Elements by what they are made of: the slices of a series share nearly all of theirs."""


@dataclass(frozen=True)
class Cleaning:
    """What the rules need to know beside the value.

    Attributes:
        key: secret of the pseudonyms.
        settings: what may stay.
        patient: raw patient id.
        calendar: dates and times of the study.
        is_signed: whether pixels are, which decides what `US or SS` means.
        labels: names of regions of interest, by their raw number, where a code gives one.
    """

    key: bytes
    settings: DeidentifySettings
    patient: str
    calendar: Calendar
    is_signed: bool = False
    labels: dict[str, str] = field(default_factory=dict)


def cleaning_of(dataset: Dataset, key: bytes, settings: DeidentifySettings) -> Cleaning:
    """Return how one data set is to be cleaned."""
    patient = patient_of(dataset)
    is_signed = dataset.get("PixelRepresentation") == 1
    return Cleaning(key, settings, patient, calendar_of(dataset, key, patient), is_signed, _roi_names(dataset) if settings.clean_descriptors else {})


def clean_level(dataset: Dataset, cleaning: Cleaning, depth: int = 0) -> Level:
    """Return the allowed elements of one level by tag, each written; entries of allowed sequences follow the same rules."""
    rules = rules_for(cleaning.settings)
    clean: Level = {}
    for key, found in dataset.items():
        tag = int(key)
        rule = rules.get(tag)
        if rule is None:
            continue
        written = _entries(dataset, tag, rule, cleaning, depth) if rule.kind in ("sequence", "coded") else _element(dataset, found, tag, rule, cleaning)
        if written is not None:
            clean[tag] = written
    if cleaning.settings.retain_safe_private:
        clean |= safe_elements(dataset)
    _complete(clean)
    return clean


def _complete(clean: Level) -> None:
    """Write what entries of segmentations and structure sets may not be without."""
    if SEGMENT_ALGORITHM in clean and b"AUTOMATIC" in clean[SEGMENT_ALGORITHM]:
        clean[SEGMENT_ALGORITHM_NAME] = element(SEGMENT_ALGORITHM_NAME, "LO", b"UNKNOWN")
    if SEGMENT_ALGORITHM in clean:
        for needed in SEGMENT_CODES:
            clean.setdefault(needed, sequence(needed, [level(_written_code(UNKNOWN))]))
    for needed, vr in ((empty, vr) for named, beside in EMPTY_BESIDE.items() if named in clean for empty, vr in beside.items()):
        clean.setdefault(needed, element(needed, vr, b""))


def _entries(dataset: Dataset, tag: int, rule: Rule, cleaning: Cleaning, depth: int) -> bytes | None:
    """Return a cleaned sequence, or None when nothing of it stays."""
    found = dataset[tag]
    if found.VR != "SQ" or depth >= MAX_DEPTH:
        return None
    levels = (clean_level(entry, cleaning, depth + 1) | (_code(entry) if rule.kind == "coded" else {}) for entry in found.value)
    entries = [level(clean) for clean in levels if rule.kind != "coded" or CODE_MEANING in clean]
    return sequence(tag, entries) if any(entries) else None  # an empty entry among others keeps its place: frames are counted by it


CODE_VALUE, CODE_SCHEME, CODE_MEANING = 0x00080100, 0x00080102, 0x00080104


def _code(entry: Dataset) -> Level:
    """Return the code of an entry with the standard's own words; nothing for a code that it does not have."""
    concept = concept_in(entry)
    return _written_code(concept) if concept else {}


def _written_code(concept: Concept) -> Level:
    return {
        CODE_VALUE: element(CODE_VALUE, "SH", concept.code.encode()),
        CODE_SCHEME: element(CODE_SCHEME, "SH", concept.scheme.encode()),
        CODE_MEANING: element(CODE_MEANING, "LO", concept.meaning.encode("ascii", "replace")),
    }


def concept_in(entry: Dataset) -> Concept | None:
    """Return the concept that an entry of a code sequence names, if the standard has it."""
    scheme, code = (_text(entry, tag) for tag in (CODE_SCHEME, CODE_VALUE))
    return concept_of(scheme, code)


def _text(dataset: Dataset, tag: int) -> str:
    """Return a value as it lies in the file; empty when it is not there."""
    return raw_value(dataset, tag)[1].strip(values.PADDING).decode("latin-1") if tag in dataset else ""


def _element(dataset: Dataset, found: Any, tag: int, rule: Rule, cleaning: Cleaning) -> bytes | None:
    """Return one written element, or None when its value may not stay."""
    stated, raw = raw_of(found, dataset)
    if rule.kind in DEPENDENT:
        value = _dependent_value(dataset, raw, rule, cleaning) if _vr(stated, rule, cleaning.is_signed) else None
        return element(tag, _vr(stated, rule, cleaning.is_signed), value) if value else None
    if len(raw) > MAX_REMEMBERED_BYTES:
        return _independent(tag, stated, raw, rule, cleaning)
    place = (tag, stated, raw, cleaning.is_signed, cleaning.key)
    if place not in _written_before:
        if len(_written_before) >= MAX_REMEMBERED:
            _written_before.clear()
        _written_before[place] = _independent(tag, stated, raw, rule, cleaning)
    return _written_before[place]


def _independent(tag: int, stated: str, raw: bytes, rule: Rule, cleaning: Cleaning) -> bytes | None:
    """Return one written element whose value depends on nothing but itself."""
    vr = _vr(stated, rule, cleaning.is_signed)
    value = _value(raw, vr, rule, cleaning) if vr else None
    return element(tag, vr, value) if value and not (rule.most and values.count(vr, value) > rule.most) else None


def _vr(stated: str, rule: Rule, is_signed: bool) -> str:
    """Return the VR to write, or "" when the file states one that the standard does not give this element."""
    if stated in ("", "UN"):
        return rule.vrs[0] if len(rule.vrs) == 1 else "SS" if rule.vrs == ("US", "SS") and is_signed else "OW" if rule.kind == "table" else "US"
    if {stated, *rule.vrs} <= {"DS", "IS"}:
        return rule.vrs[0]
    if rule.kind == "table":
        return "OW" if stated in ("OW", "US", "SS", "OB") else ""
    return stated if stated in rule.vrs else ""


def _value(raw: bytes, vr: str, rule: Rule, cleaning: Cleaning) -> bytes | None:
    """Return what may be written, by the kind of the rule."""
    kind = rule.kind
    if kind == "number":
        if rule.keyword.endswith("TableDescriptor") or rule.keyword == "LUTDescriptor":
            return values.descriptor(raw)
        value = values.numbers(vr, raw, allowed.LARGE.get(rule.keyword, values.MAX_MEASURE))
        return values.rounded(value) if value and rule.keyword in allowed.ROUNDED else value
    if kind == "counter":
        return values.counters(vr, raw)
    if kind == "measure":
        return values.measure(raw, allowed.PATIENT_NUMBERS[rule.keyword])
    if kind in ("code", "image_type"):
        return values.codes(raw, allowed.CODES[rule.keyword], "OTHER" if kind == "image_type" else "")
    if kind == "uid":
        return values.uids(raw, cleaning.key)
    if kind == "class_uid":
        return values.class_uids(raw)
    return values.pointers(raw)


def _dependent_value(dataset: Dataset, raw: bytes, rule: Rule, cleaning: Cleaning) -> bytes | None:
    """Return what may be written where it depends on other elements of the same level."""
    if rule.kind == "table":
        return _table(dataset, raw, rule.keyword)
    if rule.kind == "label":
        return _label(dataset, rule.keyword, cleaning).encode("ascii", "replace")
    text = raw.strip(values.PADDING).decode("latin-1")
    if rule.kind == "date":
        moved = cleaning.calendar.day(text, str(dataset.get(allowed.DATES[rule.keyword]) or ""))
    elif rule.kind == "time":
        moved = cleaning.calendar.clock(text, str(dataset.get(DATE_OF.get(rule.keyword, "")) or ""))
    else:
        moved = cleaning.calendar.moment(text)
    return moved.encode() if moved else None


DATE_OF = {clock: day for day, clock in allowed.DATES.items()}


def _table(dataset: Dataset, raw: bytes, keyword: str) -> bytes | None:
    """Return a lookup table cut to what its descriptor says; None when there is no descriptor.

    Raises:
        ImageError: LUT, when the image needs the table.
    """
    from pydicom.datadict import tag_for_keyword

    tag: Any = tag_for_keyword(keyword.replace("Data", "Descriptor"))
    value = values.table(raw, raw_value(dataset, tag)[1] if tag in dataset else None)
    if not value and text_of(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        raise ImageError("LUT", "a lookup table has no descriptor")
    return value


def _label(dataset: Dataset, keyword: str, cleaning: Cleaning) -> str:
    """Return a name made of a code or a number; the name that somebody typed is never used."""
    if keyword == "ROIName":
        number = str(dataset.get("ROINumber") or "").strip()
        return cleaning.labels.get(number) or f"ROI {int(number)}" if number.isdigit() and len(number) <= values.MAX_COUNTER_DIGITS else "ROI"
    types = dataset.get("SegmentedPropertyTypeCodeSequence") or [] if cleaning.settings.clean_descriptors else []
    concept = concept_in(types[0]) if types else None
    return concept.meaning if concept else f"Segment {int(dataset.get('SegmentNumber') or 0)}"


def _roi_names(dataset: Dataset) -> dict[str, str]:
    """Return the meaning of the code of each region of interest of a structure set that has one, by its number."""
    names: dict[str, str] = {}
    for observation in dataset.get("RTROIObservationsSequence") or []:
        codes = observation.get("RTROIIdentificationCodeSequence") or []
        concept = concept_in(codes[0]) if codes else None
        if concept:
            names[str(observation.get("ReferencedROINumber") or "").strip()] = concept.meaning
    return names
