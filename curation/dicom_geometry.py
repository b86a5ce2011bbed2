"""Where planes lie in the patient: pure functions of positions and directions, in DICOM's LPS millimetres.

Nothing is guessed: planes that do not form a regular, upright stack raise an `ImageError` that says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError

Vector = npt.NDArray[np.float64]

MIN_SLICES = 3
SAME_POSITION_MM = 0.01
SAME_DIRECTION = 2e-3
UNIT_TOLERANCE = 0.01
UPRIGHT_COSINE = 0.999
SPACING_RANGE_MM = (0.005, 100.0)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class PlaneGeometry(NamedTuple):
    """One plane.

    Attributes:
        position: `(3,)` mm, centre of the first pixel.
        orientation: `(6,)` unit direction along a row (column index grows), then along a column (row index grows).
        spacing_mm: distance of rows, distance of columns.
    """

    position: Vector
    orientation: Vector
    spacing_mm: tuple[float, float]


class StackGeometry(NamedTuple):
    """A regular stack: `order` sorts the planes, `affine` takes (column, row, slice) to RAS+ mm."""

    order: list[int]
    spacing_mm: tuple[float, float, float]
    affine: npt.NDArray[np.float64]


def plane_geometry(position: Sequence[float], orientation: Sequence[float], spacing_mm: Sequence[float]) -> PlaneGeometry:
    """Return the checked geometry of a plane.

    Raises:
        ImageError: SPACING, POSITION or ORIENTATION.
    """
    if len(spacing_mm) != 2 or not all(is_sane_spacing(value) for value in spacing_mm):
        raise ImageError("SPACING", "the pixel spacing is missing, zero, negative or absurd")
    place, directions = np.asarray(position, np.float64), np.asarray(orientation, np.float64)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise ImageError("POSITION", "the position of a slice is missing or is no number")
    if directions.shape != (6,) or not np.isfinite(directions).all():
        raise ImageError("ORIENTATION", "the orientation of a slice is missing or is no number")
    along_row, along_column = directions[:3], directions[3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if max(abs(length - 1) for length in lengths) > UNIT_TOLERANCE or abs(along_row @ along_column) > UNIT_TOLERANCE:
        raise ImageError("ORIENTATION", "the directions of rows and columns are not at right angles, or not of length one")
    unit = np.concatenate([along_row / lengths[0], along_column / lengths[1]])
    return PlaneGeometry(place, unit, (float(spacing_mm[0]), float(spacing_mm[1])))


def is_sane_spacing(value: float) -> bool:
    """Return whether a distance in mm can be that of neighbouring pixels."""
    return bool(np.isfinite(value) and SPACING_RANGE_MM[0] <= value <= SPACING_RANGE_MM[1])


def is_same_grid(one: PlaneGeometry, other: PlaneGeometry) -> bool:
    """Return whether two planes are parallel, with rows and columns alike."""
    return bool(np.allclose(one.orientation, other.orientation, atol=SAME_DIRECTION, rtol=0) and np.allclose(one.spacing_mm, other.spacing_mm, rtol=1e-3))


def heights(planes: Sequence[PlaneGeometry]) -> Vector:
    """Return `(N,)` mm, the place of every plane along the normal of the first."""
    normal = np.cross(planes[0].orientation[:3], planes[0].orientation[3:])
    return np.asarray([plane.position @ normal for plane in planes])


def levels(planes: Sequence[PlaneGeometry]) -> npt.NDArray[np.int64]:
    """Return `(N,)`, the number of the height that every plane lies at, from 0; equal places share a number."""
    height = heights(planes)
    order = np.argsort(height, kind="stable")
    steps = np.diff(height[order], prepend=height[order[0]]) > SAME_POSITION_MM
    level = np.empty(len(planes), np.int64)
    level[order] = np.cumsum(steps)
    return level


def stack_geometry(planes: Sequence[PlaneGeometry]) -> StackGeometry:
    """Return order, spacing and affine of parallel planes at different heights.

    Raises:
        ImageError: SINGLE_SLICE, GANTRY_TILT, MISSING_SLICES, UNEVEN_SPACING or SPACING.
    """
    if len(planes) < MIN_SLICES:
        raise ImageError("SINGLE_SLICE", f"a volume needs at least {MIN_SLICES} slices, here are {len(planes)}")
    height = heights(planes)
    order = [int(index) for index in np.argsort(height, kind="stable")]
    positions = np.stack([planes[index].position for index in order])
    _check_upright(positions, planes[0])
    _check_even(np.diff(height[order]))
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    thickness_mm = float(np.linalg.norm(step))
    if not is_sane_spacing(thickness_mm):
        raise ImageError("SPACING", "the distance of the slices is zero or absurd")
    return StackGeometry(order, (thickness_mm, *planes[0].spacing_mm), _affine(planes[order[0]], step))


def _check_upright(positions: Vector, plane: PlaneGeometry) -> None:
    """Refuse a stack whose slices are shifted against each other."""
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    steps = np.diff(positions, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    if (np.abs(steps @ normal) < UPRIGHT_COSINE * lengths).any():
        raise ImageError("GANTRY_TILT", "the slices are shifted against each other, as with a tilted gantry")


def _check_even(gaps: Vector) -> None:
    """Refuse gaps that differ by more than 1 % and 0.02 mm."""
    middle = float(np.median(gaps))
    tolerance = max(0.01 * middle, 0.02)
    odd = gaps[np.abs(gaps - middle) > tolerance]
    if not odd.size:
        return
    multiples = np.rint(odd / middle)
    if (multiples >= 2).all() and (np.abs(odd - multiples * middle) <= tolerance * multiples).all():
        raise ImageError("MISSING_SLICES", f"{int((multiples - 1).sum())} slices are missing inside the stack")
    raise ImageError("UNEVEN_SPACING", f"the distance of the slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm")


def _affine(first: PlaneGeometry, step: Vector) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 0] = first.orientation[:3] * first.spacing_mm[1]
    matrix[:3, 1] = first.orientation[3:] * first.spacing_mm[0]
    matrix[:3, 2] = step
    matrix[:3, 3] = first.position
    return LPS_TO_RAS @ matrix
