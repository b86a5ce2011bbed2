"""Planes: one slice with its place and its meaning, from a single-frame file, one frame of an enhanced file, or one tile of a Siemens mosaic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from curation.dicom_fields import text_of
from curation.dicom_geometry import PlaneGeometry, plane_geometry
from curation.dicom_mosaic import is_mosaic, mosaic_tiles
from curation.dicom_pixels import padding_of, rescale_of
from curation.errors import ImageError
from curation.pixels import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

VOLUME_KEYS = (
    "ImageType", "EchoTime", "EffectiveEchoTime", "InversionTime", "FlipAngle", "DiffusionBValue", "DiffusionGradientOrientation",
    "TemporalPositionIdentifier", "TemporalPositionIndex", "FrameReferenceTime", "TriggerTime", "NominalCardiacTriggerDelayTime", "ConvolutionKernel", "KVP",
    "AcquisitionNumber", "FrameAcquisitionNumber", "StackID", "AcquisitionTime",
)  # fmt: skip
"""What may tell volumes at one place apart, in the order in which it is tried."""

MACROS = (
    "MREchoSequence", "FrameContentSequence", "MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence", "MRModifierSequence",
    "MRTimingAndRelatedParametersSequence", "CardiacSynchronizationSequence", "CTReconstructionSequence", "CTXRayDetailsSequence",
)  # fmt: skip
"""Functional groups that hold `VOLUME_KEYS`, besides diffusion."""

B_VALUE_PRIVATE = (
    (0x0019, "SIEMENS MR HEADER", 0x0C), (0x0043, "GEMS_PARM_01", 0x39), (0x2001, "Philips Imaging DD 001", 0x03),
)  # fmt: skip
GE_B_VALUE_OFFSET = 1e9


class Plane(NamedTuple):
    """One slice.

    Attributes:
        path: the file it came from.
        number: order in the file's own counting; only used to tell volumes at the same place apart.
        geometry: where it lies.
        stored: `(H, W)` stored values, a view of the decoded file.
        rescale: slope and intercept of this slice.
        padding: smallest and largest stored value that is no part of the image; None when there is none.
        keys: values of `VOLUME_KEYS`.
        stack: planes with different words belong to different volumes, wherever they lie; empty when only their place and keys decide.
        tilt_degrees: the gantry's tilt as the header declares it.
        slices: how many slices the header declares for each volume (PET); 0 when it does not.
    """

    path: Path
    number: tuple[int, int]
    geometry: PlaneGeometry
    stored: Pixels
    rescale: tuple[float, float]
    padding: tuple[int, int] | None = None
    keys: tuple[str, ...] = ("",) * len(VOLUME_KEYS)
    stack: str = ""
    tilt_degrees: float = 0.0
    slices: int = 0


def planes_of(path: Path, dataset: Dataset, frames: Pixels) -> list[Plane]:
    """Return the planes of one file.

    Args:
        path: the file.
        dataset: its header.
        frames: `(F, H, W)` stored values.

    Raises:
        ImageError: SPACING, POSITION, ORIENTATION, COLOUR, LUT, MULTIFRAME, ENHANCED, MOSAIC or VALUE_RANGE.
    """
    if frames.ndim != 3 or dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        raise ImageError("COLOUR", "a slice of a volume cannot be in colour")
    if dataset.get("ModalityLUTSequence"):
        raise ImageError("LUT", "the values of a slice go through a table, whose answers are no measurements")
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return _enhanced_planes(path, dataset, frames)
    if len(frames) > 1:
        raise ImageError("MULTIFRAME", "several frames without the place of each")
    geometry = plane_geometry(numbers_of(dataset, "ImagePositionPatient"), numbers_of(dataset, "ImageOrientationPatient"), numbers_of(dataset, "PixelSpacing"))
    number = int(dataset.get("InstanceNumber") or 0)
    plane = Plane(path, (number, 0), geometry, frames[0], rescale_of(dataset), padding_of(dataset, frames.dtype), _keys(dataset))
    if is_mosaic(dataset):
        tiles = mosaic_tiles(dataset, geometry, frames[0])
        return [plane._replace(number=(number, index), geometry=place, stored=tile, stack=str(path)) for index, (place, tile) in enumerate(tiles)]
    slices = int(dataset.get("NumberOfSlices") or 0) if text_of(dataset, "Modality") == "PT" else 0
    return [plane._replace(tilt_degrees=_declared_tilt(dataset), slices=slices)]


def _declared_tilt(dataset: Dataset) -> float:
    """Return the tilt of an original CT slice; reformatted ones keep the tag of the scan that they were made of."""
    is_original = text_of(dataset, "Modality") == "CT" and "ORIGINAL" in (dataset.get("ImageType") or ())
    return float(dataset.get("GantryDetectorTilt") or 0) if is_original else 0.0


def _keys(dataset: Dataset) -> tuple[str, ...]:
    keys = dict.fromkeys(VOLUME_KEYS, "") | {name: text_of(dataset, name) for name in VOLUME_KEYS if name in dataset}
    if not keys["DiffusionBValue"] and dataset.get("Modality") == "MR":
        keys["DiffusionBValue"] = _private_b_value(dataset)
    return tuple(keys.values())


def _private_b_value(dataset: Dataset) -> str:
    """Return the b-value where a vendor keeps it; the first of several numbers, without the 10⁹ that GE adds to some."""
    for group, creator, offset in B_VALUE_PRIVATE:
        try:
            value = dataset.private_block(group, creator)[offset].value
        except KeyError:
            continue
        first = value if isinstance(value, str | bytes | float | int) else (list(value) or [""])[0]
        return str(float(first) % GE_B_VALUE_OFFSET) if isinstance(first, float | int) else str(first)
    return ""


def _enhanced_planes(path: Path, dataset: Dataset, frames: Pixels) -> list[Plane]:
    """Return one plane a frame, from the functional groups of an enhanced CT or MR file."""
    groups = dataset.PerFrameFunctionalGroupsSequence
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    if len(groups) != len(frames):
        raise ImageError("ENHANCED", f"{len(groups)} functional groups for {len(frames)} frames")
    number, padding, outer = int(dataset.get("InstanceNumber") or 0), padding_of(dataset, frames.dtype), _keys(dataset)
    planes = []
    for index, (group, frame) in enumerate(zip(groups, frames, strict=True)):
        macros = _FrameMacros(group, shared)
        geometry = plane_geometry(
            macros.numbers("PlanePositionSequence", "ImagePositionPatient"),
            macros.numbers("PlaneOrientationSequence", "ImageOrientationPatient"),
            macros.numbers("PixelMeasuresSequence", "PixelSpacing"),
        )
        planes.append(Plane(path, (number, index), geometry, frame, macros.rescale(dataset), padding, macros.keys(outer)))
    return planes


class _FrameMacros(NamedTuple):
    """The functional groups of one frame: its own before the shared ones."""

    own: Dataset
    shared: Dataset | None

    def first(self, sequence: str) -> Dataset | None:
        """Return the first entry of a macro's sequence."""
        for group in (self.own, self.shared):
            if group is not None and group.get(sequence):
                return group[sequence].value[0]  # type: ignore[no-any-return]
        return None

    def numbers(self, sequence: str, name: str) -> list[float]:
        """Return the numbers of an element; empty when it is not there."""
        macro = self.first(sequence)
        return [] if macro is None else numbers_of(macro, name)

    def rescale(self, dataset: Dataset) -> tuple[float, float]:
        """Return slope and intercept of the frame, else of the file.

        Raises:
            ImageError: VALUE_RANGE, for a CT without them.
        """
        macro = self.first("PixelValueTransformationSequence")
        if macro is None and text_of(dataset, "Modality") == "CT" and dataset.get("RescaleIntercept") is None:
            raise ImageError("VALUE_RANGE", "a CT without rescale intercept cannot be turned into Hounsfield units")
        return rescale_of(dataset if macro is None else macro)

    def keys(self, outer: tuple[str, ...]) -> tuple[str, ...]:
        """Return the values of `VOLUME_KEYS` wherever the frame keeps them, else those of the file."""
        found = {name: text_of(macro, name) for macro in map(self.first, MACROS) if macro is not None for name in (*VOLUME_KEYS, "FrameType") if name in macro}
        found["ImageType"] = found.get("FrameType", "")
        diffusion = self.first("MRDiffusionSequence")
        if diffusion is not None:
            found["DiffusionBValue"] = text_of(diffusion, "DiffusionBValue")
            for direction in diffusion.get("DiffusionGradientDirectionSequence") or ():
                found["DiffusionGradientOrientation"] = text_of(direction, "DiffusionGradientOrientation")
        return tuple(found.get(name) or value for name, value in zip(VOLUME_KEYS, outer, strict=True))


def numbers_of(dataset: Dataset, name: str) -> list[float]:
    """Return the numbers of an element with several values; empty when it is not there."""
    value = dataset.get(name)
    return [float(number) for number in value] if value is not None and not isinstance(value, str | float | int) else []
