"""Pictures that are no part of a volume: X-ray, ultrasound, photographs, screens, planar nuclear images; of a film, the frames that the recipe asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curation.acquired import Acquired
from curation.dicom_fields import fields_of, patient_of, text_of
from curation.dicom_geometry import is_sane_spacing
from curation.dicom_pixels import coloured, displayed
from curation.errors import ImageError
from curation.modalities import family_of
from curation.pixels import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Frames = Literal["refuse", "middle", "all"]
"""What is taken of a film: nothing, its middle frame, or each frame as an image."""

GRAY = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT"})
PALETTE = "PALETTE COLOR"
FOR_PROCESSING = "FOR_PROCESSING"
TISSUE_2D, CENTIMETRES = 1, 3
"""Codes of ultrasound regions."""


def chosen_frames(count: int, frames: Frames) -> list[int]:
    """Return which frames of `count` are taken; the only frame of a still always is."""
    if count == 1 or frames == "all":
        return list(range(count))
    return [count // 2] if frames == "middle" else []


def check_photometric(dataset: Dataset, *, is_volume: bool) -> None:
    """Refuse pixels whose meaning is not one of ours.

    Raises:
        ImageError: PHOTOMETRIC, or COLOUR for a volume or a projection image in colour.
    """
    photometric = text_of(dataset, "PhotometricInterpretation").upper()
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if photometric not in (GRAY | {PALETTE} if samples == 1 else COLOUR):
        raise ImageError("PHOTOMETRIC", f"{samples} samples a pixel and this photometric interpretation do not go together, or are not supported")
    if photometric not in GRAY and (is_volume or family_of(text_of(dataset, "Modality")) == "xray"):
        raise ImageError("COLOUR", "a slice of a volume cannot be in colour" if is_volume else "a projection image cannot be in colour")


def still_of(dataset: Dataset, stored: Pixels, key: bytes) -> Acquired:
    """Return one picture as it is shown.

    Args:
        dataset: its header.
        stored: `(H, W)` or `(H, W, 3)` stored values of the frame.
        key: secret of the pseudonyms.

    Raises:
        ImageError: LUT, RESCALE, SPACING or VALUE_RANGE.
    """
    is_coloured = stored.ndim == 3 or text_of(dataset, "PhotometricInterpretation") == PALETTE
    pixels = coloured(dataset, stored) if is_coloured else displayed(dataset, stored)
    if pixels.min() == pixels.max():
        raise ImageError("VALUE_RANGE", "every pixel has the same value")
    notes = (FOR_PROCESSING,) if text_of(dataset, "PresentationIntentType").upper() == "FOR PROCESSING" else ()
    return Acquired(pixels, text_of(dataset, "Modality"), patient_of(dataset), spacing_of(dataset), None, fields_of(dataset, key), notes=notes)


def spacing_of(dataset: Dataset) -> tuple[float, float] | None:
    """Return the distance of rows and columns in mm, of ultrasound that of its calibrated regions, or None when it is not said.

    Raises:
        ImageError: SPACING, when it is said and cannot be.
    """
    value = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    if not value:
        return _calibrated(dataset)
    spacing = tuple(float(number) for number in value) if not isinstance(value, str | float | int) else ()
    if len(spacing) != 2 or not all(is_sane_spacing(number) for number in spacing):
        raise ImageError("SPACING", "the pixel spacing is zero, negative or absurd")
    return spacing[0], spacing[1]


def _calibrated(dataset: Dataset) -> tuple[float, float] | None:
    """Return rows and columns in mm when all two-dimensional tissue regions of an ultrasound say the same (PS3.3 C.8.5.5); one that differs says nothing."""
    regions = [region for region in dataset.get("SequenceOfUltrasoundRegions") or () if region.get("RegionSpatialFormat") == TISSUE_2D]
    found = {
        (abs(float(region.get("PhysicalDeltaY") or 0)) * 10, abs(float(region.get("PhysicalDeltaX") or 0)) * 10)
        for region in regions
        if region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == CENTIMETRES
    }
    if len(found) != 1:
        return None
    rows_mm, columns_mm = found.pop()
    return (rows_mm, columns_mm) if is_sane_spacing(rows_mm) and is_sane_spacing(columns_mm) else None
