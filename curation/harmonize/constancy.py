"""Colour constancy: the colour of the lamp goes, the colour of the skin stays."""

from __future__ import annotations

import numpy as np

from curation.harmonize.resample import round_to
from curation.pixels import Pixels

POWER = 6.0


def shades_of_gray(image: Pixels, power: float = POWER) -> Pixels:
    """Return the image as under a gray lamp (Finlayson and Trezzi, CIC 12, 2004; power 6 for dermoscopy: Barata et al., IEEE JBHI 19, 2015).

    The lamp is `e_c = (mean x_c^p)^(1/p)` of each channel, brought to length 1; a channel becomes `x_c / (sqrt(3) e_c)`.

    Worked value: an image that is (200, 100, 100) everywhere: e = (.816, .408, .408), and all channels become 141.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        power: of the mean; 1 is gray world, infinity would be the brightest pixel.
    """
    values = image.astype(np.float32)
    lamp = (values.astype(np.float64) / 255.0) ** power
    lamp = lamp.mean((0, 1)) ** (1 / power)
    length = float(np.linalg.norm(lamp))
    if length == 0 or lamp.min() < 1e-3 * length:
        return image
    return round_to(values / np.float32(np.sqrt(3) * lamp / length), np.uint8)
