"""The bootstrap over patients, and the interval that it gives: one for every figure that is shown with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def resample_patients(patients: npt.NDArray[Any] | Sequence[str], draws: int, seed: int | np.random.Generator) -> Floats:
    """Return `(draws, N)` weights: in each row as many patients as there are, drawn with replacement; an image counts as often as its patient.

    The patient bootstrap (Efron 1979, with the cluster as the unit): images of one patient are not independent.

    Args:
        patients: `(N,)` pseudonym of the patient of each image, or whatever images hang together by.
        draws: number of resamples.
        seed: of the draw; equal seeds give equal weights whatever order the images have.
    """
    names, member = np.unique(np.asarray(patients), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return counts[:, member].astype(np.float64)


def interval(values: Floats) -> tuple[float, float] | None:
    """Return the 2.5th and 97.5th percentile of the finite resampled values, or None when fewer than half are finite.

    Worked value: 0, 1, ..., 100: (2.5, 97.5).
    """
    finite = values[np.isfinite(values)]
    if 2 * len(finite) < len(values) or not len(finite):
        return None
    low, high = np.percentile(finite, (2.5, 97.5))
    return float(low), float(high)
