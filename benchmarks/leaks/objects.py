"""The objects that tokens are planted in: CT, MR, enhanced MR, X-ray, ultrasound, secondary capture, segmentation, structure set, report."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.leaks.tokens import Garden

CT, MR, CR, US, US_MULTI, SC, SEG, RTSTRUCT, SR, ENHANCED_MR, PDF, PR = (
    f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("2", "4", "1", "6.1", "3.1", "7", "66.4", "481.3", "88.11", "4.1", "104.1", "11.1")
)
EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
SIZE_PX = 96


def phantom(rng: np.random.Generator, top: int = 2000) -> npt.NDArray[np.uint16]:
    """Return `(96, 96)` uint16: a bright ellipse with a texture and no writing."""
    y, x = np.mgrid[-1 : 1 : SIZE_PX * 1j, -1 : 1 : SIZE_PX * 1j]
    body = (x / 0.8) ** 2 + (y / 0.7) ** 2 < 1
    return (body * (0.5 + 0.2 * np.sin(7 * x) * np.cos(5 * y)) * top + rng.normal(0, 0.01 * top, body.shape) + 0.05 * top).clip(0, top).astype(np.uint16)


class Patient:
    """One patient whose name, number and dates are tokens themselves."""

    def __init__(self, number: int, garden: Garden) -> None:
        garden.file = f"patient {number}"
        self.study_uid, self.frame_uid = garden.uid("StudyInstanceUID", "header"), garden.uid("FrameOfReferenceUID", "header")
        self.series_uids: dict[int, str] = {}
        self.name = f"{garden.word('PatientName', 'header')}^{garden.word('PatientName, given name', 'header')}"
        self.identifier = garden.number("PatientID", "header")
        self.born = garden.day("PatientBirthDate", "header")
        self.day = garden.day("StudyDate", "header", is_recent=True)

    def series_uid(self, series: int, garden: Garden) -> str:
        """Return the UID of one of the patient's series."""
        if series not in self.series_uids:
            self.series_uids[series] = garden.uid("SeriesInstanceUID", "header")
        return self.series_uids[series]


def base(garden: Garden, patient: Patient, sop_class: str, modality: str, series: int, instance: int, syntax: str = EXPLICIT) -> Any:
    """Return a data set without pixels: the patient, the study, the series."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    dataset, meta = Dataset(), FileMetaDataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, garden.uid("SOPInstanceUID", "header")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = patient.study_uid, patient.series_uid(series, garden)
    dataset.Modality, dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = modality, patient.name, patient.identifier, patient.born
    dataset.PatientSex, dataset.StudyDate, dataset.SeriesDate, dataset.AcquisitionDate, dataset.ContentDate = (
        "F",
        patient.day,
        patient.day,
        patient.day,
        patient.day,
    )
    dataset.FrameOfReferenceUID = patient.frame_uid
    dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "101010", "1", "", ""
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.Manufacturer, dataset.BodyPartExamined = series, instance, "SIEMENS", "CHEST"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = sop_class, dataset.SOPInstanceUID, UID(syntax)
    meta.SourceApplicationEntityTitle = garden.word("(0002,0016) SourceApplicationEntityTitle", "meta")
    meta.ImplementationVersionName = garden.word("(0002,0013) ImplementationVersionName", "meta")
    dataset.file_meta = meta
    return dataset


def with_pixels(dataset: Any, pixels: npt.NDArray[Any], bits_stored: int = 12) -> Any:
    """Add `(H, W)` or `(F, H, W)` uint16/uint8 gray, or `(H, W, 3)` uint8 colour."""
    colour = pixels.ndim >= 3 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim == 3 + colour else 1
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.PixelRepresentation = bits, min(bits, bits_stored), 0
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return dataset


def placed(dataset: Any, index: int) -> Any:
    """Add the place of slice `index` of an axial series."""
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-100, -100, 2.5 * index], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1.5, 1.5], 2.5
    return dataset


def ct_slice(garden: Garden, patient: Patient, series: int, index: int, rng: np.random.Generator, syntax: str = EXPLICIT) -> Any:
    """Return one CT slice."""
    dataset = placed(base(garden, patient, CT, "CT", series, index + 1, syntax), index)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    return with_pixels(dataset, phantom(rng))


def enhanced_mr(garden: Garden, patient: Patient, rng: np.random.Generator) -> Any:
    """Return an enhanced MR of 4 frames with an identifier in the groups of every frame."""
    from pydicom.dataset import Dataset

    dataset = with_pixels(base(garden, patient, ENHANCED_MR, "MR", 31, 1), np.stack([phantom(rng) for _ in range(4)]))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [1.5, 1.5], 2.5, 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence, frames = [shared], []
    for index in range(4):
        group, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-100, -100, 2.5 * index]
        content.FrameComments = garden.word(f"frame {index}: FrameContentSequence > FrameComments", "nested")
        content.FrameLabel = garden.word(f"frame {index}: FrameContentSequence > FrameLabel", "nested")
        content.FrameAcquisitionDateTime = f"{garden.day(f'frame {index}: FrameAcquisitionDateTime', 'nested')}112233"
        content.StackID = garden.word(f"frame {index}: FrameContentSequence > StackID", "nested")
        content.DimensionIndexValues = [1, index + 1]
        group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
        unassigned = Dataset()
        unassigned.PatientComments = garden.word(f"frame {index}: UnassignedPerFrameConvertedAttributesSequence > PatientComments", "nested")
        group.UnassignedPerFrameConvertedAttributesSequence = [unassigned]
        frames.append(group)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def segmentation(garden: Garden, patient: Patient, slices: list[Any], rng: np.random.Generator) -> Any:
    """Return a binary segmentation of a CT series, with names in every label and a reference to every slice."""
    from pydicom.dataset import Dataset

    masks = np.stack([phantom(rng) > 900 for _ in slices])
    dataset = base(garden, patient, SEG, "SEG", 41, 1)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames, dataset.SamplesPerPixel = SIZE_PX, SIZE_PX, len(slices), 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.PhotometricInterpretation, dataset.SegmentationType, dataset.LossyImageCompression = "MONOCHROME2", "BINARY", "00"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.PixelData = np.packbits(masks.ravel(), bitorder="little").tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.ContentLabel, dataset.ContentDescription = "SEG", garden.word("SEG: ContentDescription", "element")
    dataset.ContentCreatorName = f"{garden.word('SEG: ContentCreatorName', 'element')}^ANNA"
    segment, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "39607008", "SCT", garden.word("SEG: type > CodeMeaning", "nested")
    segment.SegmentNumber, segment.SegmentLabel = 1, garden.word("SEG: SegmentLabel", "nested")
    segment.SegmentDescription = garden.word("SEG: SegmentDescription", "nested")
    segment.SegmentAlgorithmType, segment.SegmentAlgorithmName = "MANUAL", garden.word("SEG: SegmentAlgorithmName", "nested")
    segment.SegmentedPropertyTypeCodeSequence = segment.SegmentedPropertyCategoryCodeSequence = [code]
    dataset.SegmentSequence = [segment]
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = slices[0].SeriesInstanceUID, [_reference(one) for one in slices]
    dataset.ReferencedSeriesSequence = [series]
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.5], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_segment_frame(one, index) for index, one in enumerate(slices)]
    return dataset


def _reference(image: Any) -> Any:
    from pydicom.dataset import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return reference


def _segment_frame(image: Any, index: int) -> Any:
    from pydicom.dataset import Dataset

    group, position, content, number, derivation = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient, content.DimensionIndexValues, number.ReferencedSegmentNumber = image.ImagePositionPatient, [1, index + 1], 1
    derivation.SourceImageSequence = [_reference(image)]
    group.PlanePositionSequence, group.FrameContentSequence, group.SegmentIdentificationSequence = [position], [content], [number]
    group.DerivationImageSequence = [derivation]
    return group


def structure_set(garden: Garden, patient: Patient, slices: list[Any]) -> Any:
    """Return an RTSTRUCT with one contour a slice and names in its labels."""
    from pydicom.dataset import Dataset

    dataset = base(garden, patient, RTSTRUCT, "RTSTRUCT", 42, 1)
    dataset.StructureSetLabel = garden.word("RTSTRUCT: StructureSetLabel", "element")
    dataset.StructureSetName = garden.word("RTSTRUCT: StructureSetName", "element")
    dataset.StructureSetDate = garden.day("RTSTRUCT: StructureSetDate", "element")
    dataset.OperatorsName = f"{garden.word('RTSTRUCT: OperatorsName', 'element')}^ANNA"
    frame, study, series = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = slices[0].SeriesInstanceUID, [_reference(one) for one in slices]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", patient.study_uid
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = patient.frame_uid, [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    roi, observation, drawn = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ReferencedFrameOfReferenceUID, roi.ROIName = 1, patient.frame_uid, garden.word("RTSTRUCT: ROIName", "nested")
    roi.ROIGenerationAlgorithm, roi.ROIDescription = "MANUAL", garden.word("RTSTRUCT: ROIDescription", "nested")
    observation.ObservationNumber, observation.ReferencedROINumber, observation.RTROIInterpretedType = 1, 1, "ORGAN"
    observation.ROIInterpreter = f"{garden.word('RTSTRUCT: ROIInterpreter', 'nested')}^ANNA"
    observation.ROIObservationLabel = garden.word("RTSTRUCT: ROIObservationLabel", "nested")
    contours = []
    for image in slices:
        contour, z = Dataset(), float(image.ImagePositionPatient[2])
        contour.ContourImageSequence, contour.ContourGeometricType, contour.NumberOfContourPoints = [_reference(image)], "CLOSED_PLANAR", 4
        contour.ContourData = [-60, -60, z, 10, -60, z, 10, 0, z, -60, 0, z]
        contours.append(contour)
    drawn.ReferencedROINumber, drawn.ROIDisplayColor, drawn.ContourSequence = 1, [255, 0, 0], contours
    dataset.StructureSetROISequence, dataset.RTROIObservationsSequence, dataset.ROIContourSequence = [roi], [observation], [drawn]
    return dataset
