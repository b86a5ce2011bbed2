"""Macenko's stain normalization: the dyes of one laboratory become those of the reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError, UsageError
from curation.harmonize.resample import round_to
from curation.pixels import Pixels

Floats = npt.NDArray[np.float64]
LIGHT = 240.0
LEAST_DENSITY = 0.15
ANGLE_PERCENTILES = (1.0, 99.0)
LEAST_TISSUE = 100


class Stains(NamedTuple):
    """Optical density of haematoxylin and eosin.

    Attributes:
        vectors: `(3, 2)` unit vectors over red, green, blue; haematoxylin, eosin.
        strengths: `(2,)` 99th percentile of the concentration of each.
    """

    vectors: Floats
    strengths: Floats


REFERENCE = Stains(np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]]), np.array([1.9705, 1.0308]))
"""That of the authors' own program; `curaloop harmonize --fit` measures one on train instead."""


def fit_stains(image: Pixels) -> Stains:
    """Return the stains of one image (Macenko et al., ISBI 2009).

    Optical density `-ln((x + 1) / 240)` of tissue (more than 0.15 in each channel) is projected on the plane of its two largest principal components; the
    1st and 99th percentile of the angle there are the two stains. `(x + 1) / 240` is as in the authors' program.

    Args:
        image: `(H, W, 3)` uint8 RGB.

    Raises:
        ImageError: `NO_TISSUE`, fewer than 100 pixels are stained, or all in one colour.
    """
    density = _density(image)
    tissue = density[(density >= LEAST_DENSITY).all(axis=1)]
    if len(tissue) < LEAST_TISSUE:
        raise ImageError("NO_TISSUE", "too few pixels are stained, so the stains cannot be measured")
    _, axes = np.linalg.eigh(np.cov(tissue.T))
    plane = axes[:, [2, 1]] * np.where(axes[:, [2, 1]].sum(0) < 0, -1, 1)
    angle = np.arctan2(tissue @ plane[:, 1], tissue @ plane[:, 0])
    first, last = (plane @ [np.cos(edge), np.sin(edge)] for edge in np.percentile(angle, ANGLE_PERCENTILES))
    vectors = np.stack([first, last] if first[0] > last[0] else [last, first], axis=1)
    if np.linalg.matrix_rank(vectors, tol=1e-3) < 2:
        raise ImageError("NO_TISSUE", "the image is stained in one colour, so two stains cannot be told apart")
    return Stains(vectors, np.percentile(_concentrations(density, vectors), 99, axis=1))


def average_stains(stains: Iterable[Stains]) -> Stains:
    """Return the reference of train images: the mean vectors, brought to length 1, and the median strengths.

    Raises:
        UsageError: there is no image.
    """
    found = list(stains)
    if not found:
        raise UsageError("a stain reference needs at least one stained train image")
    vectors = np.mean([one.vectors for one in found], axis=0)
    return Stains(vectors / np.linalg.norm(vectors, axis=0), np.median([one.strengths for one in found], axis=0))


def apply_macenko(image: Pixels, reference: Stains = REFERENCE) -> Pixels:
    """Return the `(H, W, 3)` uint8 RGB image as if it had been stained like the reference.

    Concentrations C of the own stains, `C · strength_ref / strength_own`, times the reference's vectors, back to light: `240 exp(-V C)`.

    Worked value: an image stained exactly like the reference comes back, up to rounding and the + 1 of the density.

    Raises:
        ImageError: `NO_TISSUE`.
    """
    own = fit_stains(image)
    concentrations = _concentrations(_density(image), own.vectors) * (reference.strengths / own.strengths)[:, None]
    light = LIGHT * np.exp(-(reference.vectors @ concentrations))
    return round_to(light.T.reshape(image.shape), np.uint8)


def _density(image: Pixels) -> Floats:
    """Return `(N, 3)` optical density."""
    return -np.log((image.reshape(-1, 3).astype(np.float64) + 1) / LIGHT)


def _concentrations(density: Floats, vectors: Floats) -> Floats:
    """Return `(2, N)`."""
    return np.asarray(np.linalg.lstsq(vectors, density.T, rcond=None)[0], np.float64)
