"""Borders of X-rays: frames of one value, and what the collimator kept dark."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from curation.pixels import Pixels

Crop = Literal["none", "border", "collimation"]
MOST_CUT = 0.4
"""Most that is cut off an axis, as a share; an image that would lose more is left as it is."""

FLAT = 0.01
DARK = 0.08


class Box(NamedTuple):
    """What is kept: rows top to bottom, columns left to right, ends not included."""

    top: int
    bottom: int
    left: int
    right: int


def find_box(image: Pixels, crop: Crop) -> Box:
    """Return the field of the image.

    `border`: lines at an edge go while they hold one value (deviation below 1 % of the image's range). `collimation`: also while 95 % of a line is darker
    than 8 % of the way from the image's 1st to its 99th percentile.

    Args:
        image: `(H, W)`, displayed values of MONOCHROME2.
        crop: which lines go.
    """
    values = np.asarray(image, np.float32)
    whole = Box(0, values.shape[0], 0, values.shape[1])
    low, high = np.percentile(values, (1, 99))
    if crop == "none" or high <= low:
        return whole
    box = whole
    for _ in range(2):  # once the dark columns are gone, rows show what they hold
        field = values[box.top : box.bottom, box.left : box.right]
        rows, columns = (_kept_lines(lines, float(low), float(high), crop) for lines in (field, field.T))
        box = Box(box.top + rows[0], box.top + rows[1], box.left + columns[0], box.left + columns[1])
        if box.bottom <= box.top or box.right <= box.left:
            return whole
    kept = ((box.bottom - box.top) / whole.bottom, (box.right - box.left) / whole.right)
    return box if min(kept) >= 1 - MOST_CUT else whole


def _kept_lines(lines: Pixels, low: float, high: float, crop: Crop) -> tuple[int, int]:
    """Return the first line to keep and the first after the last one."""
    empty = lines.std(axis=1) < FLAT * (high - low)
    if crop == "collimation":
        empty |= np.percentile(lines, 95, axis=1) < low + DARK * (high - low)
    full = np.flatnonzero(~empty)
    return (int(full[0]), int(full[-1]) + 1) if len(full) else (0, 0)


def apply_box(image: Pixels, box: Box) -> Pixels:
    """Return the part of a `(H, W)` image or label map within the box, as a view."""
    return image[box.top : box.bottom, box.left : box.right]
