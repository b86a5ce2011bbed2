"""Intervals: the same metric as elsewhere, paired, and pooled by patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptation.metrics import auprc
from validation.lift import measuring
from validation.lift.measuring import bound, draw_resamples, estimate, mean_of, pool_values, resampled_auprc


@given(st.integers(2, 40), st.integers(0, 10_000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_both_ways_to_the_auprc_agree_with_the_metric(number: int, seed: int, has_ties: bool) -> None:
    """By matrix product and by sorting, with ties and without."""
    random = np.random.default_rng(seed)
    is_class = random.random(number) < 0.4
    is_class[0] = True
    score = (random.integers(0, 4, number) if has_ties else random.random(number)).astype(np.float32)
    weights = random.integers(0, 3, (5, number)).astype(np.float32)
    wanted = auprc(is_class, score, weights)
    for way in (measuring._by_product, measuring._by_sorting):
        counted, shown, found = way(is_class, score, weights)
        with np.errstate(invalid="ignore"):
            values = (counted * np.where(shown > 0, found / np.maximum(shown, 1e-9), 0)).sum(1) / counted.sum(1)
        np.testing.assert_allclose(values, wanted, atol=1e-5)
    np.testing.assert_allclose(resampled_auprc(is_class, score, weights), wanted, atol=1e-5)


def test_a_class_that_is_missing_has_no_auprc() -> None:
    """NaN in every resample."""
    assert np.isnan(resampled_auprc(np.zeros(3, bool), np.ones(3, np.float32), np.ones((2, 3), np.float32))).all()


def test_the_first_resample_counts_everything_once() -> None:
    """It is the value itself."""
    drawn = draw_resamples([np.array(["a", "b", "b"])], seeds=2, draws=50, seed=0)
    assert drawn.weights[0].shape == (51, 3)
    assert drawn.weights[0][0].tolist() == [1, 1, 1]
    assert drawn.seeds[0].tolist() == [[0, 1]]
    np.testing.assert_array_equal(drawn.weights[0][:, 1], drawn.weights[0][:, 2])


def test_a_patient_in_two_splits_counts_the_same_in_both() -> None:
    """Repeated splits are pooled by patient: the same person is not two."""
    drawn = draw_resamples([np.array(["a", "b"]), np.array(["b", "c"])], seeds=1, draws=30, seed=1)
    np.testing.assert_array_equal(drawn.weights[0][:, 1], drawn.weights[1][:, 0])
    assert drawn.splits.shape == (31, 2)


def test_values_are_averaged_over_the_drawn_seeds() -> None:
    """The worked value of the docstring, and NaN does not count."""
    drawn = draw_resamples([np.array(["a", "b"])], seeds=2, draws=1, seed=0)
    values = np.array([[[0.2, 0.2], [0.4, np.nan]]])
    pooled = pool_values(values, drawn)
    assert pooled[0] == pytest.approx(0.3)
    assert np.isnan(pooled[1]) or pooled[1] == pytest.approx(0.2)


def test_an_estimate_has_no_interval_without_patients() -> None:
    """One patient cannot be resampled."""
    values = np.linspace(0, 1, 101)
    assert estimate(values, 1).low is None
    assert estimate(values, 2).high == pytest.approx(0.976, abs=0.01)
    assert estimate(np.array([np.nan, 1.0]), 9).value is None


def test_looking_at_more_places_widens_the_bounds() -> None:
    """Bonferroni: what is seen in one of ten places must be clearer."""
    values = np.append(0.1, np.random.default_rng(0).normal(0.1, 0.04, 500))
    one, ten = bound(values, 1), bound(values, 10)
    assert ten[0] < one[0] < 0.1 < one[1] < ten[1]
    assert one[1] - 0.1 == pytest.approx(1.96 * 0.04, rel=0.1)


def test_a_mean_over_classes_needs_all_of_them() -> None:
    """A resample without a patient of one class has no mean."""
    assert np.isnan(mean_of([np.array([0.2]), np.array([np.nan])]))[0]
