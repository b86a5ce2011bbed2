"""Gantry tilt: slices that are parallel but shifted against each other are moved, within their planes, to where an upright stack has them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from curation.dicom_geometry import StackGeometry
from curation.pixels import Pixels

Values = npt.NDArray[np.float32]


def upright(pixels: Pixels, stack: StackGeometry, fill: float) -> tuple[Values, npt.NDArray[np.float64]]:
    """Return the sheared volume and its affine: an upright stack that is just large enough for every slice.

    A slice is only moved along its rows and columns, by linear interpolation between neighbouring pixels; its height stays.

    Args:
        pixels: `(D, H, W)` of any real type, slices in the order of the stack.
        stack: geometry with a shear.
        fill: value of what no slice covers.
    """
    depth, rows, columns = pixels.shape
    per_slice = [shear / step for shear, step in zip(stack.shear_mm[::-1], stack.spacing_mm[1:], strict=True)]
    shifts = [(number * per_slice[0], number * per_slice[1]) for number in range(depth)]
    before, after = ([math.ceil(max(0.0, *(sign * shift[axis] for shift in shifts))) for axis in (0, 1)] for sign in (-1, 1))
    out = np.full((depth, rows + before[0] + after[0], columns + before[1] + after[1]), fill, np.float32)
    for target, source, shift in zip(out, pixels, shifts, strict=True):
        _move(target, source, (shift[0] + before[0], shift[1] + before[1]), fill)
    affine = stack.affine.copy()
    affine[:3, 3] -= affine[:3, 0] * before[1] + affine[:3, 1] * before[0]
    return out, affine


def _move(target: Values, source: Pixels, shift_px: tuple[float, float], fill: float) -> None:
    """Write `source` into `target`, moved by rows and columns; between pixels the values are mixed linearly, beyond the edge with `fill`."""
    whole = [math.floor(shift + 1e-6) for shift in shift_px]
    shares = [max(0.0, shift - floor) for shift, floor in zip(shift_px, whole, strict=True)]
    moved = source
    for axis, share in enumerate(shares):
        if share > 1e-6:
            padded = np.pad(moved, [(1, 1) if axis == other else (0, 0) for other in (0, 1)], constant_values=np.float32(fill))
            low, high = (np.take(padded, range(start, padded.shape[axis] - 1 + start), axis) for start in (0, 1))
            moved = low * np.float32(share) + high * np.float32(1 - share)
    target[whole[0] : whole[0] + moved.shape[0], whole[1] : whole[1] + moved.shape[1]] = moved
