"""Colour images: RGB, a target size."""

from __future__ import annotations

import numpy as np

from curation.errors import ImageError
from curation.harmonize.resample import resize_longest, round_to
from curation.pixels import Pixels
from curation.recipe import ColourSettings


def harmonize_colour(image: Pixels, settings: ColourSettings) -> Pixels:
    """Return the image as `(H, W, 3)` uint8 RGB with the target size.

    Args:
        image: `(H, W, 3)` uint8 RGB, or `(H, W)` uint8 gray, which becomes three equal channels.
        settings: the longest side.

    Raises:
        ImageError: `DTYPE`, values are not 8 bits deep.
    """
    if image.dtype != np.uint8:
        raise ImageError("DTYPE", "a colour image has values that are not 8 bits deep")
    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    if max(colour.shape[:2]) == settings.size_px:
        return np.ascontiguousarray(colour)
    return round_to(resize_longest(colour, settings.size_px), np.uint8)
