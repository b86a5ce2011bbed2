"""Simulated readers: they stand for experts where there are none, and are named as such in every table.

A reader knows more real images than the student: those of train and of val, never of test. Two readers look at each image; both must accept it.
A verdict is wrong with probability `reader_error`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.lift.cuts import Cut, Flags
from benchmarks.lift.embedding import Floats
from benchmarks.lift.pictures import Names

READERS = 2
COMPONENTS = 64


def simulate_review(features: Floats, labels: Names, cut: Cut, drawn: Floats, wanted: Sequence[str], error: float) -> Flags:
    """Return which synthetic images both readers accept: the wanted class is the likeliest one when classes count equally.

    Args:
        features: `(N, F)` of real images.
        labels: `(N,)` of them.
        cut: its train and val images are known to the readers, each of whom remembers a random four fifths of them.
        drawn: `(M, F)` of synthetic images.
        wanted: class of each.
        error: share of wrong verdicts.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, accepted = np.flatnonzero(np.isin(cut.split, ("train", "val"))), np.ones(len(drawn), np.bool_)
    for reader in range(READERS):
        random = np.random.default_rng([4, cut.draw, reader])
        remembered = known[random.random(len(known)) < 0.8]
        count = min(COMPONENTS, features.shape[1], len(remembered) - 1)
        probe = make_pipeline(
            StandardScaler(), PCA(count, svd_solver="covariance_eigh"), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000, tol=1e-3)
        )
        probe.fit(features[remembered].astype(np.float64), labels[remembered])
        right = probe.predict(drawn) == np.asarray(wanted)
        accepted &= right ^ (random.random(len(drawn)) < error)
    return accepted
