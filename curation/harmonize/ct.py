"""CT: Hounsfield units, clipped, on a regular grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.harmonize.orientation import reorient_to_ras, spacing_of
from curation.harmonize.resample import resample_rounded, resampled_affine
from curation.harmonize.windows import check_hu, window_range
from curation.pixels import Pixels
from curation.recipe import CtSettings


def harmonize_ct(
    volume_hu: Pixels, spacing_mm: tuple[float, ...], affine: npt.NDArray[np.float64], settings: CtSettings
) -> tuple[npt.NDArray[np.int16], tuple[float, ...], npt.NDArray[np.float64]]:
    """Return the volume as `(D, H, W)` int16 HU at the target spacing, its spacing and its affine.

    Args:
        volume_hu: `(D, H, W)` in HU.
        spacing_mm: slices, rows, columns.
        affine: `(4, 4)`, voxel index (column, row, slice) to RAS+ millimetres.
        settings: target spacing, clip or window, orientation, and whether values that cannot be HU are refused.
    """
    if settings.check_hu:
        check_hu(volume_hu)
    if settings.orientation == "ras":
        volume_hu, affine = reorient_to_ras(volume_hu, affine)
        spacing_mm = spacing_of(affine)
    low, high = window_range(settings.window) if settings.window else settings.clip_hu
    moved = resampled_affine(affine, spacing_mm, settings.spacing_mm)
    return resample_rounded(volume_hu, spacing_mm, settings.spacing_mm, np.int16, (low, high), settings.upsampling), settings.spacing_mm, moved
