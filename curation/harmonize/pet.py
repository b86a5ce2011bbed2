"""PET and SPECT: RAS orientation and, if asked for, another grid; values keep their unit (SUV, Bq/ml, counts), for they mean something as they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.harmonize.orientation import reorient_to_ras, spacing_of
from curation.harmonize.resample import resample_volume, resampled_affine
from curation.pixels import Pixels
from curation.recipe import PtSettings


def harmonize_pet(
    volume: Pixels, affine: npt.NDArray[np.float64], settings: PtSettings
) -> tuple[npt.NDArray[np.float32], tuple[float, ...], npt.NDArray[np.float64]]:
    """Return the volume as `(D, H, W)` float32 in its unit in RAS, its spacing and its affine.

    Args:
        volume: `(D, H, W)`, any real type and unit.
        affine: `(4, 4)`, voxel index (column, row, slice) to RAS+ millimetres.
        settings: target spacing, or none.
    """
    upright, affine = reorient_to_ras(volume, affine)
    spacing_mm = spacing_of(affine)
    if settings.spacing_mm is not None:
        upright, affine = resample_volume(upright, spacing_mm, settings.spacing_mm), resampled_affine(affine, spacing_mm, settings.spacing_mm)
        spacing_mm = settings.spacing_mm
    return np.asarray(upright, np.float32), spacing_mm, affine
