"""Structures on the grid of an image, and how they become one label map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError

OVERLAP = "LABEL_OVERLAP"
MAX_STRUCTURES = 65535


class Structure(NamedTuple):
    """One structure: its name, or None when nothing that may be told names it, and the flat indices of its voxels, sorted."""

    name: str | None
    voxels: npt.NDArray[np.int64]


class Grid(NamedTuple):
    """The voxels of an image.

    Attributes:
        shape: slices, rows, columns; rows, columns of a 2-D image.
        affine: `(4, 4)` voxel index (column, row, slice) to RAS+ millimetres; None for a 2-D image.
    """

    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64] | None

    def indices_of(self, points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return `(N, 3)` indices (column, row, slice), between voxels too, of points `(N, 3)` in DICOM's LPS millimetres."""
        if self.affine is None:
            raise ImageError("OFF_GRID", "the image does not say where it lies")
        ras = points_mm * np.array([-1.0, -1.0, 1.0])
        indices: npt.NDArray[np.float64] = (ras - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
        return indices

    def flat(self, indices: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the flat index of whole indices `(N, 3)` (column, row, slice).

        Raises:
            ImageError: OFF_GRID, one of them lies outside.
        """
        whole = np.rint(indices).astype(np.int64)
        if ((whole < 0) | (whole >= np.array(self.shape[::-1]))).any():
            raise ImageError("OFF_GRID", "a part of the label map lies outside of its image")
        found: npt.NDArray[np.int64] = (whole[:, 2] * self.shape[1] + whole[:, 1]) * self.shape[2] + whole[:, 0]
        return found


def paint(structures: list[Structure], shape: tuple[int, ...]) -> tuple[npt.NDArray[np.uint8 | np.uint16], dict[int, str], bool]:
    """Return the label map, the name of each of its values, and whether structures overlap.

    Values count from 1 in the order of the list. A voxel holds one value: where structures overlap, the smallest is on top, so that a tumour is not
    hidden by its organ, nor an organ by the outline of the body.
    """
    if len(structures) > MAX_STRUCTURES:
        raise ImageError("TOO_LARGE", f"a label map can hold {MAX_STRUCTURES} structures")
    label_map = np.zeros(shape, np.uint8 if len(structures) < 256 else np.uint16)
    flat = label_map.reshape(-1)
    overlaps = False
    for index in sorted(range(len(structures)), key=lambda index: -len(structures[index].voxels)):
        voxels = structures[index].voxels
        overlaps = overlaps or bool(flat[voxels].any())
        flat[voxels] = index + 1
    return label_map, {number: structure.name or f"structure-{number}" for number, structure in enumerate(structures, start=1)}, overlaps
