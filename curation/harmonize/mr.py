"""MR and other volumes without a physical unit: RAS orientation and a robust z-score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError
from curation.harmonize.resample import resample_volume, resampled_affine
from curation.pixels import Pixels
from curation.recipe import MrSettings

IQR_TO_SIGMA = 0.7413


def harmonize_mr(
    volume: Pixels, affine: npt.NDArray[np.float64], settings: MrSettings
) -> tuple[npt.NDArray[np.float32], tuple[float, ...], npt.NDArray[np.float64]]:
    """Return the volume as `(D, H, W)` float32 z in RAS, its spacing and its affine.

    Args:
        volume: `(D, H, W)`, any real type and unit.
        affine: `(4, 4)`, voxel index (column, row, slice) to RAS+ millimetres.
        settings: target spacing, or none, and clip.
    """
    upright, affine = reorient_to_ras(volume, affine)
    spacing_mm = _spacing_of(affine)
    if settings.spacing_mm is not None:
        upright, affine = resample_volume(upright, spacing_mm, settings.spacing_mm), resampled_affine(affine, spacing_mm, settings.spacing_mm)
        spacing_mm = settings.spacing_mm
    return robust_z(upright, settings.clip_z), spacing_mm, affine


def _spacing_of(affine: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Return the spacing of slices, rows, columns."""
    return tuple(float(step) for step in np.linalg.norm(affine[:3, :3], axis=0)[::-1])


def reorient_to_ras(volume: Pixels, affine: npt.NDArray[np.float64]) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Return the `(D, H, W)` volume with columns to the right, rows to the front, slices upwards, and its affine.

    Axes are only swapped and flipped: no value changes, an oblique volume stays oblique.
    """
    import nibabel as nib

    orientation = nib.orientations.io_orientation(affine)
    turned = nib.orientations.apply_orientation(volume.transpose(2, 1, 0), orientation)
    moved = affine @ nib.orientations.inv_ornt_aff(orientation, volume.shape[::-1])
    return np.ascontiguousarray(turned.transpose(2, 1, 0)), moved


def robust_z(volume: Pixels, clip_z: float) -> npt.NDArray[np.float32]:
    """Return (x - median) / (0.7413 IQR) of the foreground, clipped to ± `clip_z`, as float32.

    The foreground is what is brighter than the mean of the volume. 0.7413 IQR is the standard deviation of a normal distribution
    (Rousseeuw and Croux, 1993). Worked value: for the volume 0 0 0 0 0 2 3 4 5 6 the mean is 2, the foreground 3 4 5 6 has the median 4.5 and the
    IQR 1.5, so 6 becomes 1.5 / (0.7413 · 1.5) = 1.349.

    Raises:
        ImageError: `CONSTANT`, the foreground has no spread.
    """
    values = np.asarray(volume, np.float32)
    foreground: npt.NDArray[Any] = values[values > values.mean(dtype=np.float64)]
    if foreground.size == 0:
        raise ImageError("CONSTANT", "all values are equal")
    low, middle, high = np.percentile(foreground, (25, 50, 75))
    if high <= low:
        raise ImageError("CONSTANT", "the foreground has no spread, so it cannot be normalized")
    return np.clip((values - np.float32(middle)) / np.float32(IQR_TO_SIGMA * (high - low)), -clip_z, clip_z).astype(np.float32)
