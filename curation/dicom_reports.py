"""Reports in DICOM: the text of a structured report (SR), and the names in a header that must not stay in any text.

What comes out is raw. It stays in the worker until `curation.visible.report_text` has cleaned it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from curation.dicom_fields import text_of
from curation.dicom_reading import guarded, open_dataset
from curation.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

REPORT_CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35))
"""Basic Text, Enhanced, Comprehensive, Comprehensive 3D and Extensible SR: those that people write. Dose, CAD and measurement logs are not text."""
NAMING_TAGS = [
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "PatientBirthDate", "PatientAddress",
    "PatientTelephoneNumbers", "ReferringPhysicianName", "ReferringPhysicianAddress", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy",
    "PhysiciansOfRecord", "OperatorsName", "RequestingPhysician", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName",
    "AccessionNumber", "StudyID", "AdmissionID", "MedicalRecordLocator", "RequestedProcedureID", "DeviceSerialNumber", "StudyInstanceUID", "SeriesInstanceUID",
    "SOPInstanceUID", "IssuerOfPatientID", "ResponsiblePerson", "ResponsibleOrganization", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate",
]  # fmt: skip
MAX_DEPTH = 16
MAX_CHARACTERS = 100_000


class Report(NamedTuple):
    """A report, raw: when it was written, what it says, and who is named in it."""

    written: str
    text: str
    names: frozenset[str]


def is_report(path: Path) -> bool:
    """Say whether a DICOM file is a report that people write."""
    return text_of(open_dataset(path, ["SOPClassUID"]), "SOPClassUID") in REPORT_CLASSES


def study_of(path: Path) -> tuple[str, str]:
    """Return the raw patient id and study UID of a report."""
    dataset = open_dataset(path, ["PatientID", "StudyInstanceUID"])
    return text_of(dataset, "PatientID"), text_of(dataset, "StudyInstanceUID")


def read_report(path: Path) -> Report:
    """Return what a structured report says, one line a statement.

    Raises:
        ImageError: it cannot be read.
    """
    dataset = open_dataset(path)
    with guarded():
        written = " ".join(text_of(dataset, name) for name in ("ContentDate", "ContentTime", "SOPInstanceUID"))
        lines, names = [], set(names_in(dataset))
        for kind, line in _statements(dataset, 0):
            if kind == "PNAME":
                names |= _words(line)
            else:
                lines.append(line)
    text = "\n".join(lines)
    if len(text) > MAX_CHARACTERS:
        raise ImageError("TOO_LARGE", "the report has more than 100,000 characters")
    return Report(written, text, frozenset(names))


def header_names(path: Path) -> frozenset[str]:
    """Return what the header of an image says of the patient, staff, place, day and numbers."""
    dataset = open_dataset(path, NAMING_TAGS)
    with guarded():
        return names_in(dataset)


def names_in(dataset: Dataset) -> frozenset[str]:
    """Return the values of the naming elements of a data set, whole and, for people, each part of the name."""
    found: set[str] = set()
    for keyword in NAMING_TAGS:
        value = dataset.get(keyword)
        values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
        for one in values:
            text = str(one).strip() if one is not None else ""
            found |= {text} | (_words(text) if "Name" in keyword or "Physician" in keyword or "Person" in keyword else set())
    return frozenset(text for text in found if len(text) > 1)


def _words(name: str) -> set[str]:
    """Return a person's name and its parts."""
    return {name, *(part for part in re.split(r"[\^=\s,.]+", name) if len(part) > 1)}


def _statements(dataset: Dataset, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the kind and the sentence of each content item: texts, codes and numbers with what they are called; names of people apart."""
    for entry in dataset.get("ContentSequence") or () if depth < MAX_DEPTH else ():
        kind, title = text_of(entry, "ValueType").upper(), _meaning(entry, "ConceptNameCodeSequence")
        if kind == "PNAME":
            yield kind, text_of(entry, "PersonName")
        elif said := _said(entry, kind):
            yield kind, f"{title}: {said}" if title else said
        elif kind == "CONTAINER" and title:
            yield kind, f"{title}:"
        yield from _statements(entry, depth + 1)


def _said(entry: Dataset, kind: str) -> str:
    if kind == "TEXT":
        return text_of(entry, "TextValue")
    if kind == "CODE":
        return _meaning(entry, "ConceptCodeSequence")
    measured = entry.get("MeasuredValueSequence") if kind == "NUM" else None
    if not measured:
        return ""
    return f"{text_of(measured[0], 'NumericValue')} {_meaning(measured[0], 'MeasurementUnitsCodeSequence')}".strip()


def _meaning(entry: Dataset, sequence: str) -> str:
    codes = entry.get(sequence)
    return text_of(codes[0], "CodeMeaning") if codes else ""
