"""CLAHE: local contrast of X-rays, limited so that noise is not drawn out of flat places."""

from __future__ import annotations

import numpy as np

from curation.pixels import Pixels

TILES = (8, 8)


def equalize_locally(image: Pixels, clip_limit: float) -> Pixels:
    """Return the image after contrast-limited adaptive histogram equalization (Zuiderveld 1994), 8 × 8 tiles, same type.

    Args:
        image: `(H, W)` uint8 or uint16.
        clip_limit: most counts of a histogram bin, in multiples of the mean count; 1 hardly changes an image, 2 to 4 is usual.
    """
    import cv2

    return np.asarray(cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=TILES).apply(np.ascontiguousarray(image)))
