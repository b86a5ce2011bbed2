"""What the court says before there is a generator: of held-back real images, and of common images that were moved onto a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.errors import UsageError
from tests.validation.lift.cohorts import a_planted_cohort, few_trainings, with_augmentation
from validation.lift.cohort import Cohort
from validation.lift.foresight import foresee, hand_in_half, move_common, see_patients
from validation.lift.judgement import Word


def test_half_of_the_patients_is_handed_in_and_stays_nowhere_else() -> None:
    """No image, no patient and no augmented copy of theirs is left in train."""
    cohort = with_augmentation(a_planted_cohort("true")[0])
    rest, batch = hand_in_half(cohort, ["rare"], few_trainings(), draw=1)
    train = (rest.split == "train") & (rest.labels == "rare")
    assert batch.parents is not None
    assert (len(batch.features), int(train.sum())) == (4, 6)  # 5 patients of 2 images each
    assert not set(batch.parents) & set(rest.patients)
    assert rest.augmented is not None
    assert len(rest.augmented.features) == 3 * 6
    assert (rest.labels[rest.augmented.source] == "rare").all()
    real = {row.tobytes() for row in cohort.features}
    assert all(row.tobytes() in real for row in batch.features)
    other = hand_in_half(cohort, ["rare"], few_trainings(), draw=2)[1]
    assert other.parents is not None
    assert set(other.parents) != set(batch.parents)


def test_moved_images_have_the_mean_of_the_class_and_the_spread_of_the_common_ones() -> None:
    """As many as the largest dose takes, from train images only."""
    cohort = a_planted_cohort("true")[0]
    _, batch = move_common(cohort, ["rare"], few_trainings(doses=(1.0, 40.0)), draw=0)
    own = cohort.features[(cohort.split == "train") & (cohort.labels == "rare")]
    assert len(batch.features) == 400
    assert np.abs(batch.features.mean(axis=0) - own.mean(axis=0)).max() < 0.25
    assert batch.features.std(axis=0).mean() == pytest.approx(1.0, abs=0.1)
    assert batch.parents is not None
    assert all(parent.startswith("train") for parent in batch.parents)


def test_a_test_set_that_can_show_a_lift_is_told_from_one_that_cannot() -> None:
    """The same 20 train images of a class, with 55 test patients and with 3."""
    cohort = a_planted_cohort("true", seed=6)[0]
    split, test = cohort.split.copy(), np.flatnonzero((cohort.split == "test") & (cohort.labels == "rare"))
    split[test[:10]] = "train"
    large = replace(cohort, split=split)
    kept = np.setdiff1d(np.arange(len(split)), test[16:])
    small = Cohort(cohort.features[kept], cohort.labels[kept], cohort.patients[kept], split[kept])
    words = []
    for one in (large, small):
        found = foresee("colour-2d", one, ["rare"], few_trainings(doses=(1.0,), seeds=3))
        words.append(found.verdict("real", "rare").word)
        assert [(part.kind, len(part.verdicts)) for part in found.found] == [("real", 2), ("moved", 2)]
        assert [part.images for part in found.found] == [{"rare": 10}, {"rare": 20}]
    assert words == ["accept", "inconclusive"]
    assert found.test_patients == {"rare": 3}
    assert "There are 3 test patients" in found.advise("rare")


def test_the_advice_follows_the_two_verdicts() -> None:
    """Each pair of words has its sentence."""
    found = foresee("colour-2d", a_planted_cohort("true", seed=6)[0], ["rare"], few_trainings())
    advice = {}
    pairs: list[tuple[Word, Word]] = [("reject", "accept"), ("inconclusive", "accept"), ("accept", "reject"), ("accept", "accept")]
    for pair in pairs:
        parts = [replace(part, verdicts=(replace(part.verdicts[0], word=word),)) for part, word in zip(found.found, pair, strict=True)]
        advice[pair] = replace(found, found=tuple(parts)).advise("rare")
    assert "even real images of other patients would not be accepted" in advice["reject", "accept"]
    assert found.verdict("real", "rare").reason in advice["reject", "accept"]
    assert "Collect test patients" not in advice["reject", "accept"]
    assert "Collect test patients" in advice["inconclusive", "accept"]
    assert "knows more" in advice["accept", "reject"]
    assert "worth a try" in advice["accept", "accept"]


def test_too_few_patients_or_no_common_class_is_refused() -> None:
    """The sentence names the class and the number."""
    cohort = a_planted_cohort("true")[0]
    lone = replace(cohort, patients=np.where((cohort.split == "train") & (cohort.labels == "rare"), "one", cohort.patients))
    with pytest.raises(UsageError, match="rare has 1 train patients, and 4 are needed"):
        hand_in_half(lone, ["rare"], few_trainings(), draw=0)
    with pytest.raises(UsageError, match="no common one"):
        move_common(cohort, ["common", "other", "rare"], few_trainings(), draw=0)


def test_a_class_that_cannot_be_halved_is_told_with_what_to_do() -> None:
    """Counting patients needs no features, so it is asked before anything is embedded."""
    see_patients({"large": 9, "just enough": 4})
    with pytest.raises(UsageError, match="rare has 3 train patients, and 4 are needed to hold half of them back: collect more"):
        see_patients({"large": 9, "rare": 3})
