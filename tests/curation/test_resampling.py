"""The bootstrap over patients."""

from __future__ import annotations

import numpy as np
import pytest

from curation.resampling import interval, resample_patients


def test_an_interval_holds_the_middle_of_the_finite_values() -> None:
    """The worked value of the docstring; None where most resamples say nothing."""
    assert interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert interval(np.full(10, np.nan)) is None
    assert interval(np.array([1.0, np.nan, np.nan])) is None


def test_resamples_draw_patients_not_images() -> None:
    """All images of a patient count equally often, and each resample has as many patients as there are."""
    patients = np.array(["a", "a", "b", "c", "c", "c"])
    weight = resample_patients(patients, 200, seed=1)
    assert (weight[:, 0] == weight[:, 1]).all()
    assert (weight[:, 3] == weight[:, 5]).all()
    assert (weight[:, [0, 2, 3]].sum(1) == 3).all()
    assert (weight == resample_patients(patients, 200, seed=1)).all()


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """95 % intervals of a recall of .7, from 40 patients with 3 equal images each, hold .7 in 88 to 99 % of 200 trials."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 3)
    weight = resample_patients(patients, 300, seed=0)
    held = 0
    for _ in range(200):
        said = np.repeat(rng.random(40) < 0.7, 3)
        bounds = interval((weight * said).sum(1) / weight.sum(1))
        held += bounds is not None and bounds[0] <= 0.7 <= bounds[1]
    assert 176 <= held <= 198
