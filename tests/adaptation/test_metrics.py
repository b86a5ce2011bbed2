"""Metrics: the worked value of every docstring, and properties that must hold for any classifier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adaptation.metrics import auprc, balanced_accuracy, calibration_error, f1, macro, recall

YES_NO = np.array([True, True, True, False])
SAID = np.array([True, False, True, True])

scored = (
    st.integers(2, 30)
    .flatmap(
        lambda n: st.tuples(arrays(np.bool_, n), arrays(np.float64, n, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])), st.permutations(range(n)))
    )
    .filter(lambda drawn: drawn[0].any())
)


def test_worked_values_of_the_docstrings() -> None:
    """Each docstring states one value; it is what the function gives."""
    assert auprc(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(0.8333, abs=1e-4)
    assert recall(YES_NO, SAID) == pytest.approx(2 / 3)
    assert f1(YES_NO, SAID) == pytest.approx(0.6667, abs=1e-4)
    assert balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])) == pytest.approx(0.8333, abs=1e-4)
    assert calibration_error(np.array([True, False, True, True]), np.array([0.95, 0.95, 0.55, 0.55])) == pytest.approx(0.45)
    assert macro([np.array(0.2), np.array(0.6), np.array(np.nan)]) == pytest.approx(0.4)


@settings(deadline=None)
@given(scored)
def test_auprc_is_that_of_scikit_learn_with_ties_too(drawn: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    """The vectorised form agrees with an independent implementation."""
    from sklearn.metrics import average_precision_score

    is_class, score, _ = drawn
    assert auprc(is_class, score) == pytest.approx(average_precision_score(is_class, score))


@settings(deadline=None)
@given(scored)
def test_metrics_do_not_depend_on_the_order_of_images(drawn: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    """Any permutation of images gives the same value."""
    is_class, score, order = drawn
    said = score >= 0.5
    for metric, second in ((auprc, score), (recall, said), (f1, said), (calibration_error, score)):
        assert metric(is_class, second) == pytest.approx(metric(is_class[order], second[order]))


@settings(deadline=None)
@given(scored)
def test_a_perfect_ranking_scores_one_and_any_other_less(drawn: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    """AUPRC, recall and F1 are 1 exactly for a perfect answer, and within 0 to 1 always."""
    is_class, score, _ = drawn
    assert auprc(is_class, is_class.astype(float)) == recall(is_class, is_class) == f1(is_class, is_class) == 1
    assert 0 < auprc(is_class, score) <= 1
    if score[is_class].min() < score[~is_class].max(initial=-1):
        assert auprc(is_class, score) < 1


@settings(deadline=None)
@given(scored, st.integers(0, 3))
def test_a_weight_is_the_same_as_repeating_the_image(drawn: tuple[np.ndarray, np.ndarray, list[int]], offset: int) -> None:
    """Resamples as weights equal resamples as copies."""
    is_class, score, order = drawn
    weight = (np.array(order) + offset) % 4
    weight[np.flatnonzero(is_class)[0]] = 1
    copies = np.repeat(np.arange(len(score)), weight)
    said = score >= 0.5
    for metric, second in ((auprc, score), (recall, said), (f1, said), (calibration_error, score)):
        assert metric(is_class, second, weight) == pytest.approx(metric(is_class[copies], second[copies]))
        assert metric(is_class, second, np.stack([weight, weight]))[1] == pytest.approx(metric(is_class, second, weight))


def test_a_class_without_images_has_no_value() -> None:
    """NaN, not 0: nothing was measured."""
    nobody = np.zeros(4, bool)
    assert np.isnan(auprc(nobody, np.arange(4.0)))
    assert np.isnan(recall(nobody, SAID))
    assert np.isnan(f1(nobody, SAID))
