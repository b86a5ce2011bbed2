"""Do synthetic images lie on real ones of val or test, which no generator may know?

Only images that are almost equal are found: the same one, a little brighter or blurred. One that was saved again at another quality can lie as far from its
original as another patient's image does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from validation.lift.arms import Bench
from validation.lift.student import Floats32

LEAST_SHARE = 0.05
"""Of the images of a class; fewer may come from patients of whom the cohort holds near-duplicates."""
NEAR = 0.5
"""Of the distance within which that share of real train images has one of val or test. On 513 dermoscopic images the nearest pair was at .77; copies that are
5 % brighter were at .29, mirrored at .76, as JPEG of quality 70 at 2.1 (medians)."""
MOST_TRAIN = 1000
"""Train images that this distance is measured on."""


def share_leaked(benches: Sequence[Bench], label: str) -> float:
    """Return the share, 0 to 1, of the releasable images of a class that lie on a real image of val or test, in the split where it is largest."""
    return max(_one_split(bench, label) for bench in benches)


def _one_split(bench: Bench, label: str) -> float:
    chosen = bench.batch.releasable() & (bench.batch.labels == label)
    if not chosen.any():
        return 0.0
    unknown = bench.project(bench.cohort.features[bench.cohort.split != "train"])
    spread = np.unique(np.linspace(0, bench.pool.real - 1, MOST_TRAIN).astype(int))
    limit = NEAR * float(np.quantile(_nearest(bench.pool.features[spread], unknown), LEAST_SHARE))
    return float((_nearest(bench.pool.features[bench.synthetic[chosen]], unknown) <= limit).mean())


def _nearest(these: Floats32, those: Floats32) -> npt.NDArray[np.float64]:
    """Return `(N,)`: the distance of each row to the nearest of the others."""
    from scipy.spatial.distance import cdist

    found: npt.NDArray[np.float64] = cdist(these, those).min(axis=1)
    return found
