"""Colour images: RGB, a target size, on request under a gray lamp or in the stains of a reference."""

from __future__ import annotations

import numpy as np

from curation.errors import ImageError
from curation.harmonize.constancy import shades_of_gray
from curation.harmonize.resample import resize_longest, round_to
from curation.harmonize.stain_macenko import REFERENCE, Stains, apply_macenko
from curation.harmonize.stain_reinhard import Tone, apply_reinhard
from curation.pixels import Pixels
from curation.recipe import ColourSettings


def harmonize_colour(image: Pixels, settings: ColourSettings) -> Pixels:
    """Return the image as `(H, W, 3)` uint8 RGB with the target size.

    Args:
        image: `(H, W, 3)` uint8 RGB, or `(H, W)` uint8 gray, which becomes three equal channels.
        settings: the longest side, colour constancy, stains.

    Raises:
        ImageError: `DTYPE`, values are not 8 bits deep; `NO_TISSUE`, stains are asked for and there are none.
    """
    if image.dtype != np.uint8:
        raise ImageError("DTYPE", "a colour image has values that are not 8 bits deep")
    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    if max(colour.shape[:2]) != settings.size_px:
        colour = round_to(resize_longest(colour, settings.size_px), np.uint8)
    if settings.stain != "none":
        colour = _stained(colour, settings)
    if settings.constancy == "shades_of_gray":
        colour = shades_of_gray(colour)
    return np.ascontiguousarray(colour)


def _stained(colour: Pixels, settings: ColourSettings) -> Pixels:
    """Return the image in the stains of the reference."""
    numbers = np.array(settings.stain_reference)
    if settings.stain == "reinhard":
        return apply_reinhard(colour, Tone(numbers[:3], numbers[3:]))
    return apply_macenko(colour, Stains(numbers[:6].reshape(2, 3).T, numbers[6:]) if len(numbers) else REFERENCE)
