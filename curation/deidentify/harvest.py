"""The second look: who the patient is, gathered from the input before cleaning, must not be found in the output.

It shares no rule with the first: it reads the written bytes again, element by element, and fails closed. A value is passed over only when it is a
word of a fixed vocabulary (codes of the allow-list, the standard's own words), because such a word says nothing about anybody; so a patient called
Head or Chest can be cleaned. All else is searched: names in any order, ids with and without separators, dates in the usual forms, old UIDs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from curation.deidentify.little_endian import raw_of
from curation.deidentify.variants import variants, without_accents
from curation.dicom_reading import guarded

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MIN_WORD, MIN_DIGITS, MIN_UID, MAX_TEXT = 4, 6, 10, 64
MAX_DEPTH = 16
IDS = frozenset({
    "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "DeviceSerialNumber", "MedicalRecordLocator", "RequestedProcedureID",
    "ScheduledProcedureStepID", "PerformedProcedureStepID", "AdmissionID", "PatientTelephoneNumbers", "RegionOfResidence", "CountryOfResidence",
    "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest", "InsurancePlanIdentification", "IssuerOfPatientID", "DeviceID",
    "CompanionID", "ServiceEpisodeID", "ClinicalTrialSubjectID", "PatientAddress", "InstitutionName", "InstitutionAddress", "StationName",
})  # fmt: skip
DATES = frozenset({"PatientBirthDate", "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar", "LastMenstrualDate", "IssueDate"})
NAMING = IDS | DATES
TEXT_VRS = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE"})
DELIMITERS = {ord(mark) for mark in "^=\\\r\n\t\f"}
"""Where a character set of several code tables goes back to its first (PS3.5 6.1.2.5.3)."""
NO_WORDS = frozenset({"NONE", "UNKNOWN", "ANONYMOUS", "ANONYMIZED", "NAME", "PATIENT", "TEST", "PHANTOM"})


@dataclass(frozen=True)
class Identifiers:
    """What names the patient, staff, place or object in one file, in capitals.

    Attributes:
        words: hold a letter and at least four characters; found inside any text.
        short: shorter, or spelt with hexadecimal digits only; found as a whole word.
        numbers: hold no letter; found between characters that are not digits.
        uids: old UIDs.
        days: raw dates by tag: an output must not repeat one in its place.
    """

    words: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    uids: frozenset[str] = frozenset()
    days: dict[int, str] = field(default_factory=dict)

    def are_in_text(self, text: str) -> bool:
        """Say whether a text of ours, e.g. a message or a name of a file, holds one of them."""
        upper = text.upper()
        if any(word in upper for word in self.words) or any(uid in upper for uid in self.uids):
            return True
        found = (number for number in self.numbers if len(number) >= MIN_DIGITS and number in upper)
        return any(re.search(rf"(?<![0-9.]){re.escape(number)}(?![0-9])", upper) for number in found)


class Source(NamedTuple):
    """A text that names somebody or something, and what kind of text it is."""

    text: str
    kind: Literal["name", "id", "date", "text"]


def collect(sources: Iterable[Source], uids: Iterable[str] = (), days: dict[int, str] | None = None) -> Identifiers:
    """Return the forms of what names somebody, sorted by how they have to be searched."""
    words, short, numbers = _forms(frozenset(sources))
    return Identifiers(words, short, numbers, frozenset(uid for uid in uids if len(uid) >= MIN_UID), days or {})


@lru_cache(maxsize=64)
def _forms(sources: frozenset[Source]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return words, short words and numbers; files of a series name the same."""
    tokens = {form.strip() for text, kind in sources for form in (variants(text, kind) if kind != "text" else (text,))}
    words, short, numbers = set(), set(), set()
    for token in {form.upper() for text in tokens for form in (text, without_accents(text))} - NO_WORDS:
        if not re.search(r"[^\W\d_]", token):
            numbers.add(token)
        elif len(token) < MIN_WORD or re.fullmatch("[0-9A-F]+", token):
            short.add(token)
        else:
            words.add(token)
    kept = (number for number in numbers if sum(character.isdigit() for character in number) >= MIN_WORD)
    return frozenset(words), frozenset(short - {""}), frozenset(kept)


def harvest_identifiers(dataset: Dataset) -> Identifiers:
    """Return what names somebody or something anywhere in a data set, at every depth.

    Raises:
        ImageError: CORRUPT, when an element that may name the patient cannot be read.
    """
    sources: set[Source] = set()
    uids: set[str] = set()
    days: dict[int, str] = {}
    with guarded("CORRUPT", "an element that may identify the patient cannot be read"):
        _gather(dataset, sources, uids, days, 0)
        if (meta := getattr(dataset, "file_meta", None)) is not None:
            _gather(meta, sources, uids, {}, 0)
    return collect(sources, uids, days)


@lru_cache(maxsize=1)
def _tags() -> dict[int, tuple[str, str]]:
    """Return VR and keyword of every element of the standard by its tag."""
    from pydicom._dicom_dict import DicomDictionary

    return {tag: (vr, keyword) for tag, (vr, _, _, _, keyword) in DicomDictionary.items()}


def _gather(dataset: Dataset, sources: set[Source], uids: set[str], days: dict[int, str], depth: int) -> None:
    """Add what one level holds."""
    for key, found in dataset.items():
        tag = int(key)
        standard_vr, keyword = _tags().get(tag, ("", ""))
        vr = (found.VR if found.VR not in (None, "UN") else standard_vr) or ""
        if vr == "SQ":
            for entry in (dataset[key].value or []) if depth < MAX_DEPTH else []:
                _gather(entry, sources, uids, days, depth + 1)
        elif vr == "PN" or keyword in NAMING:
            sources.update(_named(dataset, found, vr, keyword))
        elif vr == "UI":
            uids.update(_uids(raw_of(found, dataset)[1]))
        elif vr in TEXT_VRS:
            sources.update(_texts(raw_of(found, dataset)[1]))
        elif vr == "DA" and depth == 0:
            days[tag] = raw_of(found, dataset)[1].decode("latin-1").strip(" \0")


@lru_cache(maxsize=4096)
def _texts(raw: bytes) -> frozenset[Source]:
    """Return the texts of an element that are long enough to mean somebody and short enough to be written anywhere."""
    parts = (part.strip(" \0") for part in raw.decode("latin-1").split("\\"))
    return frozenset(Source(part, "text") for part in parts if MIN_DIGITS <= len(part) <= MAX_TEXT and not part.isdigit())


def _uids(raw: bytes) -> list[str]:
    from pydicom._uid_dict import UID_dictionary

    parts = (part.strip(" \0") for part in raw.decode("latin-1").split("\\"))
    return [uid for uid in parts if uid not in UID_dictionary]


def _named(dataset: Dataset, found: Any, vr: str, keyword: str) -> frozenset[Source]:
    """Return the texts of an element that names somebody or something."""
    if isinstance(found, tuple):
        encodings = dataset.original_character_set or "iso8859"
        return _decoded(raw_of(found, dataset)[1], (encodings,) if isinstance(encodings, str) else tuple(encodings), vr, keyword)
    values = found.value if found.VM > 1 else [found.value]
    return frozenset(Source(str(value), _kind(vr, keyword)) for value in values if value is not None and not isinstance(value, bytes))


@lru_cache(maxsize=4096)
def _decoded(raw: bytes, encodings: tuple[str, ...], vr: str, keyword: str) -> frozenset[Source]:
    """Return texts in the character sets of their file, and as they lie there, for a file that names a wrong one."""
    from pydicom.charset import decode_bytes

    value = raw.rstrip(b"\0 ")
    texts = {decode_bytes(value, list(encodings), DELIMITERS), value.decode("latin-1")}
    return frozenset(Source(part, _kind(vr, keyword)) for text in texts for part in text.split("\\") if part.strip())


def _kind(vr: str, keyword: str) -> Literal["name", "id", "date"]:
    return "name" if vr == "PN" else "date" if keyword in DATES else "id"
