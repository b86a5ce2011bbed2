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
SAME_SPACING = 1e-3
EVEN_SHARE = 0.01
ROUNDING_MM = 0.0101
"""Two positions written with two decimals give a distance that is wrong by up to 0.01 mm."""
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
    """A regular stack.

    Attributes:
        order: sorts the planes along their normal.
        spacing_mm: slices, rows, columns.
        affine: `(4, 4)`, takes (column, row, slice) to RAS+ mm.
        shear_mm: how far each slice is shifted against the one below it, along a row and along a column; zeros in an upright stack.
    """

    order: list[int]
    spacing_mm: tuple[float, float, float]
    affine: npt.NDArray[np.float64]
    shear_mm: tuple[float, float] = (0.0, 0.0)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the way from slice to slice and their normal; 0 in an upright stack."""
        return float(np.degrees(np.arctan2(np.hypot(*self.shear_mm), self.spacing_mm[0])))


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
    if np.abs(one.orientation - other.orientation).max() > SAME_DIRECTION:
        return False
    return all(abs(a - b) <= SAME_SPACING * b for a, b in zip(one.spacing_mm, other.spacing_mm, strict=True))


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


def stack_geometry(planes: Sequence[PlaneGeometry], *, accept_tilt: bool = False) -> StackGeometry:
    """Return order, spacing and affine of parallel planes at different heights.

    Args:
        planes: parallel, in any order.
        accept_tilt: take slices that are all shifted alike against each other; the affine is then that of an upright stack, and `shear_mm` says the shift.

    Raises:
        ImageError: SINGLE_SLICE, GANTRY_TILT, MISSING_SLICES, UNEVEN_SPACING or SPACING.
    """
    if len(planes) < MIN_SLICES:
        raise ImageError("SINGLE_SLICE", f"a volume needs at least {MIN_SLICES} slices, here are {len(planes)}")
    height = heights(planes)
    order = [int(index) for index in np.argsort(height, kind="stable")]
    positions = np.stack([planes[index].position for index in order])
    first = planes[order[0]]
    tilted = _is_tilted(positions, first)
    if tilted and not accept_tilt:
        raise ImageError("GANTRY_TILT", "the slices are shifted against each other, as with a tilted gantry")
    _check_even(np.diff(height[order]))
    shear_mm = _shear(positions, first) if tilted else (0.0, 0.0)
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    if tilted:
        step = np.cross(first.orientation[:3], first.orientation[3:]) * (height[order[-1]] - height[order[0]]) / (len(planes) - 1)
    thickness_mm = float(np.linalg.norm(step))
    if not is_sane_spacing(thickness_mm):
        raise ImageError("SPACING", "the distance of the slices is zero or absurd")
    return StackGeometry(order, (thickness_mm, *first.spacing_mm), _affine(first, step), shear_mm)


def _is_tilted(positions: Vector, plane: PlaneGeometry) -> bool:
    """Return whether any slice is shifted against its neighbour."""
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    steps = np.diff(positions, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    return bool((np.abs(steps @ normal) < UPRIGHT_COSINE * lengths).any())


def _shear(positions: Vector, plane: PlaneGeometry) -> tuple[float, float]:
    """Return the shift from slice to slice along rows and columns, in mm.

    Raises:
        ImageError: GANTRY_TILT, when it is not the same for all slices.
    """
    shifts = np.diff(positions, axis=0) @ plane.orientation.reshape(2, 3).T
    mean = shifts.mean(axis=0)
    if np.abs(shifts - mean).max() > max(EVEN_SHARE * float(np.hypot(*mean)), 2 * ROUNDING_MM):
        raise ImageError("GANTRY_TILT", "the tilt of the gantry varies within the series, so no shear makes it upright")
    return float(mean[0]), float(mean[1])


def _check_even(gaps: Vector) -> None:
    """Refuse gaps that differ by more than 1 % (or what rounding positions to 0.01 mm makes), and a drift of half a slice."""
    middle = float(np.median(gaps))
    tolerance = max(EVEN_SHARE * middle, ROUNDING_MM)
    odd = gaps[np.abs(gaps - middle) > tolerance]
    multiples = np.rint(odd / middle)
    if odd.size and (multiples >= 2).all() and (np.abs(odd - multiples * middle) <= tolerance * multiples).all():
        raise ImageError("MISSING_SLICES", f"{int((multiples - 1).sum())} slices are missing inside the stack")
    drift = np.abs(np.cumsum(gaps - gaps.mean())).max()
    if odd.size or drift > middle / 2:
        raise ImageError("UNEVEN_SPACING", f"the distance of the slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm")


def _affine(first: PlaneGeometry, step: Vector) -> npt.NDArray[np.float64]:
    """Return the affine; right-handed, since slices go along the normal: rows cross columns."""
    matrix = np.eye(4)
    matrix[:3, 0] = first.orientation[:3] * first.spacing_mm[1]
    matrix[:3, 1] = first.orientation[3:] * first.spacing_mm[0]
    matrix[:3, 2] = step
    matrix[:3, 3] = first.position
    return LPS_TO_RAS @ matrix
