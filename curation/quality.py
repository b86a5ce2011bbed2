"""Numbers that say how an image looks, and a hash that images that look alike share: pure functions of 8-bit pictures.

They are taken from the stored image, so from the same size in every source; of a volume, from its middle slice.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels

Gray = npt.NDArray[np.uint8]
HASH_PX, HASH_BITS = 32, 64
LOW_FREQUENCIES = 8
SHOWN_PERCENT = (1.0, 99.0)


class Quality(NamedTuple):
    """How an image looks; names are columns of the record.

    Attributes:
        brightness: mean gray, 0 (black) to 1.
        contrast: standard deviation of gray ("RMS contrast", E. Peli, 1990), 0 to 0.5.
        sharpness: variance of the Laplacian of gray in 0..255 (J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000); 0 and up,
            blurred images are low.
        entropy_bits: Shannon entropy of the histogram of 256 grays, 0 (one gray) to 8.
        clipped: share of pixels that are black or white, 0 to 1.
        saturation: mean of (largest - smallest channel) / largest channel, 0 (gray) to 1; None for gray images.
    """

    brightness: float
    contrast: float
    sharpness: float
    entropy_bits: float
    clipped: float
    saturation: float | None


def look_of(pixels: Pixels, *, is_volume: bool) -> dict[str, Any]:
    """Return the columns `perceptual_hash` and those of `Quality`.

    Args:
        pixels: `(H, W)` uint8 or uint16, `(H, W, 3)` uint8 RGB, or `(D, H, W)` of any real type.
        is_volume: axes are slices, rows, columns.
    """
    import cv2

    picture = _shown(pixels[len(pixels) // 2]) if is_volume else pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    gray = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) if picture.ndim == 3 else picture
    return {"perceptual_hash": f"{perceptual_hash(gray):016x}", **quality_of(gray, picture if picture.ndim == 3 else None)._asdict()}


def _shown(plane: Pixels) -> Gray:
    """Return a slice in 8 bits, from its first to its last percentile."""
    low, high = np.percentile(plane, SHOWN_PERCENT)
    share = (plane.astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, 1e-6))
    return np.rint(np.clip(share, 0, 255)).astype(np.uint8)


def quality_of(gray: Gray, colour: Gray | None = None) -> Quality:
    """Return how an image looks.

    Args:
        gray: `(H, W)`.
        colour: `(H, W, 3)` RGB, the same image.
    """
    import cv2

    counts = np.asarray(cv2.calcHist([gray], [0], None, [256], [0, 256]), np.float64).ravel()
    share = counts / counts.sum()
    mean = float(share @ np.arange(256))
    spread = float(np.sqrt(max(share @ (np.arange(256.0) - mean) ** 2, 0)))
    edges = float(np.asarray(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1]).item()) ** 2
    used = share[share > 0]
    numbers = (mean / 255, spread / 255, edges, float(-(used @ np.log2(used))) + 0.0, float(share[0] + share[255]))
    brightness, contrast, sharpness, entropy_bits, clipped = (round(number, 4) for number in numbers)
    return Quality(brightness, contrast, sharpness, entropy_bits, clipped, None if colour is None else _saturation(colour))


def _saturation(colour: Gray) -> float:
    import cv2

    return round(float(np.asarray(cv2.mean(cv2.cvtColor(colour, cv2.COLOR_RGB2HSV)))[1]) / 255, 4)


def perceptual_hash(gray: Gray) -> int:
    """Return the 64-bit pHash of an image, `(H, W)`: signs of the 8 x 8 lowest frequencies of its cosine transform at 32 x 32 px, against their median.

    After C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010. Bits from the most significant on, row by row.
    """
    import cv2

    small = cv2.resize(gray, (HASH_PX, HASH_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = _low_cosines() @ small @ _low_cosines().T
    ordered = np.sort(low, axis=None)
    median = (ordered[HASH_BITS // 2 - 1] + ordered[HASH_BITS // 2]) / 2
    return int.from_bytes(np.packbits(low > median).tobytes(), "big")


@cache
def _low_cosines() -> npt.NDArray[np.float32]:
    """Return `(8, 32)`, the first rows of the cosine transform (DCT-II, not normalized: the signs do not need it)."""
    place = (2 * np.arange(HASH_PX) + 1) * np.pi / (2 * HASH_PX)
    return np.cos(np.arange(LOW_FREQUENCIES)[:, None] * place).astype(np.float32)
