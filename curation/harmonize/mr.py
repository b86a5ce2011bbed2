"""MR and other volumes without a physical unit: RAS orientation, bias field, spacing, one of several intensity scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.harmonize.foreground import find_foreground
from curation.harmonize.n4 import correct_bias
from curation.harmonize.nyul import apply_nyul
from curation.harmonize.orientation import reorient_to_ras, spacing_of
from curation.harmonize.resample import resample_volume, resampled_affine
from curation.harmonize.white_stripe import apply_white_stripe
from curation.harmonize.zscore import robust_z, spread_min_max
from curation.pixels import Pixels
from curation.recipe import MrSettings


def harmonize_mr(
    volume: Pixels, affine: npt.NDArray[np.float64], settings: MrSettings
) -> tuple[npt.NDArray[np.float32], tuple[float, ...], npt.NDArray[np.float64]]:
    """Return the volume as `(D, H, W)` float32 z in RAS, its spacing and its affine.

    Args:
        volume: `(D, H, W)`, any real type and unit.
        affine: `(4, 4)`, voxel index (column, row, slice) to RAS+ millimetres.
        settings: bias field, target spacing or none, foreground, intensity scale and clip.
    """
    upright, affine = reorient_to_ras(volume, affine)
    spacing_mm = spacing_of(affine)
    if settings.bias_field == "n4":
        upright = correct_bias(upright, spacing_mm, settings.bias_shrink)
    if settings.spacing_mm is not None:
        upright = resample_volume(upright, spacing_mm, settings.spacing_mm, settings.upsampling)
        affine, spacing_mm = resampled_affine(affine, spacing_mm, settings.spacing_mm), settings.spacing_mm
    return scale_intensity(upright, spacing_mm, settings), spacing_mm, affine


def scale_intensity(volume: Pixels, spacing_mm: tuple[float, ...], settings: MrSettings) -> npt.NDArray[np.float32]:
    """Return the `(D, H, W)` volume on the recipe's intensity scale, clipped to ± `clip_z`, as float32.

    Raises:
        ImageError: `CONSTANT`, nothing stands out from anything; `WHITE_STRIPE`.
    """
    if settings.intensity == "min_max":
        return spread_min_max(volume)
    if settings.intensity == "robust_z" and settings.foreground == "mean":
        return robust_z(volume, settings.clip_z)
    mask = find_foreground(volume, settings.foreground, spacing_mm)
    if settings.intensity == "robust_z":
        return robust_z(volume, settings.clip_z, mask)
    values = np.asarray(volume, np.float32)
    if settings.intensity == "nyul":
        scaled = apply_nyul(values, values[mask], settings.nyul)
    else:
        scaled = apply_white_stripe(values, values[mask], settings.white_matter_peak)
    return np.clip(scaled, -settings.clip_z, settings.clip_z)
