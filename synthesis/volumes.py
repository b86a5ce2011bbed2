"""Volumes on their way to a generator and back: one small grid and 8 bits for all of a task, then the unit, spacing and file of a stored volume.

The ranges of values are fixed, none is fitted, so nothing can leak. A volume is stretched to the grid along each axis, nothing is cut off; what was
generated gets the spacing that gives it the median extent of the train volumes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from curation.errors import UsageError
from curation.harmonize.resample import resample_volume
from curation.pixels import Pixels, decode
from curation.project import Project
from curation.shards import Place, ShardReader

VALUE_RANGES: dict[str, tuple[float, float]] = {"HU": (-1024.0, 1536.0), "z": (-5.0, 10.0), "SUV": (0.0, 25.5)}
"""What is black and white, by unit: Hounsfield units, robust z-scores of MR, standardised uptake values.

What lies outside cannot be generated, and its lack would tell a stored volume from real ones. Of 38 real MR volumes 36 lie inside these z-scores;
between -3 and 5, which is what people are shown, lay 8, since air is at about -3.4.
"""
PICTURE_SLICES = 4


def is_volume_task(task: str) -> bool:
    """Return whether a learning task, as `ct-3d`, is one of volumes."""
    return task.endswith("-3d")


def read_volumes(project: Project, rows: pl.DataFrame, slices: int, size_px: int) -> npt.NDArray[np.uint8]:
    """Return the stored volumes of rows as `(N, slices, size_px, size_px)` uint8, in the order of the rows.

    Raises:
        UsageError: volumes of a unit that no range is known for.
    """
    shrunk = np.empty((rows.height, slices, size_px, size_px), np.uint8)
    with ShardReader(*project.shard_folders()) as shards:
        places = rows.select("shard", "offset", "size_bytes", "suffix", "value_unit").iter_rows()
        for target, (shard, offset, size, suffix, unit) in zip(shrunk, places, strict=True):
            target[...] = shrink_volume(decode(shards.read(Place(shard, offset, size)), suffix), unit, target.shape)
    return shrunk


def shrink_volume(volume: Pixels, unit: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return a volume on the grid `shape`, its range of values as 0 to 255.

    Args:
        volume: `(D, H, W)` int16 or float32.
        unit: what a value means.
        shape: slices, rows, columns of the answer; along each axis it is averaged where it shrinks, interpolated where it grows.

    Raises:
        UsageError: the unit has no known range.
    """
    low, high = value_range(unit)
    small = resample_volume(np.clip(volume, low, high), tuple(1 / size for size in volume.shape), tuple(1 / size for size in shape))
    return np.asarray(np.clip(np.rint((small - low) * (255 / (high - low))), 0, 255), dtype=np.uint8)


def value_range(unit: str) -> tuple[float, float]:
    """Return the values that become 0 and 255.

    Raises:
        UsageError: the unit has no known range.
    """
    if unit not in VALUE_RANGES:
        raise UsageError(f"volumes in {unit} cannot be generated, only those in {', '.join(VALUE_RANGES)}: harmonize them first (`harmonize` in the recipe)")
    return VALUE_RANGES[unit]


def restore_values(levels: Pixels, unit: str) -> Pixels:
    """Return gray levels 0 to 255, whole or not, as values of a unit: whole int16 Hounsfield units, else float32.

    Example:
        Level 102.3 of HU is 3 HU.
    """
    low, high = value_range(unit)
    values = low + np.asarray(levels, np.float64) * ((high - low) / 255)
    return np.rint(values).astype(np.int16) if unit == "HU" else values.astype(np.float32)


def middle_spacing_mm(rows: pl.DataFrame, shape: tuple[int, ...]) -> list[float]:
    """Return the spacing in mm of slices, rows, columns that gives a volume of `shape` the median extent of the rows; 1 mm where nobody knows.

    Args:
        rows: train rows, volumes.
        shape: slices, rows, columns of what was generated.
    """
    known = rows.filter(pl.col("spacing_mm").list.len() == 3)
    if known.is_empty():
        return [1.0, 1.0, 1.0]
    sizes = ("slices", "rows", "columns")
    extents_mm = known.select((pl.col("spacing_mm").list.get(axis) * pl.col(name)).median().alias(name) for axis, name in enumerate(sizes))
    return [round(float(extent) / size, 6) for extent, size in zip(extents_mm.row(0), shape, strict=True)]


def centred_affine(spacing_mm: Sequence[float], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the `(4, 4)` affine, voxel index (column, row, slice) to RAS+ millimetres, with the volume's middle at the origin."""
    affine = np.diag([*reversed(spacing_mm), 1.0])
    affine[:3, 3] = [-step * (size - 1) / 2 for step, size in zip(reversed(spacing_mm), reversed(shape), strict=True)]
    return affine


def as_picture(volume: Pixels, slices: int = PICTURE_SLICES) -> npt.NDArray[np.uint8]:
    """Return `slices` evenly spread axial slices of a `(D, H, W)` volume of gray levels, one below the other, as `(slices * H, W)` uint8.

    One column, so that the mirrored picture is the picture of the mirrored volume. Screens and grids of samples look at this.
    """
    depth = volume.shape[0]
    chosen = [int((number + 0.5) * depth / slices) for number in range(min(slices, depth))]
    return np.concatenate([np.clip(np.rint(volume[place]), 0, 255).astype(np.uint8) for place in chosen])
