"""All students of a judgement: trained once for each split and seed, then asked for scores on val or on test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adaptation.metrics import auprc, calibration_error, macro
from validation.lift.arms import Bench, Configuration, list_trainings
from validation.lift.cohort import Flags, Names
from validation.lift.measuring import Floats, Resamples, mean_of, measure, resampled_auprc
from validation.lift.student import Floats32, Training, predict, softmax, train_students
from validation.recipe import LiftSettings

DECAYS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
TAUS = (0.5, 1.0)
"""Strengths of logit adjustment (Menon et al. 2021)."""
REAL = Configuration("real", "none", 0.0)


@dataclass(frozen=True)
class Side:
    """One side (val or test) of every split: `(N, K)` projected features, labels, patients, and who is counted."""

    features: tuple[Floats32, ...]
    labels: tuple[Names, ...]
    resamples: Resamples


@dataclass(frozen=True)
class Students:
    """Weights of every configuration.

    Attributes:
        classes: names of all classes.
        priors: for each split `(C,)` log share of each class in real train.
        weights: for each configuration and each split `(S, K + 1, C)`.
        seeds: trainings of each configuration in each split.
    """

    classes: tuple[str, ...]
    priors: tuple[Floats32, ...]
    weights: dict[Configuration, tuple[Floats32, ...]]
    seeds: int

    def probabilities(self, configuration: Configuration, side: Side, split: int, seed: int) -> Floats32:
        """Return `(N, C)`. Logit adjustment is training on real images with `tau x log prior` taken off the logits."""
        is_adjusted = configuration.arm == "logit_adjusted"
        weights = self.weights[REAL if is_adjusted else configuration][split][seed]
        logits = predict(side.features[split], weights)
        return softmax(logits - configuration.dose * self.priors[split] if is_adjusted else logits)

    def auprc(self, configuration: Configuration, side: Side, labels: Sequence[str], rows: Sequence[Flags] | None = None) -> Floats:
        """Return `(B,)`: the mean AUPRC of some classes in every resample, pooled over splits and seeds.

        Args:
            configuration: which students.
            side: val or test.
            labels: classes.
            rows: for each split `(N,)`: only these images; None: all.
        """

        def value(split: int, seed: int) -> Floats:
            kept = np.ones(len(side.labels[split]), bool) if rows is None else rows[split]
            scores = self.probabilities(configuration, side, split, seed)[kept]
            truth, weights = side.labels[split][kept], side.resamples.weights[split][:, kept]
            return mean_of([resampled_auprc(truth == label, scores[:, self.classes.index(label)], weights) for label in labels])

        return measure(value, len(side.labels), self.seeds, side.resamples)

    def calibration_error(self, configuration: Configuration, side: Side) -> Floats:
        """Return `(B,)`: the expected calibration error in every resample, pooled over splits and seeds."""

        def value(split: int, seed: int) -> Floats:
            scores = self.probabilities(configuration, side, split, seed)
            is_right = np.array(self.classes)[scores.argmax(1)] == side.labels[split]
            return np.atleast_1d(calibration_error(is_right, scores.max(1), side.resamples.weights[split]))

        return measure(value, len(side.labels), self.seeds, side.resamples)


def view(benches: Sequence[Bench], name: str, resamples: Resamples) -> Side:
    """Return one side of every split."""
    rows = [bench.cohort.on(name) for bench in benches]
    pairs = list(zip(benches, rows, strict=True))
    return Side(tuple(bench.project(bench.cohort.features[own]) for bench, own in pairs), tuple(bench.cohort.labels[own] for bench, own in pairs), resamples)


def train_all(benches: Sequence[Bench], configurations: Sequence[Configuration], settings: LiftSettings, told: Callable[[int, int], None]) -> Students:
    """Train every configuration in every split with every seed.

    Args:
        benches: one a split.
        configurations: those that need training.
        settings: of the court.
        told: called with (stacks done, stacks in all).
    """
    decay = choose_decay(benches, settings)
    found: dict[Configuration, list[Floats32]] = {configuration: [] for configuration in configurations}
    total = len(benches) * settings.seeds
    for split, bench in enumerate(benches):
        of_seed = []
        for seed in range(settings.seeds):
            told(split * settings.seeds + seed, total)
            pool, trainings = list_trainings(bench, configurations, settings, seed, decay)
            of_seed.append(train_students(pool, trainings, settings.steps, settings.batch_size))
        for place, configuration in enumerate(configurations):
            found[configuration].append(np.stack([weights[place] for weights in of_seed]))
    priors = tuple(_log_prior(bench) for bench in benches)
    return Students(benches[0].classes, priors, {configuration: tuple(parts) for configuration, parts in found.items()}, settings.seeds)


def _log_prior(bench: Bench) -> Floats32:
    counts = np.bincount(bench.pool.codes[: bench.pool.real], minlength=bench.pool.classes)
    prior: Floats32 = np.log(np.maximum(counts, 0.5) / bench.pool.real).astype(np.float32)
    return prior


def choose_decay(benches: Sequence[Bench], settings: LiftSettings) -> float:
    """Return the weight decay with the best macro AUPRC on val of students that see real images only; every arm then uses it."""
    scores = np.zeros(len(DECAYS))
    for bench in benches:
        own = bench.cohort.on("val")
        features, labels = bench.project(bench.cohort.features[own]), bench.cohort.labels[own]
        trainings = [Training(np.empty(0, np.int64), "none", False, decay, settings.seed) for decay in DECAYS]
        for place, weights in enumerate(train_students(bench.pool, trainings, settings.steps, settings.batch_size)):
            predicted = softmax(predict(features, weights))
            scores[place] += float(macro([auprc(labels == label, predicted[:, code]) for code, label in enumerate(bench.classes)]))
    return DECAYS[int(np.nan_to_num(scores, nan=-1.0).argmax())]
