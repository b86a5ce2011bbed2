"""The student: equal steps for every arm, and schedules that do what they say."""

from __future__ import annotations

import numpy as np
import pytest

from validation.lift.judgement import Schedule
from validation.lift.student import Pool, Training, draw_batches, predict, softmax, train_students

REAL, ADDED = 60, 30


def a_pool() -> Pool:
    """Return 60 real images of two classes, then 30 more of the second."""
    random = np.random.default_rng(0)
    codes = np.array([0] * 50 + [1] * 10 + [1] * ADDED, dtype=np.int64)
    features = (random.normal(size=(len(codes), 4)) + codes[:, None]).astype(np.float32)
    return Pool(features, codes, REAL, 2)


def a_training(schedule: Schedule = "mix", seed: int = 0, added: int = ADDED, is_weighted: bool = False) -> Training:
    """Return a training that adds the first images after the real ones."""
    return Training(np.arange(REAL, REAL + added), schedule, is_weighted, 1e-3, seed)


def test_equal_trainings_give_equal_weights_however_many_run_beside_them() -> None:
    """The size of a stack changes nothing."""
    trainings = [a_training(seed=seed) for seed in (0, 1, 0)]
    together = train_students(a_pool(), trainings, 20, 8)
    alone = train_students(a_pool(), trainings, 20, 8, stack=1)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(together[0], together[2])
    assert not np.array_equal(together[0], together[1])


def test_the_student_learns_what_can_be_told_apart() -> None:
    """Two classes whose means are two deviations apart: the best possible accuracy is .84."""
    pool = a_pool()
    weights = train_students(pool, [a_training()], 300, 32)[0]
    right = softmax(predict(pool.features, weights)).argmax(1) == pool.codes
    assert right.mean() > 0.78


def test_mixing_draws_every_image_equally_often() -> None:
    """30 of 90 images are added ones."""
    rows = draw_batches(a_pool(), a_training("mix"), 400, 32)
    assert rows.shape == (400, 32)
    assert (rows >= REAL).mean() == pytest.approx(1 / 3, abs=0.02)


def test_pretraining_ends_with_real_images_only() -> None:
    """Before that, real images of the class that is added to are left out."""
    pool = a_pool()
    rows = draw_batches(pool, a_training("pretrain"), 100, 32)
    first, second = rows[:50], rows[50:]
    assert (second < REAL).all()
    assert (first >= REAL).any()
    assert (pool.codes[first[first < REAL]] == 0).all()


def test_decay_takes_fewer_and_fewer_added_images() -> None:
    """The last step sees real images only."""
    is_added = draw_batches(a_pool(), a_training("decay"), 200, 64) >= REAL
    assert is_added[:50].mean() > is_added[100:150].mean() > 0
    assert not is_added[-1].any()


def test_without_added_images_every_schedule_sees_real_ones_only() -> None:
    """Nothing is added: nothing else is seen."""
    assert (draw_batches(a_pool(), a_training("decay", added=0), 50, 32) < REAL).all()


def test_class_weights_raise_the_rare_class() -> None:
    """The mean probability of the rare class is higher with them."""
    pool = a_pool()
    trainings = [a_training("none", added=0), a_training("none", added=0, is_weighted=True)]
    plain, weighted = (softmax(predict(pool.features, weights))[:, 1].mean() for weights in train_students(pool, trainings, 200, 32))
    assert weighted > plain + 0.1
