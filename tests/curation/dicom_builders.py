"""Builders of DICOM files with known content: one file, a CT series, and ways to damage them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.8.498"
SIZE = 16


def a_dataset(**tags: Any) -> Dataset:
    """Return a CT slice of an invented patient, 16 × 16; `tags` replace elements by keyword, None removes one."""
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    elements: dict[str, Any] = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": f"{ROOT}.1", "StudyInstanceUID": f"{ROOT}.2", "SeriesInstanceUID": f"{ROOT}.3",
        "PatientID": "PID-4711-X", "PatientName": "Quastenflosser^Wilhelmine", "PatientBirthDate": "19570311", "PatientSex": "F", "PatientAge": "063Y",
        "StudyDate": "20201224", "Modality": "CT", "Manufacturer": "SIEMENS", "ManufacturerModelName": "Somatom Zwei",
        "InstitutionName": "Krankenhaus Hinterwald", "BodyPartExamined": "CHEST", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "Rows": SIZE, "Columns": SIZE, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11,
        "PixelRepresentation": 0, "RescaleSlope": 1, "RescaleIntercept": -1024, "PixelSpacing": [0.5, 0.7], "InstanceNumber": 1,
        "ImagePositionPatient": [-10.0, -20.0, 30.0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelData": a_pattern(0).tobytes(),
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # breaking the standard is the point of many of these files
        for keyword, value in (elements | tags).items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def a_pattern(number: int) -> npt.NDArray[np.uint16]:
    """Return `(16, 16)` values from 0 to 4095, different for every number, with air in them."""
    values = np.random.default_rng(number).integers(0, 4096, (SIZE, SIZE), dtype=np.uint16)
    values[0, 0] = 0
    return values


def save(dataset: Dataset, path: Path) -> Path:
    """Write a data set as a DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or f"{ROOT}.1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)
    return path


def a_dicom(folder: Path, **tags: Any) -> Path:
    """Write one DICOM file and return its path."""
    return save(a_dataset(**tags), folder / "one.dcm")


def a_series(folder: Path, slices: int = 5, changes: dict[int, dict[str, Any]] | None = None, **tags: Any) -> list[Path]:
    """Write a CT series, 2 mm between slices, and return its paths in an order that is not spatial.

    Args:
        folder: where to.
        slices: how many.
        changes: elements to replace, by slice.
        **tags: elements to replace in every slice.
    """
    paths = []
    for index in range(slices):
        own = {
            "SOPInstanceUID": f"{ROOT}.1.{index}", "InstanceNumber": slices - index, "ImagePositionPatient": [-10.0, -20.0, 30.0 + 2 * index],
            "PixelData": a_pattern(index).tobytes(),
        }  # fmt: skip
        paths.append(save(a_dataset(**(own | tags | (changes or {}).get(index, {}))), folder / f"{(index * 7) % 10:02d}-{index}.dcm"))
    return paths


def an_xray(folder: Path, **tags: Any) -> Path:
    """Write one projection image, 16 × 16, values 0 to 4095, and return its path."""
    defaults = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "Modality": "DX", "RescaleIntercept": None, "RescaleSlope": None, "ImagePositionPatient": None,
        "ImageOrientationPatient": None, "PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.2], "ViewPosition": "PA",
    }  # fmt: skip
    return a_dicom(folder, **(defaults | tags))
