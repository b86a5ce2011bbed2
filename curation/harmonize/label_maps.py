"""Label maps follow their images: the same grid, each voxel takes the value of the nearest one. No value is ever mixed or invented."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError
from curation.pixels import Pixels


def follow_volume(label_map: Pixels, affine: npt.NDArray[np.float64], moved: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Pixels:
    """Return the label map on the grid that its volume has after harmonization.

    Args:
        label_map: `(D, H, W)`, 0 is the background.
        affine: `(4, 4)`, voxel index (column, row, slice) of `label_map` to RAS+ millimetres.
        moved: the affine of the answer; its axes are those of `affine`, swapped, turned round, scaled or shifted.
        shape: slices, rows, columns of the answer.

    Raises:
        ImageError: LABEL_MAP, the two grids are rotated against each other.
    """
    change = np.linalg.inv(affine) @ moved
    taken_from = np.abs(change[:3, :3]).argmax(axis=1)  # for each old axis, the new axis that runs along it
    rest = change[:3, :3].copy()
    rest[np.arange(3), taken_from] = 0
    if sorted(taken_from) != [0, 1, 2] or np.abs(rest).max() > 1e-4:
        raise ImageError("LABEL_MAP", "the label map cannot follow its volume: their grids are rotated against each other")
    new_sizes, old_sizes = shape[::-1], label_map.shape[::-1]
    out = label_map.transpose(2, 1, 0)
    for old, new in enumerate(taken_from):
        positions = change[old, new] * np.arange(new_sizes[new]) + change[old, 3]
        out = out.take(np.clip(np.floor(positions + 0.5 + 1e-6).astype(np.int64), 0, old_sizes[old] - 1), axis=old)
    turned: Pixels = np.ascontiguousarray(out.transpose(np.argsort(taken_from)).transpose(2, 1, 0))
    return turned


def follow_image(label_map: Pixels, shape: tuple[int, ...]) -> Pixels:
    """Return the `(H, W)` label map with the rows and columns of `shape`, which shows the same field of view."""
    rows, columns = (np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1) for old, new in zip(label_map.shape, shape[:2], strict=True))
    resized: Pixels = label_map[rows[:, None], columns[None, :]]
    return resized
