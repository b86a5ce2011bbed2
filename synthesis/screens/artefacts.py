"""Artefacts of a source that a person can name: what generators leave in every image, measured without a network.

Four numbers an image: `residue` (what is finer than 0.8 px), `checkerboard` (power at a period of 2 px against its neighbours), `border` (the step at
the edge against the steps inside) and `colour` (mean of each channel, compared by the channel that differs most). Real and synthetic images of one class
are compared by how well each number alone tells them apart, beside the ratio of the power spectra, band by band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels
from synthesis.screens.shortcut import Auc, auc_of

Values = npt.NDArray[np.float64]

ARTEFACTS = ("residue", "checkerboard", "border", "colour")
BANDS = 8


@dataclass(frozen=True)
class Artefacts:
    """How the synthetic images of a class differ from the real ones.

    Attributes:
        aucs: how well each of `ARTEFACTS` alone tells them apart, turned so that it is at least .5.
        residue_ratio: mean residue of the synthetic images by that of the real ones; 1 is right, above it noise, below it blur.
        spectrum_ratio: mean power of the synthetic images by that of the real ones, in 8 bands from coarse to fine.
    """

    aucs: dict[str, Auc]
    residue_ratio: float
    spectrum_ratio: tuple[float, ...]


@dataclass(frozen=True)
class Traits:
    """What is measured of N images, each by itself.

    Attributes:
        numbers: for each of `ARTEFACTS` `(N, K)` numbers; of colours one a channel, else one.
        powers: `(N, BANDS)` of `radial_power`.
    """

    numbers: dict[str, Values]
    powers: Values

    def of(self, rows: Sequence[int]) -> Traits:
        """Return those of some of the images."""
        return Traits({name: values[rows] for name, values in self.numbers.items()}, self.powers[rows])


def measure_traits(images: Sequence[Pixels]) -> Traits:
    """Return what is measured of images, all `(H, W)` or all `(H, W, 3)` uint8; at least one."""
    spectra = [_spectral(image) for image in images]
    numbers = {
        "residue": [[residue(image)] for image in images],
        "checkerboard": [[board] for board, _ in spectra],
        "border": [[border_step(image)] for image in images],
        "colour": [np.atleast_1d(image.mean(axis=(0, 1))) for image in images],
    }
    return Traits({name: np.array(values, np.float64) for name, values in numbers.items()}, np.array([power for _, power in spectra]))


def compare_artefacts(
    real: Sequence[Pixels], synthetic: Sequence[Pixels], real_groups: Sequence[str], synthetic_groups: Sequence[str] | None = None
) -> Artefacts:
    """Return how synthetic images of a class differ from real ones, all `(H, W)` or all `(H, W, 3)` uint8; at least one of each.

    Every number depends on the size of a pixel: it names a source only when both kinds are as large as each other.
    """
    made = [f"synthetic {place}" for place in range(len(synthetic))] if synthetic_groups is None else list(synthetic_groups)
    return compare_traits(measure_traits(real), measure_traits(synthetic), real_groups, made)


def compare_traits(real: Traits, synthetic: Traits, real_groups: Sequence[str], synthetic_groups: Sequence[str]) -> Artefacts:
    """Return how synthetic images of a class differ from real ones, from what was measured of each."""
    sides = (real, synthetic)
    groups, is_made = np.array([*real_groups, *synthetic_groups]), np.repeat([False, True], [len(side.powers) for side in sides])
    measured = {name: np.concatenate([side.numbers[name] for side in sides]) for name in ARTEFACTS}
    aucs = {name: _turned(list(values.T), is_made, groups) for name, values in measured.items()}
    residue = measured["residue"][:, 0]
    ratio = residue[is_made].mean() / max(residue[~is_made].mean(), 1e-6)
    spectrum = synthetic.powers.mean(axis=0) / np.maximum(real.powers.mean(axis=0), 1e-6)
    return Artefacts(aucs, round(float(ratio), 4), tuple(round(float(band), 4) for band in spectrum))


def _turned(values: list[Values], is_made: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_]) -> Auc:
    """Return the largest area over the numbers, each turned so that higher means synthetic."""
    areas = [auc_of(number, is_made, groups) for number in values]
    areas = [area if area.value >= 0.5 else auc_of(-number, is_made, groups) for area, number in zip(areas, values, strict=True)]
    return max(areas, key=lambda area: area.value)


def _gray(image: Pixels) -> Values:
    """Return `(H, W)` float64 gray levels."""
    return np.asarray(image.mean(axis=2) if image.ndim == 3 else image, np.float64)


def residue(image: Pixels) -> float:
    """Return the standard deviation, in gray levels, of the image less itself blurred by 0.8 px.

    High-frequency residue; range 0 up. Neither direction is better: that of real images is right.
    """
    import cv2

    gray = _gray(image)
    return float(np.std(gray - cv2.GaussianBlur(gray, (0, 0), 0.8)))


def checkerboard(image: Pixels) -> float:
    """Return log10 of the power at a period of 2 px (in rows, columns, both) by the median power of the finest band: about 0 to 0.5 without a checkerboard.

    Transposed convolutions and pixel shuffles leave one (Odena et al. 2016).
    """
    return _spectral(image)[0]


def _spectral(image: Pixels) -> tuple[float, Values]:
    """Return `checkerboard` and `radial_power` of one power spectrum."""
    power, radius = _power(image)
    return _board_of(power, radius), _rings_of(power, radius)


def _board_of(power: Values, radius: Values) -> float:
    peaks = [power[power.shape[0] // 2, 0], power[0, power.shape[1] // 2]]
    peaks += [power[0, 0]] if power.shape[0] % 2 == 0 == power.shape[1] % 2 else []
    return float(np.log10((max(peaks) + 1e-3) / (np.median(power[radius > 0.75]) + 1e-3)))


def border_step(image: Pixels) -> float:
    """Return log10 of the mean step between the outermost pixels and the next by the mean step inside: about 0 without a frame."""
    gray = _gray(image)
    inside = np.abs(np.diff(gray[2:-2, 2:-2], axis=0)).mean() + np.abs(np.diff(gray[2:-2, 2:-2], axis=1)).mean()
    sides = [gray[0] - gray[1], gray[-1] - gray[-2], gray[:, 0] - gray[:, 1], gray[:, -1] - gray[:, -2]]
    return float(np.log10((2 * np.mean([np.abs(side).mean() for side in sides]) + 0.1) / (inside + 0.1)))


def radial_power(image: Pixels) -> Values:
    """Return the mean power in `(BANDS,)` rings of equal width up to the finest frequency, without the mean; gray levels squared by pixel."""
    return _spectral(image)[1]


def _rings_of(power: Values, radius: Values) -> Values:
    ring = np.minimum((radius * BANDS).astype(int), BANDS)
    inside = (radius > 0) & (ring < BANDS)
    total = np.bincount(ring[inside], power[inside], minlength=BANDS)
    return np.asarray(total / np.maximum(np.bincount(ring[inside], minlength=BANDS), 1))


def _power(image: Pixels) -> tuple[Values, Values]:
    """Return the power spectrum of the gray image, its mean taken away and its edges faded, and each frequency's radius (1: period 2 px), both centred."""
    gray = _gray(image)
    window, radius = _plane(*gray.shape)
    return np.fft.fftshift(np.abs(np.fft.fft2((gray - gray.mean()) * window)) ** 2) / gray.size, radius


@lru_cache(maxsize=8)
def _plane(height: int, width: int) -> tuple[Values, Values]:
    """Return what fades the edges of an image of this size, and the radius of each of its frequencies, `(height, width)`."""
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    rows, columns = (np.fft.fftshift(np.fft.fftfreq(length)) * 2 for length in (height, width))
    return window, np.hypot(rows[:, None], columns[None, :])
