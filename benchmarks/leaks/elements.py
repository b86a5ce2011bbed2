"""Every element of the dictionary with room for an identifier, at the top level and in sequences; each object carries a hundred of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.leaks.tokens import Garden

# Without these an image cannot be read at all, or would be another image; `kept` plants its own values in some of them.
UNTOUCHED = frozenset({
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "SpecificCharacterSet", "PatientID",
    "PatientName",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept",
    "WindowCenter", "WindowWidth", "NumberOfFrames", "PhotometricInterpretation", "PixelAspectRatio", "ImageType", "LengthToEnd", "RescaleType",
    "VOILUTFunction",
    "BurnedInAnnotation", "RecognizableVisualFeatures", "SyntheticData", "PresentationLUTShape", "ModalityLUTType", "PixelPaddingValue", "PixelDataProviderURL",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "ModalityLUTSequence", "VOILUTSequence", "OffendingElement",
})  # fmt: skip
WORDS = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "CS", "AE"})
BYTES = frozenset({"OB", "OW", "UN", "OB or OW"})
SKIPPED_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0x7FE0, 0xFFFE})


def dictionary_elements() -> list[tuple[int, str, str]]:
    """Return tag, VR and keyword of every element that the leak test plants."""
    from pydicom.datadict import DicomDictionary

    rows = [(tag, row[0], row[4]) for tag, row in DicomDictionary.items() if row[4] and tag >> 16 not in SKIPPED_GROUPS and tag & 0xFFFF]
    wanted = WORDS | BYTES | {"PN", "DA", "TM", "DT", "UI", "UR", "IS", "DS", "AS", "SQ"}
    return sorted(row for row in rows if row[1] in wanted and row[2] not in UNTOUCHED)


def plant_element(dataset: Any, tag: int, vr: str, keyword: str, garden: Garden, where: str = "", kind: str = "element") -> None:
    """Put a token into one element of a pydicom data set."""
    place = f"{where}({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}"
    dataset.add_new(tag, "OB" if vr == "OB or OW" else vr, _value(vr, garden, place, kind))


def _value(vr: str, garden: Garden, place: str, kind: str) -> object:
    from pydicom.dataset import Dataset

    if vr == "SQ":
        inner = Dataset()
        inner.PatientComments = f"seen with {garden.word(place + ' > PatientComments', 'nested')}"
        inner.PersonName = f"{garden.word(place + ' > PersonName', 'nested')}^ANNA"
        inner.CodeMeaning = garden.word(place + " > CodeMeaning", "nested")
        return [inner]
    if vr == "PN":
        return f"{garden.word(place, kind)}^ANNA^M"
    if vr in BYTES:
        return f"binary {garden.word(place, kind)} ".encode().ljust(24)
    return _text(vr, garden, place, kind)


def _text(vr: str, garden: Garden, place: str, kind: str) -> str:
    if vr == "TM":
        return f"1122{len(garden.plants) % 60:02d}{garden.fraction(place, kind)}"
    if vr == "UR":
        return f"https://pacs.example/{garden.word(place, kind)}"
    if vr == "DT":
        return f"{garden.day(place, kind)}112233"
    makers = {"DA": garden.day, "UI": garden.uid, "AS": garden.age, "IS": garden.number, "DS": garden.number}
    return makers.get(vr, garden.word)(place, kind)


def in_groups(rows: list[tuple[int, str, str]], size: int) -> Iterator[list[tuple[int, str, str]]]:
    """Yield the rows in groups of `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def plant_deep(dataset: Any, garden: Garden, path: tuple[str, ...]) -> None:
    """Put identifiers at the end of a path of sequences, those that tools keep included."""
    from pydicom.dataset import Dataset

    level = dataset
    for name in path:
        if name in level and level[name].value:
            level = level[name].value[0]
        else:
            inner = Dataset()
            setattr(level, name, [inner])
            level = inner
    where = " > ".join(path) + " > "
    for tag, vr, keyword in ((0x00104000, "LT", "PatientComments"), (0x00100020, "LO", "PatientID"), (0x00100030, "DA", "PatientBirthDate"),
                             (0x00081050, "PN", "PerformingPhysicianName"), (0x00080080, "LO", "InstitutionName"),
                             (0x0040A160, "UT", "TextValue")):  # fmt: skip
        plant_element(level, tag, vr, keyword, garden, where, "nested")
    block = level.private_block(0x0099, "ACME LOCAL", create=True)
    block.add_new(0x10, "LO", garden.word(where + "private (0099,xx10)", "private"))


DEEP_PATHS = (
    ("SourceImageSequence",), ("ReferencedImageSequence",), ("ReferencedImageSequence", "PurposeOfReferenceCodeSequence"),
    ("DerivationImageSequence", "SourceImageSequence"),
    ("ReferencedSeriesSequence", "ReferencedInstanceSequence"), ("RequestAttributesSequence", "ScheduledProtocolCodeSequence"), ("CTExposureSequence",),
    ("DerivationImageSequence", "DerivationCodeSequence"), ("VOILUTSequence",), ("IconImageSequence",),
    ("AcquisitionContextSequence", "MeasurementUnitsCodeSequence"),
    ("ContentSequence", "ContentSequence", "ContentSequence", "ContentSequence"), ("DimensionOrganizationSequence",), ("DimensionIndexSequence",),
    ("OriginalAttributesSequence", "ModifiedAttributesSequence"), ("RadiopharmaceuticalInformationSequence", "RadionuclideCodeSequence"),
    ("AnatomicRegionSequence",),
    ("BeamSequence", "ControlPointSequence"), ("WaveformAnnotationSequence", "ConceptNameCodeSequence"), ("EncryptedAttributesSequence",),
    ("DigitalSignaturesSequence",),
    ("MACParametersSequence",), ("PatientSpeciesCodeSequence",), ("ProcedureCodeSequence", "EquivalentCodeSequence"), ("PrivateDataElementDefinitionSequence",),
)  # fmt: skip
