"""One DICOM data set to a new one, made of what `curation.deidentify.allowed` names, pseudonyms and decoded pixels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.deidentify import allowed
from curation.dicom_fields import age_years, known_maker, parse_date, patient_of, text_of
from curation.dicom_pixels import decode_frames
from curation.dicom_reading import guarded
from curation.errors import ImageError
from curation.pseudonyms import pseudonym, pseudonymous_uid, shift_date

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

METHOD = "Curaloop allow-list 1"
IMPLEMENTATION_UID = "2.25.203917350921873311415923764518250913811"
MAX_DEPTH = 8
MAX_COUNTER_DIGITS = 5
LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81, 91, 203))
WHOLE = re.compile(r"[+-]?\d{1,11}")
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

# PS3.15 annex E options that the result keeps to, by their codes of PS3.16 CID 7050.
PROFILE = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113103", "Clean Graphics Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)


def clean_dataset(dataset: Dataset, key: bytes) -> Dataset:
    """Return a new data set with nothing in it that the allow-list does not name.

    Args:
        dataset: a whole data set, with its pixels and file meta.
        key: secret of the pseudonyms.

    Raises:
        ImageError: the pixels cannot be decoded, or a header that no image can do without is missing.
    """
    frames = decode_frames(dataset)
    with guarded("CORRUPT", "an element that has to be copied cannot be read"):
        patient = patient_of(dataset)
        clean = _clean_level(dataset, key, patient, 0)
        _write_identity(clean, dataset, key, patient)
        _write_pixels(clean, dataset, frames)
        _write_method(clean)
        _write_meta(clean)
    return clean


def _clean_level(dataset: Dataset, key: bytes, patient: str, depth: int) -> Dataset:
    """Return the allowed elements of one level; entries of allowed sequences follow the same rule."""
    from pydicom.datadict import dictionary_VR, keyword_for_tag
    from pydicom.dataset import Dataset

    clean = Dataset()
    for tag in dataset.keys():  # noqa: SIM118 (iterating a Dataset converts every element, the unwanted too)
        keyword = "" if tag.is_private else keyword_for_tag(tag)
        if keyword in allowed.SEQUENCES and depth < MAX_DEPTH:
            entries = [_clean_level(entry, key, patient, depth + 1) for entry in _entries(dataset[tag])]
            value: Any = [entry for entry in entries if len(entry)]
        elif keyword:
            value = _clean_value(keyword, dictionary_VR(tag), dataset, key, patient)
        else:
            continue
        if value not in (None, [], ""):
            setattr(clean, keyword, value)
    return clean


def _entries(element: DataElement) -> list[Dataset]:
    return list(element.value) if element.VR == "SQ" else []


def _clean_value(keyword: str, vr: str, dataset: Dataset, key: bytes, patient: str) -> Any:
    """Return what may be written for an element, or None."""
    if keyword in allowed.NUMBERS:
        return _numbers(vr, dataset[keyword])
    if keyword in allowed.CODES:
        values = [value.strip().upper() for value in _texts(dataset[keyword])]
        return [value for value in values if value in allowed.CODES[keyword]]
    if keyword in allowed.UIDS:
        return [pseudonymous_uid(key, uid) for uid in _texts(dataset[keyword]) if uid]
    if keyword in allowed.CLASS_UIDS:
        return [uid for uid in _texts(dataset[keyword]) if _is_standard_uid(uid)]
    if keyword in allowed.DATES:
        day = parse_date(text_of(dataset, keyword))
        return shift_date(key, patient, day).strftime("%Y%m%d") if day else None
    if keyword in allowed.POINTERS:
        return _pointers(dataset[keyword])
    return _table(keyword, dataset) if keyword in allowed.TABLES else None


def _texts(element: DataElement) -> list[str]:
    """Return the values of an element as strings; none for bytes or sequences."""
    if element.value is None or isinstance(element.value, bytes) or element.VR == "SQ":
        return []
    values = element.value if element.VM > 1 else [element.value]
    return [str(value) for value in values if value is not None]


def _numbers(vr: str, element: DataElement) -> list[Any]:
    """Return the values if every one is a number of the kind that the standard wants, else nothing."""
    from pydicom.valuerep import format_number_as_ds

    texts = [text.strip() for text in _texts(element)]
    kinds, form = set(vr.split(" or ")), WHOLE if vr == "IS" else DECIMAL
    if element.VR not in kinds or not texts or not all(form.fullmatch(text) for text in texts):
        return []
    if element.keyword in allowed.COUNTERS and any(len(text) > MAX_COUNTER_DIGITS for text in texts):
        return []
    if vr == "DS":
        return [text if len(text) <= 16 else format_number_as_ds(float(text)) for text in texts]
    if vr == "IS":
        return texts
    return list(element.value) if element.VM > 1 else [element.value]


def _is_standard_uid(uid: str) -> bool:
    from pydicom.uid import UID

    return UID(uid).name != uid


def _pointers(element: DataElement) -> list[Any]:
    """Return pointers to elements of the standard; private ones would point to nothing."""
    from pydicom.datadict import dictionary_has_tag

    values = element.value if element.VM > 1 else [element.value]
    return [tag for tag in values if isinstance(tag, int) and dictionary_has_tag(tag)]


def _table(keyword: str, dataset: Dataset) -> bytes | None:
    """Return a lookup table cut to the length that its descriptor declares."""
    descriptor = dataset.get(keyword.replace("Data", "Descriptor"))
    value = dataset[keyword].value
    if descriptor is None or len(descriptor) != 3:
        raise ImageError("LUT", "a lookup table has no descriptor")
    entries, bits = int(descriptor[0]) or 1 << 16, int(descriptor[2])
    if isinstance(value, int):
        return None
    if not isinstance(value, bytes):
        return np.asarray(value, np.int64).astype("<u2").tobytes()[: 2 * entries]
    size_bytes = entries * (2 if bits > 8 or len(value) >= 2 * entries else 1)
    return value[: size_bytes + size_bytes % 2]


def _write_identity(clean: Dataset, dataset: Dataset, key: bytes, patient: str) -> None:
    """Write what a DICOM image must say about whom and with what, as pseudonyms and listed values."""
    clean.PatientID = clean.PatientName = pseudonym(key, "patient", patient)
    for keyword in allowed.EMPTY:
        setattr(clean, keyword, "")
    for keyword in ("StudyDate", "PatientSex", "SeriesNumber", "InstanceNumber"):
        if keyword not in clean:
            setattr(clean, keyword, "")
    age = age_years(dataset)
    if age is not None:
        clean.PatientAge = f"{int(age):03d}Y" if age >= 2 else f"{int(age * 12):03d}M"
    clean.Manufacturer = known_maker(text_of(dataset, "Manufacturer")) or ""
    model = text_of(dataset, "ManufacturerModelName")
    if model:
        clean.ManufacturerModelName = f"model-{pseudonym(key, 'model', model)[:8]}"
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if keyword not in clean:
            raise ImageError("NO_UID", "a UID that every image needs is missing or is not of the standard")
    if "Modality" not in clean:
        raise ImageError("MODALITY", "the modality is missing or is not one that we take")


def _write_pixels(clean: Dataset, dataset: Dataset, frames: np.ndarray[Any, Any]) -> None:
    """Write decoded values, exactly as many as there are pixels, with the description that fits them."""
    stored, allocated = int(dataset.BitsStored), frames.dtype.itemsize * 8
    is_colour = frames.ndim == 4
    clean.SamplesPerPixel = 3 if is_colour else 1
    clean.PhotometricInterpretation = "RGB" if is_colour else text_of(clean, "PhotometricInterpretation") or "MONOCHROME2"
    if is_colour:
        clean.PlanarConfiguration = 0
    clean.BitsAllocated, clean.BitsStored, clean.HighBit = allocated, stored, stored - 1
    clean.PixelRepresentation = int(frames.dtype.kind == "i")
    if frames.dtype.kind == "u":
        frames = frames & frames.dtype.type((1 << stored) - 1)
    if dataset.file_meta.TransferSyntaxUID in LOSSY_SYNTAXES:
        clean.LossyImageCompression = "01"
    content = np.ascontiguousarray(frames.astype(frames.dtype.newbyteorder("<"))).tobytes()
    clean.add_new(0x7FE00010, "OW" if allocated > 8 else "OB", content + b"\0" * (len(content) % 2))


def _write_method(clean: Dataset) -> None:
    """Say that and how the data set was de-identified."""
    from pydicom.dataset import Dataset

    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.LongitudinalTemporalInformationModified = "MODIFIED"
    codes = []
    for value, meaning in PROFILE:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    clean.DeidentificationMethodCodeSequence = codes


def _write_meta(clean: Dataset) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = clean.SOPClassUID, clean.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "CURALOOP"
    clean.file_meta = meta
    clean.preamble = b"\0" * 128


def encode_dataset(clean: Dataset) -> bytes:
    """Return the bytes of the file, with a preamble of zeros."""
    import io

    stream = io.BytesIO()
    with guarded("CORRUPT", "the new file cannot be written"):
        clean.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
