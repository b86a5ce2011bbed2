"""The second look: who the patient is, gathered from the input before cleaning, must not be found in the output.

It knows nothing of the allow-list's rules, so that a mistake there is caught here, and it fails closed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from curation.deidentify.allowed import LISTED_VALUES
from curation.deidentify.dataset import METHOD, PROFILE
from curation.dicom_fields import MAKERS
from curation.dicom_reading import guarded
from curation.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

MIN_LENGTH = 4
MIN_DIGITS = 6
KNOWN_WORDS = LISTED_VALUES | {maker.upper() for maker in MAKERS.values()} | {"NONE", "UNKNOWN", "ANONYMOUS"}
NAMING = frozenset({
    "PatientID", "OtherPatientIDs", "PatientBirthDate", "AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
    "StationName", "DeviceSerialNumber", "PatientTelephoneNumbers", "PatientAddress", "PatientComments", "OtherPatientNames", "MedicalRecordLocator",
    "MilitaryRank", "CountryOfResidence", "RegionOfResidence", "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID", "AdmissionID",
    "IssuerOfPatientID", "EthnicGroup", "Occupation", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
})  # fmt: skip
NUMERIC_VRS = frozenset({"DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "AT"})
MAX_DEPTH = 16


def harvest_identifiers(dataset: Dataset) -> frozenset[str]:
    """Return what names the patient, staff, place or object anywhere in a data set, in capitals, at least four characters each."""
    with guarded("CORRUPT", "an element that may identify the patient cannot be read"):
        found = {token.strip().upper() for element in _walk(dataset, 0) for token in _tokens(element)}
    return frozenset(token for token in found if len(token) >= MIN_LENGTH and token not in KNOWN_WORDS)


def _walk(dataset: Dataset, depth: int) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR == "SQ" and depth < MAX_DEPTH:
            for entry in element.value:
                yield from _walk(entry, depth + 1)
        elif element.VR != "SQ":
            yield element


def _tokens(element: DataElement) -> Iterator[str]:
    """Yield what of an element identifies: whole values, and for persons each part of the name."""
    if element.VR != "PN" and element.keyword not in NAMING:
        return
    values = element.value if element.VM > 1 else [element.value]
    for value in values:
        if value is None or isinstance(value, bytes):
            continue
        yield str(value)
        if element.VR == "PN":
            yield from re.split(r"[\^=\s,]+", str(value))


def refuse_leaks(content: bytes, identifiers: frozenset[str]) -> None:
    """Search the bytes of a new DICOM file for identifiers.

    Words are searched in all bytes before the pixels; numbers and dates in every value, where inside a UID or a measure they would match by chance,
    so there only a whole value counts.

    Raises:
        ImageError: LEAK.
    """
    from pydicom import dcmread

    clean = dcmread(io.BytesIO(content))
    before_pixels = _without_own_words(content[: len(content) - len(clean.PixelData)])
    words = [token for token in identifiers if re.search(r"[^\W\d_]", token)]
    numbers = identifiers - set(words)
    values = [(element.VR, str(value).upper()) for element in _walk(clean, 0) if element.keyword != "PixelData" for value in _values(element)]
    if any(form in before_pixels for word in words for form in _encodings(word)) or any(
        _holds(vr, value, number) for number in numbers for vr, value in values
    ):
        raise ImageError("LEAK", "the second look found something of the patient in the result; nothing was written")


def _without_own_words(content: bytes) -> bytes:
    """Return the bytes in capitals, without the sentences that we write into every file."""
    for text in (METHOD, *(meaning for _, meaning in PROFILE)):
        content = content.replace(text.encode(), b"")
    return content.upper()


def _holds(vr: str, value: str, number: str) -> bool:
    """Return whether a value holds an identifying number: as a whole, or inside a text; short numbers are measures by chance."""
    if vr in NUMERIC_VRS:
        return number == value and len(number) >= MIN_DIGITS
    return number == value or (vr not in ("UI", "DA") and len(number) >= MIN_DIGITS and number in value)


def _encodings(word: str) -> Iterator[bytes]:
    for encoding in ("utf-8", "latin-1"):
        try:
            yield word.encode(encoding)
        except UnicodeEncodeError:
            continue


def _values(element: DataElement) -> list[object]:
    return list(element.value) if element.VM > 1 else [element.value]
