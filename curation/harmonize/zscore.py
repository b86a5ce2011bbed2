"""Robust z-score of the foreground: the scanner's gain and offset go, the order of intensities stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError
from curation.pixels import Pixels

IQR_TO_SIGMA = 0.7413
SHOWN_Z = (-3.0, 5.0)
"""What `spread_min_max` maps the darkest and the brightest voxel to: the range that encoders and readers are shown."""


def robust_z(volume: Pixels, clip_z: float, mask: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.float32]:
    """Return (x - median) / (0.7413 IQR) of the foreground, clipped to ± `clip_z`, as float32.

    The foreground is `mask`, without one what is brighter than the mean of the volume. 0.7413 IQR is the standard deviation of a normal distribution
    (Rousseeuw and Croux, 1993). Worked value: for the volume 0 0 0 0 0 2 3 4 5 6 the mean is 2, the foreground 3 4 5 6 has the median 4.5 and the
    IQR 1.5, so 6 becomes 1.5 / (0.7413 · 1.5) = 1.349.

    Raises:
        ImageError: `CONSTANT`, the foreground has no spread.
    """
    values = np.asarray(volume, np.float32)
    foreground: npt.NDArray[Any] = values[values > values.mean(dtype=np.float64)] if mask is None else values[mask]
    if foreground.size == 0:
        raise ImageError("CONSTANT", "all values are equal")
    low, middle, high = np.percentile(foreground, (25, 50, 75))
    if high <= low:
        raise ImageError("CONSTANT", "the foreground has no spread, so it cannot be normalized")
    return np.clip((values - np.float32(middle)) / np.float32(IQR_TO_SIGMA * (high - low)), -clip_z, clip_z).astype(np.float32)


def spread_min_max(volume: Pixels) -> npt.NDArray[np.float32]:
    """Return the volume with its darkest voxel at -3 and its brightest at 5, as float32: no harmonization, only a scale that can be shown.

    Worked value: 0, 5, 10 become -3, 1, 5.

    Raises:
        ImageError: `CONSTANT`, all values are equal.
    """
    values = np.asarray(volume, np.float32)
    low, high = float(values.min()), float(values.max())
    if high <= low:
        raise ImageError("CONSTANT", "all values are equal")
    return ((values - low) * ((SHOWN_Z[1] - SHOWN_Z[0]) / (high - low)) + SHOWN_Z[0]).astype(np.float32)
