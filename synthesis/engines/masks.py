"""Where an image may be changed: the finding that a mask shows, one that is found by its colour, or an ellipse.

Every mask is `(S, S)` uint8, 1 where the image may change. An edit is blended with a soft rim that lies inside the mask, so pixels outside stay as they are.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels

Mask = npt.NDArray[np.uint8]
MaskKind = Literal["lesion", "ellipse", "whole"]

RIM_SHARE = 16
"""The rim, a sixteenth of the image's side, shows what has no finding."""
LEAST_SHARE, MOST_SHARE = 0.01, 0.9
"""A finding that covers less or more of the image was not found."""


def make_mask(image: Pixels, kind: MaskKind, seed: int) -> Mask:
    """Return the mask of an image: `lesion` is found in it (an ellipse where that fails), `ellipse` comes from the seed, `whole` is everything."""
    if kind == "whole":
        return np.ones(image.shape[:2], np.uint8)
    found = find_lesion(image) if kind == "lesion" else None
    return random_ellipse(image.shape[0], seed) if found is None else found


def find_lesion(image: Pixels) -> Mask | None:
    """Return the mask of what differs most in colour from the image's rim (Otsu's threshold, 1979), None when nothing stands out.

    Meant for dermoscopy: one lesion on skin. Of the parts found the largest is taken, an inner one before one that touches the rim; holes are filled.

    Args:
        image: `(S, S)` or `(S, S, 3)` uint8 RGB.
    """
    import cv2
    from scipy import ndimage

    side = image.shape[0]
    lab = image[..., None].astype(np.float32) if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    smooth = ndimage.gaussian_filter(lab, (side / 64, side / 64, 0))
    distance = np.linalg.norm(smooth - np.median(smooth[_rim(side)], axis=0), axis=2)
    scaled = np.asarray(255 * distance / max(1.0, float(distance.max())), np.uint8)
    _, far = cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    parts, number = ndimage.label(far)
    if number == 0:
        return None
    sizes = ndimage.sum_labels(far, parts, range(1, number + 1)) * (1 - 0.5 * _touches(parts, number))
    lesion = ndimage.binary_fill_holes(parts == 1 + int(np.argmax(sizes)))
    grown = ndimage.binary_dilation(lesion, iterations=max(1, side // 32))
    return np.asarray(grown, np.uint8) if LEAST_SHARE <= grown.mean() <= MOST_SHARE else None


def _rim(side: int) -> npt.NDArray[np.bool_]:
    """Return `(S, S)`, true at the rim."""
    rim = np.ones((side, side), bool)
    width = max(1, side // RIM_SHARE)
    rim[width:-width, width:-width] = False
    return rim


def _touches(parts: npt.NDArray[np.int32], number: int) -> npt.NDArray[np.float64]:
    """Return 1 for each part that reaches the image's border, else 0."""
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    return np.isin(np.arange(1, number + 1), border).astype(np.float64)


def random_ellipse(side: int, seed: int) -> Mask:
    """Return an ellipse of random place, axes (a sixth to a third of the side, halved) and angle."""
    import cv2

    random = np.random.default_rng([seed, side])
    centre = random.uniform(0.35 * side, 0.65 * side, 2)
    axes = random.uniform(side / 6, side / 3, 2)
    mask = np.zeros((side, side), np.uint8)
    cv2.ellipse(mask, (tuple(centre.tolist()), tuple((2 * axes).tolist()), float(random.uniform(0, 180))), 1, -1)
    return mask


def resize_mask(mask: Mask, side: int) -> Mask:
    """Return the mask at another size, `(side, side)`, still 0 and 1."""
    import cv2

    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)


def soften(mask: Mask, width_px: float) -> npt.NDArray[np.float32]:
    """Return `(S, S)` float32 in [0, 1]: 0 outside the mask, rising to 1 over `width_px` inside it; the image's border is no rim.

    Example:
        In one row 0 0 1 1 1 with a width of 2 gives 0, 0, 0.5, 1, 1.
    """
    from scipy import ndimage

    if mask.all() or width_px == 0:
        return mask.astype(np.float32)
    return np.asarray(np.clip(ndimage.distance_transform_edt(mask) / width_px, 0, 1), np.float32)
