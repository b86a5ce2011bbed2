"""How the simulated hospital stores images: as careless as a real one, with names and dates in every header.

pydicom and nibabel are used here to *write* what their doors in `curation` will read.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

CT_IMAGE, DX_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1"
HOSPITALS = {"north": "Northern General Hospital", "harbour": "Harbour Clinic", "hill": "Hill Road Infirmary"}
MAKERS = {"north": "SIEMENS", "harbour": "GE MEDICAL SYSTEMS", "hill": "Philips"}


@dataclass(frozen=True)
class Patient:
    """A fake person."""

    number: str
    name: str
    born: str
    sex: str

    @property
    def age_years(self) -> int:
        """Age on the day of the examination."""
        return 2024 - int(self.born[:4])

    @property
    def examined(self) -> date:
        """Day of the examination."""
        return date(2024, 1, 2) + timedelta(days=int(hashlib.sha256(self.number.encode()).hexdigest()[:4], 16) % 330)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be found in anything that Curaloop writes."""
        return (self.number, self.name, self.name.replace("^", " "))


def write_png(path: Path, pixels: npt.NDArray[np.uint8], text: dict[str, str], compression: int = 1) -> None:
    """Write `(H, W, 3)` RGB as PNG with text chunks."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for key, value in text.items():
        chunks.add_text(key, value)
    Image.fromarray(pixels).save(path, pnginfo=chunks, compress_level=compression)


def _uid(*parts: object) -> str:
    return f"1.2.826.0.1.3680043.10.999.{int(hashlib.sha256(repr(parts).encode()).hexdigest()[:20], 16)}"


def _dataset(person: Patient, site: str, sop_class: str, modality: str, series: str, instance: int) -> FileDataset:
    """Return a DICOM dataset with everything but the pixels."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(_uid(series, instance))
    meta.TransferSyntaxUID, meta.SourceApplicationEntityTitle = ExplicitVRLittleEndian, "HOSPITAL_PACS"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    day = person.examined.strftime("%Y%m%d")
    values: dict[str, Any] = {
        "SOPClassUID": sop_class, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": _uid(person.number, "study"), "SeriesInstanceUID": series, "FrameOfReferenceUID": _uid(series, "frame"),
        "PatientName": person.name, "PatientID": person.number, "PatientBirthDate": person.born, "PatientSex": person.sex,
        "PatientAge": f"{person.age_years:03d}Y", "StudyDate": day, "SeriesDate": day, "AcquisitionDate": day, "ContentDate": day,
        "StudyTime": "101500", "AccessionNumber": f"A{person.number[1:]}", "ReferringPhysicianName": "Okafor^Ruth", "OperatorsName": "Weber^Tim",
        "InstitutionName": HOSPITALS[site], "InstitutionAddress": "1 Long Lane", "StationName": f"{site.upper()}-3", "Manufacturer": MAKERS[site],
        "ManufacturerModelName": "Phantom 9", "DeviceSerialNumber": f"SN{site}81", "StudyDescription": f"for {person.name.replace('^', ' ')}",
        "SeriesDescription": "simulated", "Modality": modality, "BodyPartExamined": "CHEST", "StudyID": "1", "SeriesNumber": 1,
        "InstanceNumber": instance, "SamplesPerPixel": 1, "BitsAllocated": 16, "PatientComments": "lives with her daughter",
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.private_block(0x0019, "HOSPITAL 1.0", create=True).add_new(0x01, "LO", f"note on {person.name}")
    return dataset


def _save(dataset: FileDataset, path: Path) -> None:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())


def write_xray(path: Path, pixels: npt.NDArray[np.uint16], person: Patient, site: str, *, inverted: bool, burned_in: bool) -> str:
    """Write one radiograph and return its series UID.

    Args:
        path: file to write.
        pixels: `(H, W)` 12-bit values, bone is bright.
        person: whose picture it is.
        site: where it was taken.
        inverted: store as MONOCHROME1.
        burned_in: write the patient's name into the pixels and say so in the header, as a digitizer does.
    """
    import cv2

    series = _uid(person.number, path.stem)
    dataset = _dataset(person, site, DX_IMAGE, "DX", series, 1)
    if burned_in:
        pixels = pixels.copy()
        cv2.putText(pixels, person.name.replace("^", " "), (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 4095, 2, cv2.LINE_AA)
    values: dict[str, Any] = {
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME1" if inverted else "MONOCHROME2", "ImagerPixelSpacing": [1.2, 1.2], "ViewPosition": "PA",
        "WindowCenter": 2048, "WindowWidth": 4096, "BurnedInAnnotation": "YES" if burned_in else "NO", "RescaleSlope": 1, "RescaleIntercept": 0,
        "RescaleType": "US", "PresentationLUTShape": "INVERSE" if inverted else "IDENTITY",
        "ImageType": ["ORIGINAL", "PRIMARY"], "ImageLaterality": "U",
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = ((4095 - pixels) if inverted else pixels).astype("<u2").tobytes()
    _save(dataset, path)
    return series


def write_ct_series(folder: Path, volume: npt.NDArray[np.int16], person: Patient, site: str, *, without_slice: int | None) -> str:
    """Write one CT series, one file a slice, and return its series UID.

    Args:
        folder: folder to make.
        volume: `(D, H, W)` HU.
        person: whose chest it is.
        site: where it was taken; decides the slice thickness.
        without_slice: slice that gets lost, as in a broken transfer.
    """
    folder.mkdir(parents=True)
    series = _uid(person.number, folder.name)
    thickness = {"north": 5.0, "harbour": 6.0, "hill": 4.0}[site]
    for position, pixels in enumerate(volume):
        if position == without_slice:
            continue
        dataset = _dataset(person, site, CT_IMAGE, "CT", series, position + 1)
        values: dict[str, Any] = {
            "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1,
            "PhotometricInterpretation": "MONOCHROME2", "PixelSpacing": [3.75, 3.75], "SliceThickness": thickness, "RescaleSlope": 1, "RescaleIntercept": 0,
            "RescaleType": "HU", "KVP": 120, "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [-180.0, -180.0, position * thickness],
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PatientPosition": "HFS", "AcquisitionNumber": 1,
        }  # fmt: skip
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.PixelData = pixels.astype("<i2").tobytes()
        _save(dataset, folder / f"{position:03d}")
    return series


def write_nifti(path: Path, volume: npt.NDArray[np.int16], person: Patient) -> None:
    """Write `(D, H, W)` as `.nii.gz` in LPS voxel order, with the patient's name where converters like to put it."""
    import nibabel as nib

    affine = np.diag([-3.0, -3.0, 3.5, 1.0])
    image = nib.Nifti1Image(volume.transpose(2, 1, 0), affine)
    image.header["descrip"] = person.name.encode()
    image.header["db_name"] = person.number.encode()
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    nib.save(image, path)
