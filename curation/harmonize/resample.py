"""Resampling per axis in float32: area averages downwards, linear or cubic interpolation upwards, exact scale factors; label maps: `label_maps`.

Integers are never interpolated as integers: they are rounded once, at the end (`round_to`).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError
from curation.pixels import Pixels

MAX_VOXELS = 2**29
Upwards = Literal["linear", "cubic"]


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
    sizes = [max(1, round(size * old / new)) for size, old, new in zip(volume.shape, spacing_mm, target_mm, strict=True)]
    if np.prod(sizes, dtype=np.int64) > MAX_VOXELS:
        raise ImageError("TOO_LARGE", "the volume would have more than half a billion voxels at the target spacing")
    factors = [old / new for old, new in zip(spacing_mm, target_mm, strict=True)]
    out = np.ascontiguousarray(volume, np.float32)
    depth, height = out.shape[:2]
    out = _resize(out.reshape(depth * height, -1), rows=None, columns=(sizes[2], factors[2]), upwards=upwards).reshape(depth, height, sizes[2])
    out = np.stack([_resize(plane, rows=(sizes[1], factors[1]), columns=None, upwards=upwards) for plane in out])
    return _resize(out.reshape(depth, -1), rows=(sizes[0], factors[0]), columns=None, upwards=upwards).reshape(sizes)


def _resize(
    plane: npt.NDArray[np.float32], rows: tuple[int, float] | None, columns: tuple[int, float] | None, upwards: Upwards = "linear"
) -> npt.NDArray[np.float32]:
    """Resize one axis of `(H, W)` float32 to (size, exact factor)."""
    import cv2

    size, factor = rows or columns or (0, 1.0)
    if factor == 1.0:
        return plane
    along = 0 if rows else 1
    if plane.shape[along] == 1:
        return np.repeat(plane, size, axis=along)
    if round(plane.shape[along] * factor) == plane.shape[along]:
        return _fit(_interpolate(plane, factor, along), size, along)
    scales = (1.0, factor) if rows else (factor, 1.0)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC if upwards == "cubic" else cv2.INTER_LINEAR
    try:
        resized = cv2.resize(plane, None, fx=scales[0], fy=scales[1], interpolation=method)
    except cv2.error:
        raise ImageError("RESAMPLE", "the volume cannot be resampled to the target spacing") from None
    return _fit(np.asarray(resized, np.float32), size, along)


def _interpolate(plane: npt.NDArray[np.float32], factor: float, along: int) -> npt.NDArray[np.float32]:
    """Return as many lines at positions `(i + 1/2) / factor - 1/2`, linearly: OpenCV copies when the size stays, whatever the factor."""
    last = plane.shape[along] - 1
    positions = np.clip((np.arange(last + 1) + 0.5) / factor - 0.5, 0, last)
    before = np.minimum(positions.astype(np.int64), max(last - 1, 0))
    weight = (positions - before).astype(np.float32).reshape((-1, 1) if along == 0 else (1, -1))
    lower, upper = plane.take(before, axis=along), plane.take(np.minimum(before + 1, last), axis=along)
    mixed: npt.NDArray[np.float32] = lower + weight * (upper - lower)
    return mixed


def _fit(plane: npt.NDArray[np.float32], size: int, along: int) -> npt.NDArray[np.float32]:
    """Cut or repeat the last line, so that the axis has `size` (OpenCV may round a half the other way)."""
    missing = size - plane.shape[along]
    if missing <= 0:
        kept: npt.NDArray[np.float32] = plane[:size] if along == 0 else plane[:, :size]
        return kept
    longer: npt.NDArray[np.float32] = np.concatenate([plane, np.repeat(plane.take([-1], axis=along), missing, axis=along)], axis=along)
    return longer


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
    import cv2

    height, width = image.shape[:2]
    factor = size_px / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    try:
        return np.asarray(cv2.resize(np.ascontiguousarray(image, np.float32), size, interpolation=method), np.float32)
    except cv2.error:
        raise ImageError("RESAMPLE", "the image cannot be resized to the target size") from None


def round_to(values: npt.NDArray[np.floating[Any]], dtype: type[np.integer[Any]]) -> Pixels:
    """Return the values rounded half to even and clipped to the range of `dtype`."""
    limits = np.iinfo(dtype)
    rounded: Pixels = np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
    return rounded
