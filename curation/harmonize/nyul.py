"""Nyúl's piecewise linear histogram matching: the same percentiles lie at the same values in every volume.

Fitted on train volumes only; the points are stored as JSON and named by the recipe. A volume's own gain and offset do not matter, so the fit may see
volumes after any linear normalization.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError, UsageError

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
Points = tuple[tuple[float, float], ...]
Floats = npt.NDArray[np.float64]


def landmarks_of(foreground: npt.NDArray[np.floating]) -> Floats:
    """Return `(11,)`: the percentiles 1, 10, 20, … 90, 99 of the foreground's values."""
    return np.asarray(np.percentile(foreground, PERCENTILES), np.float64)


def fit_nyul(landmarks: Iterable[Floats]) -> Points:
    """Return (percentile, standard value) pairs of train volumes (Nyúl, Udupa and Zhang, IEEE TMI 19, 2000).

    Each volume's landmarks are mapped linearly so that its 1st and 99th percentile lie at the mean of those of all volumes, then averaged.

    Worked value: volumes whose landmarks are 0, 1, … 10 and 0, 2, … 20: ends at 0 and 15, so 0, 1.5, … 15.

    Args:
        landmarks: `(11,)` of each train volume, all after the same normalization.

    Raises:
        UsageError: there is no volume.
    """
    stacked = np.array(list(landmarks), np.float64)
    if not len(stacked):
        raise UsageError("Nyúl's landmarks need at least one train volume")
    low, high = stacked[:, 0].mean(), stacked[:, -1].mean()
    shares = (stacked - stacked[:, :1]) / (stacked[:, -1:] - stacked[:, :1])
    standard = (low + shares * (high - low)).mean(0)
    return tuple((percentile, round(float(value), 6)) for percentile, value in zip(PERCENTILES, standard, strict=True))


def apply_nyul(volume: npt.NDArray[np.floating], foreground: npt.NDArray[np.floating], points: Points) -> npt.NDArray[np.float32]:
    """Return the volume with the percentiles of its foreground at the standard values; beyond both ends the outer pieces go on.

    Args:
        volume: any shape.
        foreground: `(N,)` values of its foreground.
        points: from `fit_nyul`.

    Raises:
        ImageError: `CONSTANT`, percentiles of the foreground fall together.
    """
    own = np.percentile(foreground, [percentile for percentile, _ in points])
    standard = np.array([value for _, value in points])
    rising = np.append(True, np.diff(own) > 0)
    own, standard = own[rising], standard[rising]
    if len(own) < 2:
        raise ImageError("CONSTANT", "the foreground has no spread, so it cannot be normalized")
    mapped = np.interp(volume, own, standard)
    first, last = (standard[1] - standard[0]) / (own[1] - own[0]), (standard[-1] - standard[-2]) / (own[-1] - own[-2])
    mapped += np.minimum(volume - own[0], 0) * first + np.maximum(volume - own[-1], 0) * last
    return np.asarray(mapped, np.float32)
