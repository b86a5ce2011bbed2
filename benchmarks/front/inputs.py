"""Generated inputs: a CT series and folders of photographs, the same bytes on every machine with the same libraries."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

ROOT_UID = "1.2.826.0.1.3680043.8.498.77"
SLICES, SIZE_PX = 200, 512
SPACING_MM = (1.25, 0.7, 0.7)
NOISE_HU = 18.0
SIZES_PX = ((224, 224), (256, 256), (299, 299), (240, 320), (300, 400), (384, 384), (336, 448), (448, 336))
"""Rows and columns of the photographs: a camera has one size, a folder a few."""


def make_ct_series(folder: Path, slices: int = SLICES, series: int = 1) -> None:
    """Write a chest-like CT, explicit little endian, int16 stored values, 0.7 x 0.7 x 1.25 mm, noise of 18 HU, air around, about 80 elements a file."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(series)
    noise = random.normal(0, NOISE_HU, (8, SIZE_PX, SIZE_PX)).astype(np.float32)
    for number in range(slices):
        hu = _chest(number / slices) + np.roll(noise[number % 8], (31 * number, 17 * number), (0, 1))
        stored = np.clip(np.rint(hu) + 1024, 0, 4095).astype("<u2")
        _ct_header(series, number, slices, stored).save_as(folder / f"IM{number:05d}.dcm", enforce_file_format=True)


def _chest(height: float) -> npt.NDArray[np.float32]:
    """Return `(512, 512)` float32 HU of one slice: body, lungs, spine, ribs' ring, table."""
    y, x = np.mgrid[-1 : 1 : SIZE_PX * 1j, -1 : 1 : SIZE_PX * 1j].astype(np.float32)
    body = (x / 0.82) ** 2 + (y / 0.6) ** 2
    hu = np.where(body < 1, 40.0, -1000.0)
    hu = np.where((body > 0.86) & (body < 1), -90.0, hu)
    lung = 0.16 + 0.14 * np.sin(np.pi * height)
    for side in (-0.38, 0.38):
        hu = np.where(((x - side) / lung) ** 2 + (y / (1.5 * lung)) ** 2 < 1, -850.0 + 60 * np.sin(40 * x) * np.cos(37 * y + 9 * height), hu)
    hu = np.where((x / 0.09) ** 2 + ((y - 0.38) / 0.1) ** 2 < 1, 600.0, hu)
    return np.where(np.abs(y - 0.75) < 0.01, 200.0, hu).astype(np.float32)


def _ct_header(series: int, number: int, slices: int, stored: npt.NDArray[np.uint16]) -> FileDataset:
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{ROOT_UID}.{series}.{number + 1}")
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in _ct_values(series, number, slices).items():
        setattr(image, keyword, value)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24627-2", "LN", "CT Chest"
    image.ProcedureCodeSequence, image.RequestAttributesSequence = [code], [Dataset()]
    private = image.private_block(0x0019, "SYNTHETIC VENDOR", create=True)
    for element in range(24):
        private.add_new(0x40 + element, "DS", f"{element * 1.5}")
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = stored.tobytes()
    return image


def _ct_values(series: int, number: int, slices: int) -> dict[str, object]:
    z_mm = round(-(slices / 2) * SPACING_MM[0] + number * SPACING_MM[0], 4)
    return {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": f"{ROOT_UID}.{series}.{number + 1}",
        "StudyDate": "20240311", "SeriesDate": "20240311", "AcquisitionDate": "20240311", "ContentDate": "20240311", "StudyTime": "101112",
        "SeriesTime": "101212", "AcquisitionTime": f"1013{number % 60:02d}", "ContentTime": "101400", "AccessionNumber": f"ACC{series:06d}", "Modality": "CT",
        "Manufacturer": "SIEMENS", "InstitutionName": "General Hospital", "ReferringPhysicianName": "Refer^Anna", "StationName": "CT99",
        "StudyDescription": "CT Chest", "SeriesDescription": "Thorax 1.25 B31f", "PhysiciansOfRecord": "Record^Ben", "OperatorsName": "Oper^Cora",
        "ManufacturerModelName": "Scanner One", "PatientName": f"Example^Patient{series}", "PatientID": f"HOSP-{series:06d}", "PatientBirthDate": "19560704",
        "PatientSex": "F", "PatientAge": "067Y", "PatientSize": "1.70", "PatientWeight": "70", "BodyPartExamined": "CHEST", "SliceThickness": "1.25",
        "KVP": "120", "DataCollectionDiameter": "500", "DeviceSerialNumber": "SN12345", "SoftwareVersions": "syngo CT 2012B", "ProtocolName": "Thorax",
        "ReconstructionDiameter": "358", "DistanceSourceToDetector": "1040", "DistanceSourceToPatient": "570", "GantryDetectorTilt": "0",
        "TableHeight": "160", "RotationDirection": "CW", "ExposureTime": "500", "XRayTubeCurrent": "200", "Exposure": "100", "FilterType": "0",
        "GeneratorPower": "30", "FocalSpots": "1.2", "ConvolutionKernel": "B31f", "PatientPosition": "HFS", "StudyInstanceUID": f"{ROOT_UID}.{series}.0.1",
        "SeriesInstanceUID": f"{ROOT_UID}.{series}.0.2", "StudyID": f"{series}", "SeriesNumber": "2", "AcquisitionNumber": "1",
        "InstanceNumber": f"{number + 1}", "ImagePositionPatient": [-179.2, -179.2, z_mm], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "FrameOfReferenceUID": f"{ROOT_UID}.{series}.0.3", "PositionReferenceIndicator": "", "SliceLocation": f"{z_mm}", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "PixelSpacing": [SPACING_MM[1], SPACING_MM[2]], "WindowCenter": [40, -600], "WindowWidth": [400, 1500],
        "RescaleIntercept": "-1024", "RescaleSlope": "1", "RescaleType": "HU",
    }  # fmt: skip


def make_photographs(folder: Path, count: int, first: int = 0) -> None:
    """Write `count` unlike images of eight sizes from 224 to 448 px, three JPEG (quality 90, 4:2:0, colour) to one PNG (gray), in folders of 500."""
    from PIL import Image

    field = _texture()
    for number in range(first, first + count):
        random = np.random.default_rng(number)
        height, width = SIZES_PX[number % len(SIZES_PX)]
        top, left = (int(place) for place in random.integers(0, field.shape[0] - 450, 2))
        crop = field[top : top + height, left : left + width, :] * random.uniform(0.6, 1.0) + random.uniform(0, 40)
        pixels = np.clip(crop + random.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)
        image = Image.fromarray(pixels) if number // 8 % 4 else Image.fromarray(pixels[..., 0])
        content = io.BytesIO()
        image.save(content, "JPEG" if number // 8 % 4 else "PNG", quality=90, compress_level=6)
        place = folder / f"{number // 500:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"image-{number:07d}.{'jpg' if number // 8 % 4 else 'png'}").write_bytes(content.getvalue())


def _texture(size: int = 2048) -> npt.NDArray[np.float32]:
    """Return `(size, size, 3)` float32 in 0..255: noise at five scales, as skin and tissue have it."""
    import cv2

    random = np.random.default_rng(7)
    field: npt.NDArray[np.float32] = np.zeros((size, size, 3), np.float32)
    for scale, weight in ((8, 60), (32, 40), (128, 20), (512, 10), (2048, 3)):
        patch = cv2.resize(random.normal(0, 1, (scale, scale, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        field = field + weight * np.asarray(patch, np.float32)
    return np.clip(field + 128, 0, 255)
