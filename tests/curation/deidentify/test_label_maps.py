"""Segmentations and contours of a cleaned cohort still belong to their series and say the same about it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from curation.deidentify.folders import deidentify_files
from curation.dicom import read_series
from tests.curation.deidentify.cleaning import KEY
from tests.curation.dicom_builders import ROOT, a_series
from tests.curation.label_map_builders import (
    KIDNEY,
    LEFT,
    LIVER,
    SEG_CLASS,
    a_box,
    a_code,
    a_contour,
    a_reference,
    a_seg,
    a_segment,
    a_square,
    a_structure_set,
    an_item,
)  # fmt: skip


def cleaned(folder: Path) -> dict[str, list[pydicom.Dataset]]:
    """Clean `folder/in` and return the new data sets by modality."""
    report = deidentify_files(folder / "in", folder / "out", KEY)
    assert not report.reasons, report
    found: dict[str, list[pydicom.Dataset]] = {}
    for path in sorted((folder / "out").rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        found.setdefault(str(dataset.Modality), []).append(dataset)
    return found


def label_maps(folder: Path) -> list[tuple[bytes, dict[int, str]]]:
    """Return label maps and names of the images of all files below a folder."""
    images = read_series(sorted(folder.rglob("*.dcm")), b"k" * 32).images
    return [(image.label_map.tobytes(), image.label_values) for image in images if image.label_map is not None]


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_stays_what_it_is(tmp_path: Path, kind: str) -> None:
    """Pixels bit by bit, references to the new UIDs of series, images, frame and patient, names from the codes."""
    a_series(tmp_path / "in")
    mask = a_box() * (255 if kind == "FRACTIONAL" else 1)
    instances = tuple(f"{ROOT}.1.{level}" for level in range(5))
    original = a_seg(
        tmp_path / "in", {1: mask}, [a_segment(1, LIVER), a_segment(2)], kind, ReferencedSeriesSequence=a_reference(instances=instances), ContentLabel="QUASTE"
    )
    by_modality = cleaned(tmp_path)
    (seg,), images = by_modality["SEG"], by_modality["CT"]
    assert seg.PixelData[: len(pydicom.dcmread(original).PixelData)] == pydicom.dcmread(original).PixelData
    assert (seg.SOPClassUID, seg.SegmentationType, seg.ContentLabel, seg.ContentDescription) == (SEG_CLASS, kind, "SEGMENTATION", "")
    series = seg.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == images[0].SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence} == {image.SOPInstanceUID for image in images}
    assert (seg.PatientID, seg.StudyInstanceUID) == (images[0].PatientID, images[0].StudyInstanceUID)
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["Liver", "Segment 2"]
    assert seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
    assert len(seg.PerFrameFunctionalGroupsSequence) == seg.NumberOfFrames


def test_contours_stay_where_they_are(tmp_path: Path) -> None:
    """Points to the last digit, references kept, names from the code or the number."""
    a_series(tmp_path / "in")
    observed = an_item(ObservationNumber=1, RTROIIdentificationCodeSequence=a_code(KIDNEY), ROIObservationLabel="Wilhelmine", ROIInterpreter="Xaver^Dr")
    observed.RTROIIdentificationCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = a_code(LEFT)
    contours = {"Wilhelmines Niere": [a_contour(a_square(2, 9), level) for level in range(1, 4)], "PTV Quastenflosser": [a_contour(a_square(3, 5), 2)]}
    original = a_structure_set(tmp_path / "in", contours, {"Wilhelmines Niere": observed}, StructureSetLabel="Quaste", StructureSetDate="20201225")
    by_modality = cleaned(tmp_path)
    (structures,), images = by_modality["RTSTRUCT"], by_modality["CT"]
    before = [item.ContourData for roi in pydicom.dcmread(original).ROIContourSequence for item in roi.ContourSequence]
    assert [item.ContourData for roi in structures.ROIContourSequence for item in roi.ContourSequence] == before
    assert [roi.ROIName for roi in structures.StructureSetROISequence] == ["Kidney", "ROI 2"]
    assert (structures.StructureSetLabel, structures.RTROIObservationsSequence[0].ROIInterpreter) == ("STRUCTURES", "")
    assert np.datetime64(_day(structures.StructureSetDate)) - np.datetime64(_day(structures.StudyDate)) == np.timedelta64(1, "D")
    study = structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert study.ReferencedSOPInstanceUID == images[0].StudyInstanceUID
    assert study.RTReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_label_maps_of_cleaned_files_are_those_of_the_originals(tmp_path: Path, kind: str) -> None:
    """Voxel by voxel and name by name."""
    a_series(tmp_path / "in")
    if kind == "SEG":
        a_seg(tmp_path / "in", {1: a_box()}, [a_segment(1, LIVER)])
    else:
        a_structure_set(tmp_path / "in", {"Wilhelmine": [a_contour(a_square(2, 9), level) for level in range(1, 4)]})
    before = label_maps(tmp_path / "in")
    cleaned(tmp_path)
    assert len(before) == 1
    assert label_maps(tmp_path / "out") == before


def test_contours_longer_than_a_short_length_can_say_survive(tmp_path: Path) -> None:
    """Thousands of points take more than 64 KB; they are written as UN and read as numbers again."""
    a_series(tmp_path / "in")
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    points = [(8 + 5 * float(np.cos(angle)), 8 + 5 * float(np.sin(angle))) for angle in angles]
    contours = {"x": [a_contour(points, 2)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = a_structure_set(tmp_path / "in", contours)
    before = _numbers(pydicom.dcmread(path))
    (structures,) = cleaned(tmp_path)["RTSTRUCT"]
    assert len(before) == 12000
    np.testing.assert_allclose(_numbers(structures), before, atol=1e-9)


def _numbers(structures: pydicom.Dataset) -> list[float]:
    """Return the points of the first contour; pydicom leaves a value of this length as bytes."""
    content = structures.ROIContourSequence[0].ContourSequence[0]["ContourData"].value
    return [float(number) for number in content.decode().split("\\")] if isinstance(content, bytes) else [float(number) for number in content]


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"
