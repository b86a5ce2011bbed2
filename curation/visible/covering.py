"""Covering lines of text: as far as their letters go, with the value of what is around them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels
from curation.visible.candidates import Gray

Mask = npt.NDArray[np.bool_]
Corners = npt.NDArray[np.float32]

REACH = 6.0
GAP = 1.3
LETTER_SHARE = 0.55


def stretched(corners: Corners, picture: Gray) -> Corners:
    """Return the corners of a line, moved outwards along it as long as letters go on; a reader often leaves out the first or last ones.

    A column across the line belongs to a letter when its contrast is more than half of what the columns of the line have; a gap of 1.3 letter heights ends it.

    Args:
        corners: `(4, 2)` x and y in px.
        picture: `(H, W)` gray or `(H, W, 3)` RGB, uint8.
    """
    import cv2

    middle, along, across, length, height = _axes(corners)
    reach = REACH * height
    source = np.array([middle - along * (length / 2 + reach) - across * height / 2, middle + along * (length / 2 + reach) - across * height / 2,
                       middle - along * (length / 2 + reach) + across * height / 2], np.float32)  # fmt: skip
    size = (max(3, round(length + 2 * reach)), max(3, round(height)))
    target = np.array([[0, 0], [size[0], 0], [0, size[1]]], np.float32)
    strip = np.asarray(cv2.warpAffine(picture, cv2.getAffineTransform(source, target), size, borderMode=cv2.BORDER_REPLICATE))
    contrast = np.ptp(strip.reshape(size[1], size[0], -1).astype(np.int16), axis=0).max(axis=1)
    left, right = round(reach), round(reach + length)
    is_letter = contrast > LETTER_SHARE * float(np.percentile(contrast[left:right], 75))
    more_left, more_right = _going_on(is_letter[:left][::-1], GAP * height), _going_on(is_letter[right:], GAP * height)
    ends = middle - along * (length / 2 + more_left), middle + along * (length / 2 + more_right)
    return np.array([end + side * across * height / 2 for end, side in ((ends[0], -1), (ends[1], -1), (ends[1], 1), (ends[0], 1))], np.float32)


def _going_on(is_letter: Mask, gap: float) -> float:
    """Return up to which column letters go on, with no gap wider than `gap` between them."""
    last = 0
    for column in np.flatnonzero(is_letter):
        if column - last > gap:
            break
        last = int(column) + 1
    return float(last)


def _axes(corners: Corners) -> tuple[Corners, Corners, Corners, float, float]:
    """Return the middle of a line, its directions along and across, its length and its height."""
    import cv2

    middle, (width, height), degrees = cv2.minAreaRect(corners)
    turn = np.deg2rad(degrees if width >= height else degrees + 90)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    return np.asarray(middle, np.float32), along.astype(np.float32), across.astype(np.float32), max(width, height), max(1.0, min(width, height))


def mask_of(places: list[Corners], shape: tuple[int, ...]) -> Mask:
    """Return the pixels of the lines, a little wider than they were read and longer by half a letter at each end."""
    import cv2

    mask = np.zeros(shape, np.uint8)
    for corners in places:
        middle, (width, height), angle = cv2.minAreaRect(corners)
        low = min(width, height)
        grown = (middle, (width + 4 + (0.7 if width >= height else 0.2) * low, height + 4 + (0.7 if height > width else 0.2) * low), angle)
        cv2.fillConvexPoly(mask, np.rint(cv2.boxPoints(grown)).astype(np.int32), 1)
    return mask.astype(bool)


def covered(frame: Pixels, mask: Mask) -> Pixels:
    """Return a copy in which each connected place of the mask has one value: the median of the pixels around it."""
    import cv2

    clean = frame.copy()
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    kernel = np.ones((7, 7), np.uint8)
    for number in range(1, count):
        place = labels == number
        ring = cv2.dilate(place.astype(np.uint8), kernel).astype(bool) & ~mask
        clean[place] = np.median(frame[ring], axis=0).astype(frame.dtype) if ring.any() else 0
    return clean
