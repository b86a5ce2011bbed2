"""Source shortcut: can real and synthetic images of one class be told apart?

If they can, and only the rare class has synthetic images, then "synthetic" means "rare", and a model learns the source instead of the disease. `tell_apart`
trains a probe to find the source within one class, cross-validated with patients kept together. The remedy is counter-balanced synthesis (some
images of every class) and a better generator; the swap test (`swap`) shows whether the source moves a classifier's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation.resampling import interval, resample_patients
from synthesis.screens.distances import Floats

Scores = npt.NDArray[np.float64]

FOLDS = 5
LEAST_GROUPS = 4
COMPONENTS = 64
DRAWS = 400


@dataclass(frozen=True)
class Auc:
    """How well a score tells synthetic from real: area under the ROC curve, .5 by chance, 1 without a mistake, with its 95 % interval over patients.

    Attributes:
        value: estimate.
        low: lower end.
        high: upper end.
        real: number of real images.
        synthetic: number of synthetic images.
    """

    value: float
    low: float
    high: float
    real: int
    synthetic: int


def tell_apart(
    real: Floats, synthetic: Floats, real_groups: Sequence[str], synthetic_groups: Sequence[str] | None = None, seed: int = 0, draws: int = DRAWS
) -> Auc | None:
    """Return how well a linear probe tells the source of images of one class, on patients that it was not fitted on.

    Standardise, PCA, logistic regression, with stratified folds that keep groups together. None when either side has fewer than four groups.

    Args:
        real: `(R, F)` embeddings of real images of the class.
        synthetic: `(M, F)` embeddings of synthetic ones.
        real_groups: patient of each real image.
        synthetic_groups: what each synthetic image hangs together with, e.g. its parent's patient; default: each stands alone.
        seed: of folds and bootstrap.
        draws: of the bootstrap.
    """
    made = [f"synthetic {place}" for place in range(len(synthetic))] if synthetic_groups is None else list(synthetic_groups)
    groups, is_made = np.array([*real_groups, *made]), np.repeat([False, True], [len(real), len(synthetic)])
    if min(len(set(real_groups)), len(set(made))) < LEAST_GROUPS:
        return None
    features = np.concatenate([real, synthetic]).astype(np.float64)  # in float32 the regression sometimes stops before it is done
    return auc_of(_held_out_scores(features, is_made, groups, seed), is_made, groups, seed, draws)


def _held_out_scores(features: npt.NDArray[np.float64], is_made: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_], seed: int) -> Scores:
    """Return each image's log odds of being synthetic from a probe that saw nothing of its group; 0 where a fold left one kind only."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fewest = min(len(np.unique(groups[is_made])), len(np.unique(groups[~is_made])))
    scores = np.zeros(len(groups))
    for kept, held in StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed).split(features, is_made, groups):
        if len(np.unique(is_made[kept])) < 2 or not len(held):
            continue
        parts = max(1, min(COMPONENTS, features.shape[1], len(kept) - 1))
        regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
        probe = make_pipeline(StandardScaler(), PCA(parts, svd_solver="full"), regression).fit(features[kept], is_made[kept])
        scores[held] = probe.decision_function(features[held])
    return scores


def auc_of(scores: Scores, is_made: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_], seed: int = 0, draws: int = DRAWS) -> Auc:
    """Return the area under the ROC curve of a score, with the interval of a bootstrap over groups; 0 to 1 where too few resamples have both kinds.

    Worked value: scores [1, 2, 3, 4], made [no, yes, no, yes]: 3 of 4 pairs in order, .75.

    Args:
        scores: `(N,)`, higher is more likely synthetic.
        is_made: `(N,)`, whether the image is synthetic; both kinds occur.
        groups: `(N,)`, what is drawn together.
        seed: of the draws.
        draws: number of resamples.
    """
    value = float(_areas(scores, is_made, np.ones((1, len(scores))))[0])
    low, high = interval(_areas(scores, is_made, resample_patients(groups, draws, seed))) or (0.0, 1.0)
    return Auc(round(value, 4), round(low, 4), round(high, 4), int((~is_made).sum()), int(is_made.sum()))


def _areas(scores: Scores, is_made: npt.NDArray[np.bool_], weights: Scores) -> Scores:
    """Return the area for each row of weights, `(B, N)`; NaN where a resample lacks a kind."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))
    made, real = (np.add.reduceat(weights[:, order] * kind[order], starts, axis=1) for kind in (is_made, ~is_made))
    below = np.cumsum(real, axis=1) - real / 2
    pairs = made.sum(axis=1) * real.sum(axis=1)
    return np.asarray(np.divide((made * below).sum(axis=1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0))
