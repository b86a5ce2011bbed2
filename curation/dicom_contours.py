"""Structure sets (RTSTRUCT): closed contours filled on the slices of the volume that they were drawn on.

A voxel is inside when its centre is. Contours of one structure on one slice are combined by exclusive or, as PS3.3 C.8.8.6 asks for holes: a contour
within another one cuts a hole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curation.dicom_fields import text_of
from curation.dicom_names import structure_name
from curation.errors import ImageError
from curation.structures import Grid, Structure

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CLOSED = ("CLOSED_PLANAR", "CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR")
OFF_SLICE = 0.25
"""How far, in slices, a point of a contour may lie from the middle of its slice."""

HOLES = "CONTOUR_HOLES"


def contours_on(dataset: Dataset, grid: Grid, given: Mapping[str, str]) -> tuple[list[Structure], bool]:
    """Return the structures of a structure set in the order of their numbers, and whether contours cut holes into others.

    Points and open contours enclose nothing; structures with only such are left out.

    Args:
        dataset: an RT Structure Set.
        grid: of the volume that it was drawn on.
        given: the user's names by the names of ROIs.

    Raises:
        ImageError: STRUCTURES, nothing is drawn, or a contour is broken; OFF_GRID, a contour lies between slices or outside of the volume.
    """
    labels = {int(item.ROINumber): text_of(item, "ROIName") for item in dataset.get("StructureSetROISequence") or ()}
    observed = {int(item.ReferencedROINumber): item for item in dataset.get("RTROIObservationsSequence") or ()}
    found: dict[int, Structure] = {}
    has_holes = False
    for item in dataset.get("ROIContourSequence") or ():
        number = int(item.ReferencedROINumber)
        contours = [contour for contour in item.get("ContourSequence") or () if text_of(contour, "ContourGeometricType").upper() in CLOSED]
        if not contours:
            continue
        voxels, cuts = _fill([grid.indices_of(_points(contour)) for contour in contours], grid)
        has_holes = has_holes or cuts
        found[number] = Structure(structure_name(observed.get(number, item), labels.get(number, ""), given), voxels)
    if not found:
        raise ImageError("STRUCTURES", "no closed contour is drawn in the structure set")
    return [found[number] for number in sorted(found)], has_holes


def _points(contour: Dataset) -> npt.NDArray[np.float64]:
    """Return `(N, 3)` points in LPS millimetres."""
    values = np.asarray([float(number) for number in contour.get("ContourData") or ()], np.float64)
    if len(values) < 9 or len(values) % 3 or not np.isfinite(values).all():
        raise ImageError("STRUCTURES", "a closed contour has fewer than three points, or a point that is none")
    return values.reshape(-1, 3)


def _fill(contours: list[npt.NDArray[np.float64]], grid: Grid) -> tuple[npt.NDArray[np.int64], bool]:
    """Return the flat indices inside contours given as indices (column, row, slice), and whether some contours lie over others."""
    planes: dict[int, npt.NDArray[np.bool_]] = {}
    has_holes = False
    for points in contours:
        level = float(np.rint(points[:, 2].mean()))
        if np.abs(points[:, 2] - level).max() > OFF_SLICE:
            raise ImageError("OFF_GRID", "a contour lies between the slices of its volume, or across them")
        if not 0 <= level < grid.shape[0]:
            raise ImageError("OFF_GRID", "a contour lies outside of its volume")
        inside = fill_polygon(points[:, :2], grid.shape[1], grid.shape[2])
        plane = planes.setdefault(int(level), np.zeros(grid.shape[1:], np.bool_))
        has_holes = has_holes or bool((plane & inside).any())
        plane ^= inside
    area = grid.shape[1] * grid.shape[2]
    parts = [number * area + np.flatnonzero(plane) for number, plane in sorted(planes.items())]
    return np.concatenate([np.empty(0, np.int64), *parts]), has_holes


def fill_polygon(points: npt.NDArray[np.float64], rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Return `(rows, columns)`, true where the centre of a pixel is inside of a closed polygon by the even-odd rule.

    Walking along a row from the left, each crossing of an edge turns outside into inside and back. Worked value: the square from 0.5 to 2.5 along both
    axes holds the four pixels whose indices are 1 and 2.

    Args:
        points: `(N, 2)` column and row of the corners, in indices of pixels; may lie outside.
        rows: height of the answer.
        columns: width of the answer.
    """
    ends = np.roll(points, -1, axis=0)
    first = np.clip(np.ceil(np.minimum(points[:, 1], ends[:, 1])), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(points[:, 1], ends[:, 1])), 0, rows).astype(np.int64)
    counts = last - first  # rows that each edge crosses; a horizontal one crosses none
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (ends - points)[edge]
    at = points[edge, 0] + (row - points[edge, 1]) * slope[:, 0] / slope[:, 1]
    turns = np.zeros((rows, columns + 1), np.uint8)
    np.add.at(turns, (row, np.clip(np.ceil(at), 0, columns).astype(np.int64)), 1)
    inside: npt.NDArray[np.bool_] = (np.add.accumulate(turns[:, :columns], axis=1, dtype=np.uint8) & 1).astype(np.bool_)
    return inside
