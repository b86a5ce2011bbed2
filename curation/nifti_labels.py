"""Label maps in NIfTI files of their own: whole numbers on exactly the grid of their image, else they are refused and the image stays without."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError
from curation.nifti import NiftiFile
from curation.nifti_header import corner_distance_mm

MOST_APART = 0.05
"""Largest distance between the corners of image and label map, as a share of the smallest spacing: more than rounding, less than a shift that shows."""
MAX_VALUE = int(np.iinfo(np.uint16).max)


class LabelMap(NamedTuple):
    """Values `(D, H, W)` uint8 or uint16, 0 is the background; what each other value means; and whether structures of several files overlapped."""

    values: npt.NDArray[np.uint8 | np.uint16]
    names: dict[int, str]
    has_overlap: bool = False


def read_label_map(file: NiftiFile, image: NiftiFile, structure: str | None, names: dict[str, str]) -> LabelMap:
    """Return the label map in a file.

    Args:
        file: the file of the label map.
        image: its image.
        structure: what the file's name says that its only value means.
        names: value → name, from the recipe.

    Raises:
        ImageError: LABEL_MISMATCH (another shape or place than the image), SLOPE (scaled, so that the stored values are not the labels) or LABEL_VALUES (not
            whole numbers from 0 to 65535).
    """
    slope, intercept = float(file.header["scl_slope"]), float(file.header["scl_inter"])
    if slope not in (0, 1) or (slope == 1 and intercept != 0):
        raise ImageError("SLOPE", "the label map has a slope or intercept, so its stored values are not the labels")
    if file.shape != (*image.shape[:3], 1):
        raise ImageError("LABEL_MISMATCH", "the label map has another shape than its image")
    if corner_distance_mm(file.affine, image.affine, image.shape[:3]) > MOST_APART * min(image.spacing_mm):
        raise ImageError("LABEL_MISMATCH", "the label map lies at another place than its image")
    values = file.raw[0]
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > MAX_VALUE or not file.is_whole:
        raise ImageError("LABEL_VALUES", "a label map holds values that are not whole numbers from 0 to 65535")
    found = [int(value) for value in np.unique(values) if value > 0]
    return LabelMap(_smallest(values), {value: names.get(str(value)) or (structure if len(found) == 1 else None) or f"structure-{value}" for value in found})


def join_label_maps(first: LabelMap, second: LabelMap) -> LabelMap:
    """Return one label map of two of the same image; the values of the second follow those of the first.

    A voxel holds one value: where structures overlap, the smaller one is on top, so that a tumour is not hidden by its organ.

    Raises:
        ImageError: LABEL_VALUES, more than 65535 values together.
    """
    start = max(first.names, default=0)
    if start + max(second.names, default=0) > MAX_VALUE:
        raise ImageError("LABEL_VALUES", "the label maps of one image have too many values together")
    sizes = [np.bincount(label_map.values.ravel())[label_map.values] for label_map in (first, second)]
    overlap = (first.values > 0) & (second.values > 0)
    on_top = (second.values > 0) & (~overlap | (sizes[1] <= sizes[0]))
    joined = np.where(on_top, second.values.astype(np.int64) + start, first.values)
    names = {value + start: f"structure-{value + start}" if name == f"structure-{value}" else name for value, name in second.names.items()}
    return LabelMap(_smallest(joined), {**first.names, **names}, first.has_overlap or bool(overlap.any()))


def _smallest(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8 | np.uint16]:
    """Return the values as uint8, or as uint16 when they are larger."""
    dtype = np.uint8 if values.max() <= np.iinfo(np.uint8).max else np.uint16
    return np.ascontiguousarray(values.astype(dtype))
