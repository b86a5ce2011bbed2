"""What the court refuses to look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.errors import UsageError
from tests.validation.lift.cohorts import a_batch, a_planted_cohort, with_augmentation
from validation.lift.cohort import Augmented, Batch


def test_a_cohort_with_a_patient_on_two_sides_is_refused() -> None:
    """A patient in train and test would make every comparison unfair."""
    cohort, _ = a_planted_cohort("true")
    patients = cohort.patients.copy()
    patients[-1] = patients[0]
    with pytest.raises(UsageError, match="in two splits"):
        replace(cohort, patients=patients)


@pytest.mark.parametrize(("side", "words"), [("test", "is empty"), ("holdout", "leave those rows out")])
def test_a_cohort_needs_train_val_and_test_and_nothing_else(side: str, words: str) -> None:
    """A missing or an unknown split is told."""
    cohort, _ = a_planted_cohort("true")
    split = np.where(cohort.split == "test", "train" if side == "test" else side, cohort.split)
    with pytest.raises(UsageError, match=words):
        replace(cohort, split=split)


def test_an_augmented_image_of_a_test_image_is_refused() -> None:
    """Augmentation starts from train images only."""
    cohort = with_augmentation(a_planted_cohort("true")[0])
    assert cohort.augmented is not None
    source = np.full_like(cohort.augmented.source, np.flatnonzero(cohort.split == "test")[-1])
    with pytest.raises(UsageError, match="outside train"):
        replace(cohort, augmented=replace(cohort.augmented, source=source))


def test_an_augmented_image_keeps_the_label_of_its_source() -> None:
    """Another label than that of the image it was made from is an error."""
    cohort = with_augmentation(a_planted_cohort("true")[0])
    assert cohort.augmented is not None
    wrong = Augmented(cohort.augmented.features, np.full(len(cohort.augmented.labels), "common"), cohort.augmented.source)
    with pytest.raises(UsageError, match="another label"):
        replace(cohort, augmented=wrong)


def test_arrays_of_different_lengths_are_refused() -> None:
    """The message names the array."""
    with pytest.raises(UsageError, match="another number of screened"):
        a_batch(np.zeros((4, 3)), screened=np.ones(3, bool))


def test_only_what_passed_screens_and_experts_may_be_released() -> None:
    """An image that experts accepted and a screen stopped stays out."""
    batch = Batch(np.zeros((3, 2), np.float32), np.array(["a", "a", "a"]), np.array([True, False, True]), np.array([True, True, False]))
    assert batch.releasable().tolist() == [True, False, False]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(value: float) -> None:
    """One broken row would make every training of every arm NaN; the message counts them."""
    cohort, batch = a_planted_cohort("true")
    for part in (cohort, batch):
        features = part.features.copy()
        features[3, 2] = value
        with pytest.raises(UsageError, match=r"features of 1 (real|synthetic) images"):
            replace(part, features=features)
