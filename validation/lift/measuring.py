"""Numbers with intervals: AUPRC of many trainings in the same resamples, pooled over repeated splits by patient.

A resample draws patients with replacement from all test patients of all splits, and draws the splits and the seeds with replacement, too: a lucky
training is not taken for a lift. All arms share the same resamples, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptation.metrics import LEAST_PATIENTS
from curation.resampling import interval, resample_patients
from validation.lift.cohort import Flags, Names
from validation.lift.judgement import Estimate
from validation.lift.student import Floats32

Floats = npt.NDArray[np.float64]
FEW = 300
"""Up to this many images of a class the matrix product is faster than sorting."""


@dataclass(frozen=True)
class Resamples:
    """The resamples of one side (val or test), the same for every arm.

    Attributes:
        weights: for each of the R splits `(B, N)` float32: how often each image counts; the first row counts each once.
        splits: `(B, R)` which splits count.
        seeds: `(B, R, S)` which trainings of each drawn split count.
    """

    weights: tuple[Floats32, ...]
    splits: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]


def draw_resamples(patients: Sequence[Names], seeds: int, draws: int, seed: int) -> Resamples:
    """Return `draws` resamples after one that counts everything once.

    Args:
        patients: for each split `(N,)`; a patient that is in several splits has the same weight in each.
        seeds: trainings in each split.
        draws: number of resamples.
        seed: of the draw.
    """
    random, number = np.random.default_rng(seed), len(patients)
    drawn = resample_patients(np.concatenate(patients), draws, random)
    weights = np.vstack([np.ones((1, drawn.shape[1])), drawn]).astype(np.float32)
    splits = np.vstack([np.arange(number), random.integers(number, size=(draws, number))])
    each = np.concatenate([np.broadcast_to(np.arange(seeds), (1, number, seeds)), random.integers(seeds, size=(draws, number, seeds))])
    return Resamples(tuple(np.split(weights, np.cumsum([len(part) for part in patients])[:-1], axis=1)), splits, each)


def resampled_auprc(is_class: Flags, score: Floats32, weights: Floats32) -> Floats:
    """Return `(B,)`: the AUPRC in each resample; NaN where no image of the class was drawn. Equal to `adaptation.metrics.auprc`.

    Args:
        is_class: `(N,)`.
        score: `(N,)`, higher is more likely of the class.
        weights: `(B, N)`.
    """
    if not is_class.any():
        return np.full(len(weights), np.nan)
    counted, shown, found = (_by_product if is_class.sum() <= FEW else _by_sorting)(is_class, score, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(shown > 0, found / shown, 0)
        values: Floats = (counted * precision).sum(axis=1, dtype=np.float64) / counted.sum(axis=1, dtype=np.float64)
    return values


def _by_product(is_class: Flags, score: Floats32, weights: Floats32) -> tuple[Floats32, Floats32, Floats32]:
    """Return, for each of P images of the class, `(B, P)`: its weight, and how many images and images of the class score at least as high."""
    own = np.flatnonzero(is_class)
    reaches = (score[:, None] >= score[own][None, :]).astype(np.float32)
    return weights[:, own], weights @ reaches, weights[:, own] @ reaches[own]


def _by_sorting(is_class: Flags, score: Floats32, weights: Floats32) -> tuple[Floats32, Floats32, Floats32]:
    """Return the same as `_by_product`; faster where a class is common."""
    order = np.argsort(-score, kind="stable")
    descending, own = -score[order], np.flatnonzero(is_class[order])
    ends = np.searchsorted(descending, descending[own], side="right") - 1
    ordered = weights[:, order]
    counted = ordered[:, own]
    last = np.searchsorted(own, ends, side="right") - 1
    return counted, np.cumsum(ordered, axis=1)[:, ends], np.cumsum(counted, axis=1)[:, last]


def pool_values(values: Floats, resamples: Resamples) -> Floats:
    """Return `(B,)`: the mean over the drawn splits and seeds of `(R, S, B)` values; NaN values do not count.

    Worked value: one split, two seeds with .2 and .4, each drawn once: .3.
    """
    number = np.arange(values.shape[2])[:, None, None]
    drawn = values[resamples.splits[:, :, None], resamples.seeds, number]
    finite = np.isfinite(drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled: Floats = np.where(finite, drawn, 0).sum(axis=(1, 2)) / finite.sum(axis=(1, 2))
    return pooled


def measure(value: Callable[[int, int], Floats], splits: int, seeds: int, resamples: Resamples) -> Floats:
    """Return `(B,)` of a measure that is asked for each (split, seed)."""
    return pool_values(np.stack([[value(split, seed) for seed in range(seeds)] for split in range(splits)]), resamples)


def mean_of(parts: Sequence[Floats]) -> Floats:
    """Return the mean over classes, NaN where one of them is."""
    averaged: Floats = np.mean(np.stack(parts), axis=0)
    return averaged


def estimate(values: Floats, patients: int) -> Estimate:
    """Return the value (of the first resample, which counts everything once) with its 95 % percentile interval.

    Args:
        values: `(B,)`.
        patients: of the class; below `LEAST_PATIENTS` there is no interval.
    """
    if not np.isfinite(values[0]):
        return Estimate(None)
    bounds = interval(values[1:]) if patients >= LEAST_PATIENTS else None
    low, high = (round(end, 6) for end in bounds) if bounds else (None, None)
    return Estimate(round(float(values[0]), 6), low, high)


def bound(values: Floats, places: int) -> tuple[float, float]:
    """Return the two-sided 95 % bounds of one of `places` values that are looked at together (Bonferroni), from the spread of the resamples."""
    from scipy.stats import norm

    spread = float(np.nanstd(values[1:])) * float(norm.ppf(1 - 0.025 / max(1, places)))
    return float(values[0]) - spread, float(values[0]) + spread
