"""The allow-list: every element that a de-identified DICOM file may hold, by keyword. What is not named here is dropped.

Numbers are copied after a look at their form, coded strings only if the value itself is listed, text never. Names after PS3.6; which of them
PS3.15 table E.1-1 would remove was the first reason to leave an element out, whether an image can be used without it the second.
What segmentations and contours hold beyond an image is at the end, the private elements are in `private`.
"""

from __future__ import annotations

from curation.dicom_fields import BODY_PARTS, LATERALITIES, SEXES, VIEW_POSITIONS
from curation.modalities import FAMILIES

_IMAGE_NUMBERS = frozenset({
    # pixels
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelAspectRatio", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept",
    "RescaleSlope", "WindowCenter", "WindowWidth", "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "LUTDescriptor", "LossyImageCompressionRatio", "RecommendedDisplayFrameRate", "FrameTime",
    "FrameTimeVector", "CineRate", "TemporalPositionTimeOffset", "NominalCardiacTriggerDelayTime",
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
    # nuclear medicine and PET
    "FrameReferenceTime", "ActualFrameDuration", "DoseCalibrationFactor", "DecayFactor", "ScatterFractionFactor", "ImageIndex", "NumberOfTimeSlices",
    "NumberOfRRIntervals", "NumberOfTimeSlots", "RadionuclideTotalDose", "RadionuclideHalfLife", "RadionuclidePositronFraction", "RadiopharmaceuticalVolume",
    "EnergyWindowVector", "NumberOfEnergyWindows", "DetectorVector", "NumberOfDetectors", "PhaseVector", "NumberOfPhases", "RotationVector",
    "NumberOfRotations", "RRIntervalVector", "TimeSlotVector", "SliceVector", "AngularViewVector", "TimeSliceVector", "EnergyWindowLowerLimit",
    "EnergyWindowUpperLimit", "NumberOfFramesInPhase", "NumberOfFramesInRotation", "AngularStep", "StartAngle", "ScanArc", "RadialPosition",
    # ultrasound
    "RegionSpatialFormat", "RegionDataType", "RegionFlags", "RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1",
    "ReferencePixelX0", "ReferencePixelY0", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection", "PhysicalDeltaX", "PhysicalDeltaY",
    "ReferencePixelPhysicalValueX", "ReferencePixelPhysicalValueY", "TransducerFrequency", "HeartRate",
    # real-world values
    "RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped", "RealWorldValueSlope", "RealWorldValueIntercept",
    # further technique
    "DetectorPrimaryAngle", "DetectorSecondaryAngle", "ExposureTimeInms", "XRayTubeCurrentInmA", "ExposureInmAs", "ReconstructionPixelSpacing",
    "ReconstructionFieldOfView", "ReconstructionAngle", "TablePosition", "NominalPercentageOfCardiacPhase", "DiffusionBValueXX", "DiffusionBValueXY",
    "DiffusionBValueXZ", "DiffusionBValueYY", "DiffusionBValueYZ", "DiffusionBValueZZ", "FrameAcquisitionDuration", "ReferencedFrameNumber",
    "NumberOfKSpaceTrajectories", "ParallelReductionFactorInPlane", "MRAcquisitionFrequencyEncodingSteps", "MRAcquisitionPhaseEncodingStepsInPlane",
    "PixelIntensityRelationshipSign", "DataCollectionCenterPatient", "ReconstructionTargetCenterPatient",
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge", "ShutterLowerHorizontalEdge", "FieldOfViewDimensions",
    "CollimatorLeftVerticalEdge",
    "CollimatorRightVerticalEdge", "CollimatorUpperHorizontalEdge", "CollimatorLowerHorizontalEdge", "FieldOfViewRotation", "DetectorActiveDimensions",
})  # fmt: skip

LARGE = {
    "FrameReferenceTime": 86_400_000.0, "ActualFrameDuration": 86_400_000.0, "TriggerTime": 86_400_000.0, "ExposureInuAs": 10_000_000.0,
    "RadionuclideTotalDose": 99_000_000_000.0, "RadionuclideHalfLife": 99_000_000_000.0, "DoseCalibrationFactor": 99_000_000_000.0,
}  # fmt: skip
"""Numbers that may exceed `values.MAX_MEASURE`, and what they may not: a day in ms, 10 As, 99 GBq."""
ROUNDED = frozenset({"RadionuclideTotalDose", "RadionuclideHalfLife", "DoseCalibrationFactor"})
"""Of these the first five digits are kept when they exceed it: no physics needs more, an identifier does."""

PATIENT_NUMBERS = {"PatientSize": (0.0, 3.0), "PatientWeight": (0.0, 700.0)}
"""Numbers about the patient, with the range that a person can have."""

COUNTERS = frozenset({
    "InstanceNumber", "SeriesNumber", "AcquisitionNumber", "FrameAcquisitionNumber", "TemporalPositionIdentifier", "EchoNumbers", "ROINumber",
    "ReferencedROINumber", "ObservationNumber", "ContourNumber", "ImagesInAcquisition", "NumberOfTemporalPositions", "ReferencedFrameNumber", "HeartRate",
})  # fmt: skip
"""Numbers that only count; a long one is an identifier."""

_YES_NO = frozenset({"YES", "NO"})
_IMAGE_TYPE = frozenset({
    "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "HELICAL", "SPIRAL", "M", "P", "R", "I", "M_FFE", "M_SE", "M_IR", "M_PCA",
    "PHASE MAP", "PHASE", "MAGNITUDE", "REAL", "IMAGINARY", "FFE", "SE", "NORM", "DIS2D", "DIS3D", "ND", "FM", "FS", "MPR", "PROJECTION IMAGE", "MIP",
    "MIXED", "NONE", "OTHER", "ADC", "DIFFUSION", "TRACEW", "TRACEW_NORM", "FMRI", "T1", "T2", "T2_STAR", "B0", "PERFUSION", "WATER", "FAT", "IN_PHASE",
    "OUT_PHASE", "MOSAIC", "VOLUME", "MULTIPLANAR", "REFORMATTED", "AVERAGE", "MEAN", "SUBTRACTION", "RESAMPLED",
})  # fmt: skip
CODES: dict[str, frozenset[str]] = {
    "Modality": frozenset(FAMILIES)
    | {"SEG", "RTSTRUCT", "PT", "NM", "SC", "IVUS", "BDUS", "BMD", "DG", "EPS", "IVOCT", "OCT", "OPTENF", "OPTBSV", "TG", "LS", "HC", "CD", "DD", "DF",
       "FA", "FS", "CF", "CP", "CS", "DS", "VF", "VA"},
    "ImageType": _IMAGE_TYPE,
    "FrameType": _IMAGE_TYPE,
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL"}),
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
    "DecayCorrection": frozenset({"NONE", "START", "ADMIN"}),
    "SUVType": frozenset({"BSA", "BW", "LBM", "LBMJAMES128", "LBMJANMA", "IBW"}),
    "CorrectedImage": frozenset({"DECY", "ATTN", "SCAT", "DTIM", "MOTN", "PMOT", "CLN", "RAN", "RADL", "DCAL", "NORM"}),
    "SeriesType": frozenset({"STATIC", "DYNAMIC", "GATED", "WHOLE BODY", "IMAGE", "REPROJECTION"}),
    "CountsSource": frozenset({"EMISSION", "TRANSMISSION"}),
    "RandomsCorrectionMethod": frozenset({"NONE", "DLYD", "SING"}),
    "CollimatorType": frozenset({"PARA", "PINH", "FANB", "CONE", "SLNT", "ASTG", "DIVG", "NONE", "UNKN", "RING"}),
    "BreastImplantPresent": _YES_NO,
    "PartialView": _YES_NO,
    "AnodeTargetMaterial": frozenset({"TUNGSTEN", "MOLYBDENUM", "RHODIUM"}),
    "FilterMaterial": frozenset({"MOLYBDENUM", "ALUMINUM", "COPPER", "RHODIUM", "NIOBIUM", "EUROPIUM", "LEAD", "SILVER", "TIN", "NONE", "MIXED"}),
    "DetectorType": frozenset({"DIRECT", "SCINTILLATOR", "STORAGE", "FILM"}),
    "Grid": frozenset({"FIXED", "FOCUSED", "RECIPROCATING", "PARALLEL", "CROSSED", "NONE", "IN"}),
    "FieldOfViewShape": frozenset({"RECTANGLE", "ROUND", "HEXAGONAL", "CYLINDRICAL RING", "MULTIPLE PLANAR"}),
    "ShutterShape": frozenset({"RECTANGULAR", "CIRCULAR", "POLYGONAL"}),
    "CollimatorShape": frozenset({"RECTANGULAR", "CIRCULAR", "POLYGONAL"}),
    "FieldOfViewHorizontalFlip": _YES_NO,
    "PixelSpacingCalibrationType": frozenset({"GEOMETRY", "FIDUCIAL"}),
    "ExposureControlMode": frozenset({"MANUAL", "AUTOMATIC"}),
    "LossyImageCompressionMethod": frozenset({"ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_15"}),
    "DimensionOrganizationType": frozenset({"3D", "3D_TEMPORAL", "TILED_FULL", "TILED_SPARSE"}),
    "ConvolutionKernel": frozenset(
        {f"{letter}{width}{form}" for letter in "BHUTIQD" for width in range(10, 91) for form in ("F", "S", "H", "M")}
        | {f"{letter}{form}{width}{grade}" for letter in "BHQSUIT" for form in "RVFCPZ" for width in range(10, 91, 2) for grade in ("", *"DFHUSM")}
        | {f"FC{number:02d}" for number in range(100)}
        | {"SOFT", "STANDARD", "DETAIL", "BONE", "BONEPLUS", "LUNG", "EDGE", "CHEST", "A", "B", "C", "D", "E", "EB", "EC", "L", "YA", "YB", "YC", "YD"}
    ),
    # segmentations and contours
    "SegmentationType": frozenset({"BINARY", "FRACTIONAL", "LABELMAP"}),
    "SegmentationFractionalType": frozenset({"PROBABILITY", "OCCUPANCY"}),
    "SegmentsOverlap": _YES_NO | {"UNDEFINED"},
    "SegmentAlgorithmType": frozenset({"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"}),
    "ROIGenerationAlgorithm": frozenset({"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"}),
    "ContourGeometricType": frozenset({"POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}),
    "RTROIInterpretedType": frozenset({
        "EXTERNAL", "PTV", "CTV", "GTV", "TREATED_VOLUME", "IRRAD_VOLUME", "BOLUS", "AVOIDANCE", "ORGAN", "MARKER", "REGISTRATION", "ISOCENTER",
        "CONTRAST_AGENT", "CAVITY", "BRACHY_CHANNEL", "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD", "SUPPORT", "FIXATION", "DOSE_REGION",
        "CONTROL", "DOSE_MEASUREMENT",
    }),
    "StackID": frozenset(str(number) for number in range(1, 100)),
    "ApprovalStatus": frozenset({"APPROVED", "UNAPPROVED", "REJECTED"}),
}  # fmt: skip

CLASS_UIDS = frozenset({"SOPClassUID", "ReferencedSOPClassUID"})
UIDS = frozenset({
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ReferencedSOPInstanceUID", "ReferencedFrameOfReferenceUID",
    "DimensionOrganizationUID", "ConcatenationUID", "SynchronizationFrameOfReferenceUID", "IrradiationEventUID", "TrackingUID",
})  # fmt: skip
DATES = {
    "StudyDate": "StudyTime", "SeriesDate": "SeriesTime", "AcquisitionDate": "AcquisitionTime", "ContentDate": "ContentTime",
    "StructureSetDate": "StructureSetTime",
}  # fmt: skip
"""Dates, and the time that belongs to each."""
TIMES = frozenset(DATES.values()) | {"RadiopharmaceuticalStartTime", "RadiopharmaceuticalStopTime"}
MOMENTS = frozenset({
    "AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime", "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStopDateTime",
})  # fmt: skip
POINTERS = frozenset({"DimensionIndexPointer", "FunctionalGroupPointer", "FrameIncrementPointer"})
TABLES = frozenset({"LUTData", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData"})
SEQUENCES = frozenset({
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence",
    "PixelValueTransformationSequence", "FrameVOILUTSequence", "FrameContentSequence", "FrameAnatomySequence", "MREchoSequence", "MRDiffusionSequence",
    "DiffusionGradientDirectionSequence", "MRTimingAndRelatedParametersSequence", "MRImageFrameTypeSequence", "CTImageFrameTypeSequence",
    "DerivationImageSequence", "SourceImageSequence", "ReferencedImageSequence", "ReferencedSeriesSequence", "ReferencedInstanceSequence",
    "VOILUTSequence", "ModalityLUTSequence", "DimensionOrganizationSequence", "DimensionIndexSequence", "StudiesContainingOtherReferencedInstancesSequence",
    "RelatedSeriesSequence", "SourceInstanceSequence", "PredecessorStructureSetSequence",
    "RadiopharmaceuticalInformationSequence", "SequenceOfUltrasoundRegions", "RealWorldValueMappingSequence", "EnergyWindowInformationSequence",
    "EnergyWindowRangeSequence", "RotationInformationSequence", "PhaseInformationSequence", "DetectorInformationSequence", "MRAveragesSequence",
    "MRFOVGeometrySequence", "MRModifierSequence", "DiffusionBMatrixSequence", "TemporalPositionSequence", "CTExposureSequence",
    "CTAcquisitionDetailsSequence", "CTAcquisitionTypeSequence", "CTGeometrySequence", "CTPositionSequence", "CTReconstructionSequence",
    "CTTableDynamicsSequence", "XRayFilterSequence", "PETFrameTypeSequence", "PETFrameAcquisitionSequence",
    "PETReconstructionSequence", "PixelIntensityRelationshipLUTSequence", "FrameDisplayShutterSequence",
    "SegmentSequence", "SegmentIdentificationSequence", "ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence",
    "RTReferencedSeriesSequence", "ContourImageSequence", "StructureSetROISequence", "ROIContourSequence", "ContourSequence", "RTROIObservationsSequence",
})  # fmt: skip
CODED = frozenset({
    "AnatomicRegionSequence", "AnatomicRegionModifierSequence", "PrimaryAnatomicStructureSequence", "PrimaryAnatomicStructureModifierSequence",
    "ViewCodeSequence", "ViewModifierCodeSequence", "SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence",
    "SegmentedPropertyTypeModifierCodeSequence", "DerivationCodeSequence", "PurposeOfReferenceCodeSequence", "MeasurementUnitsCodeSequence",
    "RTROIIdentificationCodeSequence", "RadionuclideCodeSequence", "RadiopharmaceuticalCodeSequence", "PatientOrientationCodeSequence",
    "PatientOrientationModifierCodeSequence", "PatientGantryRelationshipCodeSequence",
})  # fmt: skip
"""Sequences of codes: an entry stays when its code is one of the standard's, with the meaning that the standard gives it."""

OBJECT_NUMBERS = frozenset({
    "SegmentNumber", "ReferencedSegmentNumber", "MaximumFractionalValue", "RecommendedDisplayCIELabValue", "RecommendedDisplayGrayscaleValue", "ROINumber",
    "ReferencedROINumber", "ROIDisplayColor", "ROIVolume", "ContourNumber", "NumberOfContourPoints", "ContourData", "ContourSlabThickness",
    "ContourOffsetVector", "AttachedContours", "ObservationNumber",
})  # fmt: skip
NUMBERS = _IMAGE_NUMBERS | OBJECT_NUMBERS | frozenset(PATIENT_NUMBERS)

LABELS = frozenset({"SegmentLabel", "ROIName"})
"""Names that are never copied but written anew: from the code beside them, else from their number."""

EMPTY = ("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName", "StudyID")
"""Elements of type 2: every file has them, ours without a value."""

LISTED_VALUES: frozenset[str] = frozenset().union(*CODES.values())
"""Every coded string that a result may hold; finding one of them says nothing about a patient."""
