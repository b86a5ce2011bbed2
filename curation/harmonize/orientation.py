"""Orientation: axes swapped and flipped until they point as RAS says; no value is computed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels


def reorient_to_ras(volume: Pixels, affine: npt.NDArray[np.float64]) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Return the `(D, H, W)` volume with columns to the right, rows to the front, slices upwards, and its affine.

    Axes are only swapped and flipped: no value changes, an oblique volume stays oblique.
    """
    import nibabel as nib

    orientation = nib.orientations.io_orientation(affine)
    turned = nib.orientations.apply_orientation(volume.transpose(2, 1, 0), orientation)
    moved = affine @ nib.orientations.inv_ornt_aff(orientation, volume.shape[::-1])
    return np.ascontiguousarray(turned.transpose(2, 1, 0)), moved


def spacing_of(affine: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Return the spacing of slices, rows, columns of a `(4, 4)` affine, voxel index (column, row, slice) to millimetres."""
    return tuple(float(step) for step in np.linalg.norm(affine[:3, :3], axis=0)[::-1])
