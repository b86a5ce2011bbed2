"""At which compute would the lift over the best control turn positive? A straight line through lift against the logarithm of compute, with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_POINTS = 3
DRAWS = 4000
NORMAL_95 = 2 * 1.959964
"""Width of a 95 % interval in standard deviations."""
LEAST_SPREAD = 0.002
"""Standard deviation of a point at least; else one of a few lucky patients would hold the line alone."""
FARTHEST = 6
"""Powers of ten beyond the largest compute; a line is not followed further."""


def describe_turn(rows: Sequence[dict[str, Any]]) -> str:
    """Return one sentence about rows of one class, kind of images and number of lesions that differ in their base.

    Each point is drawn again from a normal distribution as wide as its interval, and the line is fitted again. The slope counts as shown when
    97.5 % of the lines rise. Lifts of several bases share their test patients, so the true error of the slope is rather smaller.
    """
    known = [row for row in rows if row["lift"]["low"] is not None and row["compute_cpu_min"] and not is_empty(row)]
    points = {row["compute_cpu_min"]: row["lift"] for row in known}
    if len(points) < LEAST_POINTS:
        several = "s" * (len(points) != 1)
        return (
            f"{len(points)} point{several} of compute with images to judge, fewer than {LEAST_POINTS}: the curve suggests no compute at which the lift turns."
        )
    slopes, crossings = fit_lines(list(points), list(points.values()))
    low, high = np.percentile(slopes[1:], (2.5, 97.5))
    per_tenfold = f"{slopes[0]:+.3f} [{low:+.3f}, {high:+.3f}] AUPRC for ten times the compute"
    if low <= 0:
        return f"The line has a slope of {per_tenfold}, not shown to rise: the curve suggests no compute at which the lift turns."
    first = float(crossings[0])
    early, late = np.percentile(np.minimum(crossings[1:], math.log10(max(points)) + FARTHEST), (2.5, 97.5))
    where = f"{_minutes(first)} [{_minutes(early)}, {_minutes(late)}] CPU-min"
    if first <= math.log10(max(points)):
        return f"The line rises by {per_tenfold}, and crosses 0 at {where}, within what was run: see the verdict there."
    return f"The line rises by {per_tenfold}, and would cross 0 at {where}, if it went on straight, which nothing shows."


def is_empty(row: dict[str, Any]) -> bool:
    """Tell whether no image passed screens and readers: what was measured then is training without any."""
    return str(row["reason"]).startswith("No image passed")


def fit_lines(compute: Sequence[float], lifts: Sequence[dict[str, float]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return `(1 + DRAWS,)` slopes for each tenfold of compute, and the decimal logarithms of compute at which the lines cross 0, the first without noise.

    A line that does not rise crosses nowhere: infinity.

    Worked value: lifts of -.2, -.1 and 0 at 1, 10 and 100 minutes: slope .1, crossing at 100 minutes.
    """
    across = np.log10(np.asarray(compute, np.float64))
    value, spread = np.array([lift["value"] for lift in lifts]), np.array([max(LEAST_SPREAD, (lift["high"] - lift["low"]) / NORMAL_95) for lift in lifts])
    noise = np.random.default_rng(0).standard_normal((DRAWS, len(across)))
    drawn = np.vstack([value, value + noise * spread])
    slopes, starts = np.polyfit(across, drawn.T, 1, w=1 / spread)
    crossings = np.full(len(slopes), math.inf)
    np.divide(-starts, slopes, out=crossings, where=slopes > 0)
    return slopes, crossings


def _minutes(logarithm: float) -> str:
    return f"{10**logarithm:.2g}" if abs(logarithm) > 4 else f"{10**logarithm:,.2f}" if logarithm < 1 else f"{10**logarithm:,.0f}"
