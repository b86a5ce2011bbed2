"""The variety of a set of images: how alike two of them are, by structural similarity at several scales (MS-SSIM)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels
from synthesis.training_set import shrink_square

Doubles = npt.NDArray[np.float64]

PAIRS = 100
WINDOW_PX = 11
WINDOW_SIGMA_PX = 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def mean_similarity(images: Sequence[Pixels], groups: Sequence[str], seed: int = 0) -> float | None:
    """Return the mean MS-SSIM of pairs of images (Odena et al. 2017): 1 when all are the same, lower for more variety. None without a pair.

    Args:
        images: `(H, W)` or `(H, W, 3)` uint8; of two images of different sizes the middle squares are compared, the larger shrunk.
        groups: of each image; pairs are of two groups.
        seed: of the draw of at most `PAIRS` pairs.
    """
    first, second = np.triu_indices(len(images), 1)
    apart = np.asarray(groups)[first] != np.asarray(groups)[second] if len(first) else np.zeros(0, bool)
    first, second = first[apart], second[apart]
    if not len(first):
        return None
    chosen = np.random.default_rng(seed).permutation(len(first))[:PAIRS]
    return round(float(np.mean([ms_ssim(*_alike(images[first[pair]], images[second[pair]])) for pair in chosen])), 4)


def _alike(one: Pixels, other: Pixels) -> tuple[Pixels, Pixels]:
    """Return two images as they are, or as middle squares of one size."""
    if one.shape == other.shape:
        return one, other
    side = min(*one.shape[:2], *other.shape[:2])
    return shrink_square(one, side), shrink_square(other, side)


def ms_ssim(one: Pixels, other: Pixels) -> float:
    """Multi-scale structural similarity of two images (Wang, Simoncelli and Bovik 2003), of their gray values.

    Product over scales of (mean contrast-structure term)^weight, at the coarsest of (mean product with the luminance term)^weight, in 11-px Gaussian
    windows. An image is halved until a window no longer fits; the published weights of the scales that are left are scaled to sum 1. Negative
    means count as 0. Range: 0 to 1; 1 for equal images.

    Worked value: an image with itself: 1; a flat image of 0 with one of 255: luminance term C1 / (255² + C1) = 1.0e-4 at one scale.

    Args:
        one: `(H, W)` or `(H, W, 3)` uint8, either side at least 11 px.
        other: the same shape.
    """
    x, y = _gray(one), _gray(other)
    scales = min(len(SCALE_WEIGHTS), int(np.log2(min(x.shape) / WINDOW_PX)) + 1)
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    similarity = 1.0
    for scale, weight in enumerate(weights):
        luminance, structure = _terms(x, y)
        term = structure * luminance if scale == scales - 1 else structure
        similarity *= max(0.0, float(term.mean())) ** float(weight)
        x, y = _halved(x), _halved(y)
    return similarity


def _gray(image: Pixels) -> Doubles:
    """Return `(H, W)` float64 in 0 to 255: the mean over the channels."""
    values = image.astype(np.float64)
    return values if values.ndim == 2 else np.asarray(values.mean(axis=2), dtype=np.float64)


def _terms(x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """Return the luminance term and the contrast-structure term of every window that lies inside."""
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x, variance_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    luminance: Doubles = (2 * mean_x * mean_y + LUMINANCE) / (mean_x**2 + mean_y**2 + LUMINANCE)
    structure: Doubles = (2 * covariance + CONTRAST) / (variance_x + variance_y + CONTRAST)
    return luminance, structure


def _smooth(values: Doubles) -> Doubles:
    """Return the Gaussian means of the windows that lie inside the image."""
    import cv2

    edge = WINDOW_PX // 2
    means = np.asarray(cv2.GaussianBlur(values, (WINDOW_PX, WINDOW_PX), WINDOW_SIGMA_PX), dtype=np.float64)
    return means[edge : values.shape[0] - edge, edge : values.shape[1] - edge]


def _halved(values: Doubles) -> Doubles:
    """Return the means of 2 × 2 pixels."""
    rows, columns = values.shape[0] // 2 * 2, values.shape[1] // 2 * 2
    return np.asarray(values[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)), dtype=np.float64)
