"""WhiteStripe: zero is normal-appearing white matter, one is its spread; needs no other volume."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError

Peak = Literal["last", "largest"]
BINS = 512
SMOOTHING_BINS = 6.0
TAIL_PERCENTILE = 99.0
LEAST_PROMINENCE = 0.05
HALF_WIDTH = 0.05


def apply_white_stripe(volume: npt.NDArray[np.floating], brain: npt.NDArray[np.floating], peak: Peak) -> npt.NDArray[np.float32]:
    """Return (x - mean) / deviation of the white stripe (Shinohara et al., NeuroImage: Clinical 6, 2014), as float32.

    The stripe is what lies within ± 5 % (in quantiles of the brain) of the histogram's white-matter peak.

    Worked value: for a brain of 600 voxels evenly from 0 to 1 and 400 evenly from 9.9 to 10.1, the last peak and the stripe are at 10,
    which becomes 0.

    Args:
        volume: any shape.
        brain: `(N,)` values of the brain.
        peak: `last` for T1 (white matter is the brightest tissue), `largest` for T2, FLAIR and PD.

    Raises:
        ImageError: `WHITE_STRIPE`, the histogram has no peak, or the stripe has no spread.
    """
    mode = find_peak(brain, peak)
    place = float((brain < mode).mean())
    low, high = np.quantile(brain, (max(place - HALF_WIDTH, 0), min(place + HALF_WIDTH, 1)))
    stripe = brain[(brain >= low) & (brain <= high)]
    deviation = float(stripe.std(dtype=np.float64)) if stripe.size else 0.0
    if deviation <= 0:
        raise ImageError("WHITE_STRIPE", "no white matter could be found in the histogram")
    return np.asarray((volume - stripe.mean(dtype=np.float64)) / deviation, np.float32)


def find_peak(brain: npt.NDArray[np.floating], peak: Peak) -> float:
    """Return the value of the last, or of the highest, peak of the smoothed histogram without its brightest 1 %."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    kept = brain[brain <= np.percentile(brain, TAIL_PERCENTILE)]
    counts, edges = np.histogram(kept, BINS)
    smooth = np.pad(gaussian_filter1d(counts.astype(np.float64), SMOOTHING_BINS, mode="constant"), 1)
    places, _ = find_peaks(smooth, prominence=LEAST_PROMINENCE * smooth.max())
    if not len(places):
        raise ImageError("WHITE_STRIPE", "no white matter could be found in the histogram")
    place = (places[-1] if peak == "last" else places[smooth[places].argmax()]) - 1
    return float((edges[place] + edges[place + 1]) / 2)
