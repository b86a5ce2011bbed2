"""Telling synthetic from real."""

from __future__ import annotations

import numpy as np

from tests.validation.lift.cohorts import a_planted_cohort, few_trainings
from validation.lift.arms import Bench, set_up
from validation.lift.cohort import Batch
from validation.lift.source import measure_source


def a_bench(kind: str, screened: int = 60) -> Bench:
    """Return a planted cohort of which the first images passed the screens."""
    cohort, batch = a_planted_cohort(kind)  # type: ignore[arg-type]
    return set_up(cohort, Batch(batch.features, batch.labels, np.arange(60) < screened), ("common", "other", "rare"), few_trainings())


def test_images_of_the_true_distribution_cannot_be_told_apart() -> None:
    """The interval holds one half."""
    found = measure_source([a_bench("true")], "rare", 0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high


def test_a_mark_that_no_real_image_has_is_found() -> None:
    """Even the lower bound is high."""
    found = measure_source([a_bench("shortcut")], "rare", 0)
    assert found.low is not None
    assert found.low > 0.9


def test_a_handful_of_images_says_nothing() -> None:
    """Three synthetic images are too few."""
    assert measure_source([a_bench("shortcut", screened=3)], "rare", 0).value is None
