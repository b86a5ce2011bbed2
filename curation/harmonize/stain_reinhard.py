"""Reinhard's colour transfer: mean and spread of each channel of a perceptual colour space are those of the reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.harmonize.resample import round_to
from curation.pixels import Pixels

Floats = npt.NDArray[np.float64]

TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
TO_LAB = np.diag([1 / np.sqrt(3), 1 / np.sqrt(6), 1 / np.sqrt(2)]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])


class Tone(NamedTuple):
    """`(3,)` means and `(3,)` deviations of l, α and β."""

    mean: Floats
    deviation: Floats


def to_lab(image: Pixels) -> Floats:
    """Return `(H, W, 3)` uint8 RGB as lαβ (Ruderman, Cronin and Chiao, JOSA A 15, 1998): `M₂ ln(M₁ (x + 1))`.

    Worked value: black (0, 0, 0), cone responses .9996, .9993, .9973: l = -.0022, α = .0017, β = .0002; white is l = 9.602.
    """
    return np.asarray(np.log((image.astype(np.float64) + 1) @ TO_LMS.T) @ TO_LAB.T, np.float64)


def from_lab(lab: Floats) -> Pixels:
    """Return uint8 RGB of `(H, W, 3)` lαβ, the inverse of `to_lab`."""
    light = np.exp(np.clip(lab @ np.linalg.inv(TO_LAB).T, -20, 20)) @ np.linalg.inv(TO_LMS).T - 1
    return round_to(light, np.uint8)


def fit_tone(image: Pixels) -> Tone:
    """Return mean and deviation of the three channels of one image, all pixels."""
    lab = to_lab(image).reshape(-1, 3)
    return Tone(lab.mean(0), lab.std(0))


def average_tones(tones: Iterable[Tone]) -> Tone:
    """Return the reference of train images: the mean of means and of deviations.

    Raises:
        UsageError: there is no image.
    """
    found = list(tones)
    if not found:
        raise UsageError("a colour reference needs at least one train image")
    return Tone(np.mean([tone.mean for tone in found], axis=0), np.mean([tone.deviation for tone in found], axis=0))


def apply_reinhard(image: Pixels, reference: Tone) -> Pixels:
    """Return the `(H, W, 3)` uint8 RGB image with the tone of the reference (Reinhard et al., IEEE CG&A 21, 2001).

    `(x - mean) · deviation_ref / deviation + mean_ref` in lαβ. A channel without spread is only moved. Worked value: an image with the reference's own
    tone comes back, up to rounding.
    """
    own = fit_tone(image)
    gain = np.where(own.deviation > 1e-6, reference.deviation / np.maximum(own.deviation, 1e-6), 1.0)
    return from_lab((to_lab(image) - own.mean) * gain + reference.mean)
