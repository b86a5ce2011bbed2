"""Builders of planted cohorts in feature space: what the synthetic images are worth is known."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from validation.lift.cohort import Augmented, Batch, Cohort
from validation.recipe import LiftSettings

COUNTS = {"train": (120, 80, 10), "val": (50, 30, 16), "test": (300, 200, 120)}
CLASSES = np.array(["common", "other", "rare"])
WIDTH = 16


def few_trainings(**changes: Any) -> LiftSettings:
    """Return settings with which the court takes a second."""
    return LiftSettings(**{"doses": (1.0, 4.0), "schedules": ("mix",), "seeds": 2, "steps": 100, "pca": 16, "draws": 300, **changes})


def a_planted_cohort(kind: Literal["true", "useless", "shortcut"], seed: int = 0, count: int = 60, apart: float = 1.6) -> tuple[Cohort, Batch]:
    """Return real images of three Gaussian classes, two patients' worth of images each, and synthetic images of the rare one.

    Args:
        kind: `true`: drawn from the class's true distribution, so they help; `useless`: blurred copies of its ten train images;
            `shortcut`: useless ones that share a mark no real image has.
        seed: of everything.
        count: synthetic images.
        apart: distance of the class means from the origin.
    """
    random = np.random.default_rng(seed)
    means = random.normal(size=(3, WIDTH))
    means *= apart / np.linalg.norm(means, axis=1, keepdims=True)
    features, labels, split, patients = [], [], [], []
    for side, numbers in COUNTS.items():
        for code, number in enumerate(numbers):
            features.append(means[code] + random.normal(size=(number, WIDTH)))
            labels += [CLASSES[code]] * number
            split += [side] * number
            patients += [f"{side} {code} {place // 2}" for place in range(number)]
    cohort = Cohort(np.concatenate(features).astype(np.float32), np.array(labels), np.array(patients), np.array(split))
    own = cohort.features[(cohort.labels == "rare") & (cohort.split == "train")]
    noise = random.normal(size=(count, WIDTH))
    made = means[2] + noise if kind == "true" else own[random.integers(len(own), size=count)] + noise / 3
    if kind == "shortcut":
        made = made + 4 * np.eye(WIDTH)[3]
    return cohort, a_batch(made)


def a_batch(features: Any, label: str = "rare", **changes: Any) -> Batch:
    """Return a batch of one class that passed all screens."""
    number = len(features)
    return Batch(**{"features": np.asarray(features, np.float32), "labels": np.array([label] * number), "screened": np.ones(number, bool), **changes})


def with_augmentation(cohort: Cohort, each: int = 3) -> Cohort:
    """Return the cohort with each train image of the rare class shaken a few times."""
    source = np.repeat(np.flatnonzero((cohort.split == "train") & (cohort.labels == "rare")), each)
    shaken = cohort.features[source] + np.random.default_rng(0).normal(size=(len(source), WIDTH)).astype(np.float32) / 5
    return Cohort(cohort.features, cohort.labels, cohort.patients, cohort.split, cohort.subgroups, Augmented(shaken, cohort.labels[source], source))
