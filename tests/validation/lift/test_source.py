"""Telling synthetic from real."""

from __future__ import annotations

import numpy as np

from tests.validation.lift.cohorts import a_batch, a_planted_cohort, few_trainings
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


def test_children_of_one_parent_are_kept_in_one_fold() -> None:
    """Planted fault: ten children of each of six real patients know their siblings, which is no mark of a generator; six parents are what is told apart."""
    random = np.random.default_rng(3)
    cohort, _ = a_planted_cohort("true", seed=3)
    own = cohort.features[(cohort.labels == "rare") & (cohort.split == "test")][:12:2]
    children = np.repeat(own, 10, axis=0) + random.normal(size=(60, own.shape[1])).astype(np.float32) / 10
    parents = np.repeat([f"parent {place}" for place in range(6)], 10)
    alone, together = (
        measure_source([set_up(cohort, a_batch(children, parents=named), ("common", "other", "rare"), few_trainings())], "rare", 0) for named in (None, parents)
    )
    assert alone.value is not None
    assert together.value is not None
    assert alone.value > 0.8
    assert together.value < 0.65
    few = a_batch(children[:40], parents=parents[:40])
    assert measure_source([set_up(cohort, few, ("common", "other", "rare"), few_trainings())], "rare", 0).value is None


def test_a_handful_of_images_says_nothing() -> None:
    """Three synthetic images are too few."""
    assert measure_source([a_bench("shortcut", screened=3)], "rare", 0).value is None
