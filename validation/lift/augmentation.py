"""Classical augmentation of train images: the control that every batch of synthetic images has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curation.pixels import Pixels

DEGREES = 20.0
CROP = 0.15
INTENSITY = 0.15


def augment(image: Pixels, seed: int, flips: Sequence[str]) -> Pixels:
    """Return an image turned, cropped, flipped and changed in brightness and contrast by random amounts.

    Args:
        image: `(H, W)` or `(H, W, 3)`, any dtype; the result has the same shape and dtype.
        seed: of the amounts.
        flips: `horizontal`, `vertical`, both or none: those that keep an image plausible.
    """
    import cv2

    random = np.random.default_rng(seed)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-DEGREES, DEGREES), 1 / (1 - random.uniform(0, CROP)))
    changed = cv2.warpAffine(image.astype(np.float32), turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    for axis, name in ((1, "horizontal"), (0, "vertical")):
        if name in flips and random.random() < 0.5:
            changed = np.flip(changed, axis)
    centre, spread = float(changed.mean()), float(changed.std())
    changed = centre + (changed - centre) * random.uniform(1 - INTENSITY, 1 + INTENSITY) + spread * random.uniform(-INTENSITY, INTENSITY)
    if image.dtype.kind in "ui":
        bounds = np.iinfo(image.dtype)
        changed = np.clip(np.rint(changed), bounds.min, bounds.max)
    return np.ascontiguousarray(changed, dtype=image.dtype)
