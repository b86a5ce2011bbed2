"""The allow-list: every element that a de-identified DICOM file may hold, by keyword. What is not named here is dropped.

Numbers are copied after a look at their form, coded strings only if the value itself is listed, text never. Names after PS3.6; which of them
PS3.15 table E.1-1 would remove was the first reason to leave an element out, whether an image can be used without it the second.
"""

from __future__ import annotations

from curation.dicom_fields import BODY_PARTS, LATERALITIES, SEXES, VIEW_POSITIONS
from curation.modalities import FAMILIES

NUMBERS = frozenset({
    # pixels
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelAspectRatio", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept",
    "RescaleSlope", "WindowCenter", "WindowWidth", "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "LUTDescriptor", "LossyImageCompressionRatio", "RecommendedDisplayFrameRate", "FrameTime", "CineRate",
    # place
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness",
    "SpacingBetweenSlices", "SliceLocation", "EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "DistanceSourceToEntrance", "GantryDetectorTilt", "TableHeight", "PositionerPrimaryAngle", "PositionerSecondaryAngle", "ReconstructionDiameter",
    "DataCollectionDiameter", "BodyPartThickness", "CompressionForce", "InStackPositionNumber", "DimensionIndexValues",
    # order
    "InstanceNumber", "SeriesNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex", "NumberOfTemporalPositions",
    "ImagesInAcquisition", "NumberOfSlices", "FrameAcquisitionNumber",
    # how it was taken
    "KVP", "Exposure", "ExposureInuAs", "ExposureTime", "XRayTubeCurrent", "FocalSpots", "CTDIvol", "SpiralPitchFactor", "SingleCollimationWidth",
    "TotalCollimationWidth", "TableSpeed", "TableFeedPerRotation", "RevolutionTime", "EntranceDoseInmGy", "OrganDose", "RelativeXRayExposure",
    "ExposureIndex", "TargetExposureIndex", "DeviationIndex", "Sensitivity",
    "RepetitionTime", "EchoTime", "EffectiveEchoTime", "InversionTime", "FlipAngle", "EchoNumbers", "EchoTrainLength", "MagneticFieldStrength",
    "ImagingFrequency", "NumberOfAverages", "NumberOfPhaseEncodingSteps", "PercentSampling", "PercentPhaseFieldOfView", "PixelBandwidth",
    "AcquisitionMatrix", "SAR", "dBdt", "TriggerTime", "DiffusionBValue", "DiffusionGradientOrientation", "GradientEchoTrainLength", "RFEchoTrainLength",
    # whom
    "PatientSize", "PatientWeight",
})  # fmt: skip

COUNTERS = frozenset({"InstanceNumber", "SeriesNumber", "AcquisitionNumber", "FrameAcquisitionNumber"})
"""Numbers that only count; a long one is an identifier."""

_YES_NO = frozenset({"YES", "NO"})
_IMAGE_TYPE = frozenset({
    "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "HELICAL", "SPIRAL", "M", "P", "R", "I", "M_FFE", "M_SE", "M_IR", "M_PCA",
    "PHASE MAP", "PHASE", "MAGNITUDE", "REAL", "IMAGINARY", "FFE", "SE", "NORM", "DIS2D", "DIS3D", "ND", "FM", "FS", "MPR", "PROJECTION IMAGE", "MIP",
    "MIXED", "NONE", "OTHER", "ADC", "DIFFUSION", "TRACEW", "TRACEW_NORM", "FMRI", "T1", "T2", "T2_STAR", "B0", "PERFUSION", "WATER", "FAT", "IN_PHASE",
    "OUT_PHASE", "MOSAIC", "VOLUME", "MULTIPLANAR", "REFORMATTED", "AVERAGE", "MEAN", "SUBTRACTION", "RESAMPLED",
})  # fmt: skip
CODES: dict[str, frozenset[str]] = {
    "Modality": frozenset(FAMILIES),
    "ImageType": _IMAGE_TYPE,
    "FrameType": _IMAGE_TYPE,
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"}),
    "PresentationIntentType": frozenset({"FOR PRESENTATION", "FOR PROCESSING"}),
    "BurnedInAnnotation": _YES_NO,
    "RecognizableVisualFeatures": _YES_NO,
    "SyntheticData": _YES_NO,
    "BodyPartExamined": BODY_PARTS,
    "ViewPosition": VIEW_POSITIONS,
    "Laterality": LATERALITIES,
    "ImageLaterality": LATERALITIES,
    "FrameLaterality": LATERALITIES,
    "PatientSex": SEXES,
    "PatientPosition": frozenset({"HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS"}),
    "PatientOrientation": frozenset({f"{a}{b}{c}" for a in "LRAPHF" for b in " LRAPHF" for c in " LRAPHF"}),
    "RescaleType": frozenset({"HU", "US", "OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"}),
    "ModalityLUTType": frozenset({"HU", "US", "OD"}),
    "VOILUTFunction": frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
    "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "PixelIntensityRelationship": frozenset({"LIN", "LOG", "DISP"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "ConversionType": frozenset({"DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"}),
    "ScanningSequence": frozenset({"SE", "IR", "GR", "EP", "RM"}),
    "SequenceVariant": frozenset({"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"}),
    "ScanOptions": frozenset({"PER", "RG", "CG", "PPG", "FC", "PFF", "PFP", "SP", "FS", "AXIAL MODE", "HELICAL MODE", "HELICAL"}),
    "MRAcquisitionType": frozenset({"2D", "3D"}),
    "AngioFlag": frozenset({"Y", "N"}),
    "RotationDirection": frozenset({"CW", "CC"}),
    "InPlanePhaseEncodingDirection": frozenset({"ROW", "COL", "COLUMN", "OTHER"}),
    "PixelPresentation": frozenset({"COLOR", "MONOCHROME", "MIXED", "TRUE_COLOR"}),
    "VolumetricProperties": frozenset({"VOLUME", "SAMPLED", "DISTORTED", "MIXED"}),
    "VolumeBasedCalculationTechnique": frozenset({"MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "MPR", "CURVED_MPR", "NONE", "MIXED"}),
    "DiffusionDirectionality": frozenset({"DIRECTIONAL", "BMATRIX", "ISOTROPIC", "NONE"}),
    "ComplexImageComponent": frozenset({"MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "MIXED"}),
    "AcquisitionContrast": frozenset({
        "DIFFUSION", "FLOW_ENCODED", "FLUID_ATTENUATED", "PERFUSION", "PROTON_DENSITY", "STIR", "TAGGING", "T1", "T2", "T2_STAR", "UNKNOWN",
    }),
    "Units": frozenset({"CNTS", "NONE", "CM2", "PCNT", "CPS", "BQML", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM", "UMOLML", "PROPCNTS", "GML"}),
    "ContentQualification": frozenset({"PRODUCT", "RESEARCH", "SERVICE"}),
}  # fmt: skip

CLASS_UIDS = frozenset({"SOPClassUID", "ReferencedSOPClassUID"})
UIDS = frozenset({
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ReferencedSOPInstanceUID", "ReferencedFrameOfReferenceUID",
    "DimensionOrganizationUID", "ConcatenationUID", "SynchronizationFrameOfReferenceUID", "IrradiationEventUID",
})  # fmt: skip
DATES = frozenset({"StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"})
POINTERS = frozenset({"DimensionIndexPointer", "FunctionalGroupPointer", "FrameIncrementPointer"})
TABLES = frozenset({"LUTData", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData"})
SEQUENCES = frozenset({
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence",
    "PixelValueTransformationSequence", "FrameVOILUTSequence", "FrameContentSequence", "FrameAnatomySequence", "MREchoSequence", "MRDiffusionSequence",
    "DiffusionGradientDirectionSequence", "MRTimingAndRelatedParametersSequence", "MRImageFrameTypeSequence", "CTImageFrameTypeSequence",
    "DerivationImageSequence", "SourceImageSequence", "ReferencedImageSequence", "ReferencedSeriesSequence", "ReferencedInstanceSequence",
    "VOILUTSequence", "ModalityLUTSequence", "DimensionOrganizationSequence", "DimensionIndexSequence",
})  # fmt: skip

EMPTY = ("PatientBirthDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID")
"""Elements of type 2: every file has them, ours without a value."""

LISTED_VALUES: frozenset[str] = frozenset().union(*CODES.values())
"""Every coded string that a result may hold; finding one of them says nothing about a patient."""
