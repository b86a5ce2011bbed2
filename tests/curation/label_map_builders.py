"""Builders of SEG and RTSTRUCT files for the CT series of `dicom_builders.a_series`: 16 × 16 pixels of 0.7 mm along a row and 0.5 mm along a column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence

from tests.curation.dicom_builders import ROOT, SIZE, a_dataset, save

SEG_CLASS, RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
LIVER, KIDNEY, LEFT = ("10200004", "SCT"), ("64033007", "SCT"), ("7771000", "SCT")
NOT_FOR_LABEL_MAPS = dict.fromkeys(
    ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "BodyPartExamined", "ImageType")
)


def an_item(**elements: Any) -> Dataset:
    """Return an item of a sequence."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def a_code(value: tuple[str, str]) -> Sequence:
    """Return a code sequence whose meaning is text that must not be copied."""
    return Sequence([an_item(CodeValue=value[0], CodingSchemeDesignator=value[1], CodeMeaning="Quastenflosser")])


def a_segment(number: int, code: tuple[str, str] | None = None, side: tuple[str, str] | None = None, label: str = "Wilhelmines Leber") -> Dataset:
    """Return one entry of a Segment Sequence."""
    item = an_item(SegmentNumber=number, SegmentLabel=label, SegmentAlgorithmType="MANUAL")
    if code is not None:
        item.SegmentedPropertyTypeCodeSequence = a_code(code)
        if side is not None:
            item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = a_code(side)
    return item


def a_reference(series_uid: str = f"{ROOT}.3", instances: tuple[str, ...] = ()) -> Sequence:
    """Return a Referenced Series Sequence."""
    series = an_item(SeriesInstanceUID=series_uid)
    if instances:
        series.ReferencedInstanceSequence = Sequence(
            [an_item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=uid) for uid in instances]
        )
    return Sequence([series])


def a_seg(folder: Path, masks: dict[int, npt.NDArray[Any]], segments: list[Dataset], kind: str = "BINARY", name: str = "seg.dcm", **tags: Any) -> Path:
    """Write a SEG of the builder's CT series.

    Args:
        folder: where to.
        masks: `(slices, 16, 16)` by segment number; empty slices get no frame, the rest come from the last slice to the first.
        segments: what the segments are.
        kind: BINARY, FRACTIONAL (masks are 0 to 255) or LABELMAP (one mask with the numbers).
        name: of the file.
        **tags: elements to replace.
    """
    frames = [(number, level, mask[level]) for number, mask in masks.items() for level in reversed(range(len(mask))) if mask[level].any()]
    values = np.stack([frame for _, _, frame in frames]).astype(np.uint8)
    bits = 1 if kind == "BINARY" else 8
    pixels = pack_bits(np.clip(values, 0, 1).reshape(-1), pad=True) if bits == 1 else values.tobytes()
    groups = []
    for number, level, _ in frames:
        group = an_item(PlanePositionSequence=Sequence([an_item(ImagePositionPatient=[-10.0, -20.0, 30.0 + 2 * level])]))
        if kind != "LABELMAP":
            group.SegmentIdentificationSequence = Sequence([an_item(ReferencedSegmentNumber=number)])
        groups.append(group)
    shared = an_item(
        PlaneOrientationSequence=Sequence([an_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=Sequence([an_item(PixelSpacing=[0.5, 0.7])]),
    )
    own: dict[str, Any] = {
        **NOT_FOR_LABEL_MAPS, "SOPClassUID": SEG_CLASS, "Modality": "SEG", "SOPInstanceUID": f"{ROOT}.9", "SeriesInstanceUID": f"{ROOT}.8",
        "ReferencedSeriesSequence": a_reference(), "SegmentationType": kind, "MaximumFractionalValue": 255 if kind == "FRACTIONAL" else None,
        "NumberOfFrames": len(frames), "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "SegmentSequence": Sequence(segments),
        "SharedFunctionalGroupsSequence": Sequence([shared]), "PerFrameFunctionalGroupsSequence": Sequence(groups), "PixelData": pixels,
    }  # fmt: skip
    return save(a_dataset(**(own | tags)), folder / name)


def a_contour(points: list[tuple[float, float]], level: int, kind: str = "CLOSED_PLANAR") -> Dataset:
    """Return a contour through points given as (column, row) of pixels on a slice."""
    millimetres = [value for column, row in points for value in (-10 + 0.7 * column, -20 + 0.5 * row, 30.0 + 2 * level)]
    return an_item(ContourGeometricType=kind, NumberOfContourPoints=len(points), ContourData=millimetres)


def a_square(low: float, high: float) -> list[tuple[float, float]]:
    """Return the corners of a square."""
    return [(low, low), (high, low), (high, high), (low, high)]


def a_structure_set(folder: Path, contours: dict[str, list[Dataset]], observations: dict[str, Dataset] | None = None, **tags: Any) -> Path:
    """Write an RTSTRUCT of the builder's CT series with contours by name of the ROI."""
    series = an_item(SeriesInstanceUID=f"{ROOT}.3")
    study = an_item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=f"{ROOT}.2", RTReferencedSeriesSequence=Sequence([series]))
    observed = []
    for number, name in enumerate(contours, start=1):
        item = (observations or {}).get(name, Dataset())
        item.ReferencedROINumber = number
        observed.append(item)
    own: dict[str, Any] = {
        **NOT_FOR_LABEL_MAPS, "SOPClassUID": RTSTRUCT_CLASS, "Modality": "RTSTRUCT", "SOPInstanceUID": f"{ROOT}.7", "SeriesInstanceUID": f"{ROOT}.6",
        "Rows": None, "Columns": None, "PixelData": None, "BitsAllocated": None, "BitsStored": None, "HighBit": None, "SamplesPerPixel": None,
        "PhotometricInterpretation": None, "PixelRepresentation": None,
        "ReferencedFrameOfReferenceSequence": Sequence([an_item(RTReferencedStudySequence=Sequence([study]))]),
        "StructureSetROISequence": Sequence([an_item(ROINumber=number, ROIName=name) for number, name in enumerate(contours, start=1)]),
        "ROIContourSequence": Sequence([an_item(ReferencedROINumber=n, ContourSequence=Sequence(drawn)) for n, drawn in enumerate(contours.values(), start=1)]),
        "RTROIObservationsSequence": Sequence(observed),
    }  # fmt: skip
    return save(a_dataset(**(own | tags)), folder / "rtstruct.dcm")


def a_box(slices: int = 5, low: int = 4, high: int = 9) -> npt.NDArray[np.uint8]:
    """Return `(slices, 16, 16)`: a box that touches neither the first nor the last slice."""
    mask = np.zeros((slices, SIZE, SIZE), np.uint8)
    mask[1:-1, low:high, low : high + 2] = 1
    return mask
