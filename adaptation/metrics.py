"""Metrics of a classifier on test images.

Catalogue: `auprc`, `auroc`, `recall`, `f1` (one class against the rest), `balanced_accuracy`, `calibration_error`, `macro` (mean over classes);
`curation/resampling.py` gives the uncertainty of each.

Every metric takes `weight`, `(..., N)`: how often each image counts. One vector gives one number, a `(B, N)` matrix of patient
resamples gives B numbers at once. Without it every image counts once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]

CALIBRATION_BINS = 15
LEAST_PATIENTS = 2
"""A class seen in fewer test patients has no interval: there is nothing to resample."""


def _weights(weight: npt.NDArray[Any] | None, length: int) -> Floats:
    return np.ones(length) if weight is None else np.asarray(weight, np.float64)


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quotient: Floats = np.where(denominator > 0, numerator / denominator, np.nan)
    return quotient


def auprc(is_class: Flags, score: npt.NDArray[np.floating[Any]], weight: npt.NDArray[Any] | None = None) -> Floats:
    """Area under the precision-recall curve, as average precision (Zhu 2004; no interpolation).

    AP = sum over distinct thresholds k, from high to low, of (R_k - R_{k-1}) P_k. Range: above 0 to 1, the share of the class is what
    chance gives; higher is better. NaN when no image is of the class.

    Worked value: is_class [1, 0, 1, 0], score [.9, .8, .7, .1]: 1/2 x 1 + 1/2 x 2/3 = .8333.

    Args:
        is_class: `(N,)`, whether the image truly is of the class.
        score: `(N,)`, higher is more likely of the class.
        weight: `(..., N)`.
    """
    counted = _weights(weight, len(score))
    if not is_class.any():
        return np.full(counted.shape[:-1], np.nan)
    order = np.argsort(-score, kind="stable")
    counted = counted[..., order]
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    found = np.cumsum(counted * is_class[order], axis=-1)[..., last_of_tie]
    shown = np.cumsum(counted, axis=-1)[..., last_of_tie]
    precision = np.nan_to_num(_divide(found, shown))
    gained = np.diff(found, axis=-1, prepend=0.0)
    return _divide((gained * precision).sum(-1), found[..., -1])


def auroc(is_class: Flags, score: npt.NDArray[np.floating[Any]], weight: npt.NDArray[Any] | None = None) -> Floats:
    """Area under the receiver operating characteristic (Hanley and McNeil 1982): how often an image of the class scores above one of another class.

    `Σ w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / (Σ w_i · Σ w_j)` over images i of the class and j of others. Range: 0 to 1, .5 is chance; higher is
    better. NaN when either kind is missing.

    Worked value: is_class [1, 0, 1, 0], score [.9, .8, .7, .1]: 3 of 4 pairs are in order, .75.

    Args:
        is_class: `(N,)`, whether the image truly is of the class.
        score: `(N,)`, higher is more likely of the class.
        weight: `(..., N)`.
    """
    counted = _weights(weight, len(score))
    if is_class.all() or not is_class.any():
        return np.full(counted.shape[:-1], np.nan)
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    counted, own = counted[..., order], is_class[order]
    found, other = (np.add.reduceat(counted * mask, starts, axis=-1) for mask in (own, ~own))
    below = np.cumsum(other, axis=-1) - other / 2
    return _divide((found * below).sum(-1), found.sum(-1) * other.sum(-1))


def recall(is_class: Flags, is_predicted: Flags, weight: npt.NDArray[Any] | None = None) -> Floats:
    """Recall (sensitivity, true positive rate) of one class: TP / (TP + FN).

    Range: 0 to 1; higher is better. NaN when no image is of the class.

    Worked value: is_class [1, 1, 1, 0], is_predicted [1, 0, 1, 1]: 2/3.
    """
    counted = _weights(weight, len(is_class))
    return _divide((counted * (is_class & is_predicted)).sum(-1), (counted * is_class).sum(-1))


def f1(is_class: Flags, is_predicted: Flags, weight: npt.NDArray[Any] | None = None) -> Floats:
    """F1 score (van Rijsbergen 1979) of one class: 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    Range: 0 to 1; higher is better. NaN when no image is of the class.

    Worked value: is_class [1, 1, 1, 0], is_predicted [1, 0, 1, 1]: 4 / (4 + 1 + 1) = .6667.
    """
    counted = _weights(weight, len(is_class))
    actual = (counted * is_class).sum(-1)
    score = _divide(2 * (counted * (is_class & is_predicted)).sum(-1), (counted * is_predicted).sum(-1) + actual)
    return np.where(actual > 0, score, np.nan)


def balanced_accuracy(truth: Codes, predicted: Codes, weight: npt.NDArray[Any] | None = None) -> Floats:
    """Balanced accuracy (Brodersen et al. 2010): mean of the recalls of all classes that occur in `truth`.

    Range: 0 to 1, chance is 1 / number of classes; higher is better.

    Worked value: truth [0, 0, 0, 1], predicted [0, 0, 1, 1]: (2/3 + 1) / 2 = .8333.

    Args:
        truth: `(N,)` class numbers.
        predicted: `(N,)` class numbers.
        weight: `(..., N)`.
    """
    return macro([recall(truth == code, predicted == code, weight) for code in np.unique(truth)])


def calibration_error(is_right: Flags, confidence: npt.NDArray[np.floating[Any]], weight: npt.NDArray[Any] | None = None) -> Floats:
    """Expected calibration error (Naeini et al. 2015; Guo et al. 2017) of the predicted class, 15 bins of equal width.

    ECE = sum over bins of (images in the bin / all images) x |share of right predictions - mean confidence|. Range: 0 to 1; lower is better.

    Worked value: is_right [1, 0, 1, 1], confidence [.95, .95, .55, .55]: 1/2 x |.5 - .95| + 1/2 x |1 - .55| = .45.

    Args:
        is_right: `(N,)`, whether the most probable class is the true one.
        confidence: `(N,)` in [0, 1], probability of the most probable class.
        weight: `(..., N)`.
    """
    counted = _weights(weight, len(confidence))
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gap = counted * (is_right - confidence.astype(np.float64))
    gaps = [np.abs(gap[..., bins == number].sum(-1)) for number in range(CALIBRATION_BINS)]
    return _divide(np.sum(gaps, axis=0), counted.sum(-1))


def macro(per_class: list[Floats]) -> Floats:
    """Macro average: plain mean over the classes that have a value; every class counts the same, however rare.

    Range and direction are those of the metric. NaN when no class has a value.

    Worked value: [.2, .6, NaN]: .4.
    """
    values = np.stack([np.asarray(value, np.float64) for value in per_class])
    return _divide(np.nansum(values, axis=0), np.isfinite(values).sum(0).astype(np.float64))
