"""Can real and synthetic images of one class be told apart? When they can, a student may learn "synthetic" instead of the class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaptation.metrics import auroc
from curation.resampling import interval, resample_patients
from validation.lift.arms import Bench
from validation.lift.cohort import Flags, Names
from validation.lift.judgement import Estimate
from validation.lift.student import Floats32

FOLDS = 5
LEAST_GROUPS = 5
"""Patients of real images, and synthetic images (or their parents); with fewer nothing can be told."""
STRENGTH = 1e-2
DRAWS = 500


def measure_source(benches: Sequence[Bench], label: str, seed: int) -> Estimate:
    """Return the area under the ROC curve of a probe that tells synthetic from real images of one class, out of fold, mean over the splits.

    Real images are those of train and val; all images of a patient are in one fold, and so are all children of one parent. Range: 0 to 1; .5 cannot be
    told apart, and what is below it by chance counts as that. The interval resamples patients and synthetic images (or their parents) within their
    kind. None: too few images.

    Args:
        benches: one a split.
        label: the class.
        seed: of folds and resamples.
    """
    curves = [curve for bench in benches if (curve := _one_split(bench, label, seed)) is not None]
    if not curves:
        return Estimate(None)
    pooled = np.mean(np.stack(curves), axis=0)
    bounds = interval(pooled[1:])
    return Estimate(round(float(pooled[0]), 4), *((round(bounds[0], 4), round(bounds[1], 4)) if bounds else (None, None)))


def _one_split(bench: Bench, label: str, seed: int) -> Floats32 | None:
    """Return `(1 + DRAWS,)` areas of one split, the first of all images."""
    cohort, chosen = bench.cohort, bench.batch.releasable() & (bench.batch.labels == label)
    real = np.flatnonzero((cohort.labels == label) & (cohort.split != "test"))
    groups = np.concatenate([cohort.patients[real], _families(bench)[chosen]])
    is_synthetic = np.repeat([False, True], [len(real), int(chosen.sum())])
    if min(len(np.unique(groups[is_synthetic == kind])) for kind in (False, True)) < LEAST_GROUPS:
        return None
    features = (np.concatenate([cohort.features[real], bench.batch.features[chosen]]) - bench.projection.mean) / bench.projection.scale
    score = _score_out_of_fold(features, is_synthetic, groups, seed)
    return np.atleast_1d(auroc(is_synthetic, score, _resample(groups, is_synthetic, seed))).astype(np.float32)


def _families(bench: Bench) -> Names:
    """Return `(M,)`: the parent of each synthetic image, or a name of its own."""
    parents = bench.batch.parents
    return np.array([f"synthetic {place if parents is None else parents[place] or place}" for place in range(len(bench.batch.labels))], dtype=np.str_)


def _score_out_of_fold(features: Floats32, is_synthetic: Flags, groups: Names, seed: int) -> Floats32:
    """Return `(N,)` log-odds of being synthetic, each from a probe that saw no image of the same patient."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    score = np.zeros(len(features), np.float32)
    for kept, held in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(features, is_synthetic, groups):
        model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000, tol=1e-3).fit(features[kept].astype(np.float64), is_synthetic[kept])
        score[held] = model.decision_function(features[held])
    return score


def _resample(groups: Names, is_synthetic: Flags, seed: int) -> Floats32:
    """Return `(1 + DRAWS, N)` weights; within each kind as many groups are drawn as there are."""
    weights = np.ones((1 + DRAWS, len(groups)), np.float32)
    for kind in (False, True):
        weights[1:, is_synthetic == kind] = resample_patients(groups[is_synthetic == kind], DRAWS, 2 * seed + kind)
    return weights
