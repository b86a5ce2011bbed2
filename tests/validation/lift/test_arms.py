"""Every arm adds the same number of images of each class."""

from __future__ import annotations

import numpy as np
import pytest

from tests.validation.lift.cohorts import a_batch, a_planted_cohort, few_trainings, with_augmentation
from validation.lift.arms import Bench, Configuration, count_added, distinct_doses, judged_arm, list_arms, list_configurations, list_trainings, set_up
from validation.lift.cohort import Batch

CLASSES = ("common", "other", "rare")


def a_bench(screened: int = 60, accepted: int | None = None, count: int = 60) -> Bench:
    """Return the useless planted cohort; the first images passed the screens, fewer of them the experts."""
    cohort, batch = a_planted_cohort("useless", count=count)
    places = np.arange(count)
    judged = Batch(batch.features, batch.labels, places < screened, None if accepted is None else places < accepted)
    return set_up(with_augmentation(cohort), judged, CLASSES, few_trainings())


@pytest.mark.parametrize("dose", [0.5, 1.0, 4.0])
def test_all_arms_add_the_same_count(dose: float) -> None:
    """Duplicates, SMOTE, augmentation and every synthetic arm: dose x 10 images of the rare class, also where fewer passed."""
    bench = a_bench(screened=30, accepted=7)
    configurations = [Configuration(arm, "mix", dose) for arm in ("duplicated", "smote", "augmented", "unfiltered", "screened", "accepted")]
    pool, trainings = list_trainings(bench, configurations, few_trainings(), 0, 1e-3)
    assert [len(training.added) for training in trainings] == [round(10 * dose)] * 6
    assert all((pool.codes[training.added] == 2).all() for training in trainings)
    assert count_added(bench, dose) == {2: round(10 * dose)}


def test_arms_take_what_they_are_named_after() -> None:
    """Real train images are duplicated; only accepted images are in the accepted arm."""
    bench = a_bench(screened=30, accepted=7)
    _, trainings = list_trainings(bench, [Configuration("duplicated", "mix", 4.0), Configuration("accepted", "mix", 4.0)], few_trainings(), 0, 1e-3)
    assert (trainings[0].added < bench.pool.real).all()
    assert set(trainings[1].added.tolist()) == set(bench.synthetic[:7].tolist())


def test_a_class_without_releasable_images_is_added_in_no_arm() -> None:
    """Planted fault: experts refused every image of the other class. The controls would add it beside the rare one, the judged images would not."""
    cohort, batch = a_planted_cohort("useless")
    both = a_batch(batch.features, labels=np.repeat(["rare", "other"], 30), accepted=np.arange(60) < 20)
    bench = set_up(cohort, both, CLASSES, few_trainings())
    configurations = [Configuration(arm, "mix", 0.25) for arm in ("duplicated", "smote", "unfiltered", "accepted")]
    pool, trainings = list_trainings(bench, configurations, few_trainings(), 0, 1e-3)
    assert [np.bincount(pool.codes[training.added], minlength=3).tolist() for training in trainings] == [[0, 0, 2]] * 4


def test_smote_lies_between_real_images_of_the_class() -> None:
    """Each made point is inside the box of the class's train images."""
    bench = a_bench()
    pool, trainings = list_trainings(bench, [Configuration("smote", "mix", 4.0)], few_trainings(), 0, 1e-3)
    own = bench.pool.features[: bench.pool.real][bench.pool.codes[: bench.pool.real] == 2]
    made = pool.features[trainings[0].added]
    assert (made >= own.min(0) - 1e-4).all()
    assert (made <= own.max(0) + 1e-4).all()
    assert len(np.unique(made, axis=0)) == len(made)


def test_a_dose_never_takes_more_than_the_batch_holds() -> None:
    """Doses that would repeat the one before are left out."""
    bench = a_bench(count=12)
    assert count_added(bench, 5.0) == {2: 12}
    assert distinct_doses([bench], (0.5, 1.0, 2.0, 5.0)) == [0.5, 1.0, 2.0]


def test_arms_with_the_same_images_are_trained_once() -> None:
    """Where every image passed, unfiltered is screened; without experts there is no accepted arm."""
    arms, same = list_arms([a_bench()])
    assert arms == ["duplicated", "smote", "augmented", "screened"]
    assert same == {"unfiltered": "screened"}
    assert list_arms([a_bench(accepted=60)])[1] == {"unfiltered": "accepted", "screened": "accepted"}
    assert judged_arm([a_bench()]) == "screened"
    assert judged_arm([a_bench(accepted=5)]) == "accepted"


def test_every_schedule_is_tried_for_controls_too() -> None:
    """A schedule that helps by itself is not a lift of the images."""
    found = list_configurations(["duplicated", "screened"], [1.0], few_trainings(schedules=("mix", "decay")))
    assert {(one.arm, one.schedule) for one in found} >= {("duplicated", "decay"), ("screened", "decay")}


def test_the_projection_knows_real_train_images_only() -> None:
    """Other synthetic and test images change nothing."""
    cohort, batch = a_planted_cohort("true")
    features = cohort.features.copy()
    features[cohort.split == "test"] += 100
    other = type(cohort)(features, cohort.labels, cohort.patients, cohort.split)
    one, two = set_up(cohort, batch, CLASSES, few_trainings()), set_up(other, a_batch(batch.features + 50), CLASSES, few_trainings())
    np.testing.assert_array_equal(one.projection.components, two.projection.components)
    assert one.scale == two.scale
