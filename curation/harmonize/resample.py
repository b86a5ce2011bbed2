"""Resampling per axis in float32: area averages downwards, linear or cubic interpolation upwards, exact scale factors; label maps: `label_maps`.

Integers are never interpolated as integers: they are rounded once, at the end (`round_to`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError
from curation.harmonize.axis_weights import Upwards, axis_weights
from curation.pixels import Pixels

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_VOXELS = 2**29
Plane = npt.NDArray[np.float32]
Range = tuple[float, float]


def resample_volume(volume: Pixels, spacing_mm: tuple[float, ...], target_mm: tuple[float, ...], upwards: Upwards = "linear") -> npt.NDArray[np.float32]:
    """Return the volume on a grid with spacing `target_mm`; voxel borders of the first voxel stay where they are.

    Args:
        volume: `(D, H, W)`, any real type.
        spacing_mm: slices, rows, columns of `volume`.
        target_mm: slices, rows, columns of the answer.
        upwards: along an axis that gets more voxels: `linear` never leaves the range of its neighbours, `cubic` is sharper and overshoots at edges.

    Raises:
        ImageError: `TOO_LARGE`, the answer would have more than 2**29 voxels.
    """
    sizes = _sizes(volume, spacing_mm, target_mm)
    out = np.empty(sizes, np.float32)
    for target, plane in zip(out, _planes(volume, sizes, spacing_mm, target_mm, upwards), strict=True):
        target[...] = plane
    return out


def resample_rounded(
    volume: Pixels, spacing_mm: tuple[float, ...], target_mm: tuple[float, ...], dtype: type[np.integer[Any]], limits: Range, upwards: Upwards = "linear"
) -> Pixels:
    """Do as `resample_volume` with values cut to `limits` before and after, and return them rounded; a few slices are in memory as float32, never all.

    Raises:
        ImageError: `TOO_LARGE`, the answer would have more than 2**29 voxels.
    """
    sizes = _sizes(volume, spacing_mm, target_mm)
    low, high = max(limits[0], float(np.iinfo(dtype).min)), min(limits[1], float(np.iinfo(dtype).max))
    out: Pixels = np.empty(sizes, dtype)
    for target, plane in zip(out, _planes(volume, sizes, spacing_mm, target_mm, upwards, limits), strict=True):
        if upwards == "cubic":  # it overshoots at edges
            plane = np.clip(plane, low, high)
        target[...] = np.rint(plane)
    return out


def _sizes(volume: Pixels, spacing_mm: tuple[float, ...], target_mm: tuple[float, ...]) -> tuple[int, int, int]:
    depth, height, width = (max(1, round(size * old / new)) for size, old, new in zip(volume.shape, spacing_mm, target_mm, strict=True))
    if depth * height * width > MAX_VOXELS:
        raise ImageError("TOO_LARGE", "the volume would have more than half a billion voxels at the target spacing")
    return depth, height, width


def _planes(
    volume: Pixels, sizes: tuple[int, ...], spacing_mm: tuple[float, ...], target_mm: tuple[float, ...], upwards: Upwards, limits: Range | None = None
) -> Iterator[Plane]:
    """Yield the slices of the answer in order; those of the volume that they are made of are resampled when they are needed, and then forgotten."""
    import cv2

    factors = [old / new for old, new in zip(spacing_mm, target_mm, strict=True)]
    depth, *in_plane = (axis_weights(lines, size, factor, upwards) for lines, size, factor in zip(volume.shape, sizes, factors, strict=True))
    made: dict[int, Plane] = {}
    for begin, end in zip(depth.indptr[:-1], depth.indptr[1:], strict=True):
        used = [int(index) for index in depth.indices[begin:end]]
        made = {index: made[index] if index in made else _resample_plane(volume[index], in_plane, limits) for index in sorted(used)}
        weights = [float(weight) for weight in depth.data[begin:end]]
        mixed = made[used[0]] if weights[0] == 1 else made[used[0]] * np.float32(weights[0])
        for index, weight in zip(used[1:], weights[1:], strict=True):
            mixed = np.asarray(cv2.scaleAdd(made[index], weight, mixed), np.float32)
        yield mixed


def _resample_plane(plane: Pixels, weights: list[csr_array], limits: Range | None = None) -> Plane:
    """Return `(H, W)` or `(H, W, C)` of any real type as float32 with both axes resampled."""
    import cv2

    values: Plane = np.ascontiguousarray(plane, np.float32)
    if limits is not None:
        values = np.clip(values, *limits, out=None if values is plane else values)
    for along, matrix in enumerate(weights):
        if matrix.shape[0] == matrix.shape[1] == matrix.nnz and (matrix.data == 1).all():
            continue
        turned = values if along == 0 else cv2.transpose(values)
        mixed = np.asarray(matrix @ turned.reshape(turned.shape[0], -1), np.float32).reshape(matrix.shape[0], *turned.shape[1:])
        values = mixed if along == 0 else np.asarray(cv2.transpose(mixed), np.float32)
    return values


def resampled_affine(affine: npt.NDArray[np.float64], spacing_mm: tuple[float, ...], target_mm: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return the `(4, 4)` affine, voxel index (column, row, slice) to millimetres, of what `resample_volume` returns."""
    scale = np.array([new / old for old, new in zip(spacing_mm, target_mm, strict=True)])[::-1]
    change = np.eye(4)
    change[:3, :3] = np.diag(scale)
    change[:3, 3] = (scale - 1) / 2
    moved: npt.NDArray[np.float64] = affine @ change
    return moved


def resize_longest(image: Pixels, size_px: int) -> npt.NDArray[np.float32]:
    """Return `(H, W)` or `(H, W, 3)` as float32 with the longest side `size_px` and the same aspect."""
    height, width = image.shape[:2]
    factor = size_px / max(height, width)
    sizes = (max(1, round(height * factor)), max(1, round(width * factor)))
    return _resample_plane(image, [axis_weights(lines, size, size / lines) for lines, size in zip((height, width), sizes, strict=True)])


def round_to(values: npt.NDArray[np.floating[Any]], dtype: type[np.integer[Any]]) -> Pixels:
    """Return the values rounded half to even and clipped to the range of `dtype`."""
    limits = np.iinfo(dtype)
    rounded: Pixels = np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
    return rounded
