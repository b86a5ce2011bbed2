"""The court on planted batches: what helps wins, what does not never does, a shortcut is caught."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from curation.errors import UsageError
from tests.validation.lift.cohorts import a_batch, a_planted_cohort, few_trainings, with_augmentation
from validation.lift.cohort import Batch
from validation.lift.judgement import CONTROLS
from validation.lift.judging import judge, judge_splits


def test_images_of_the_true_distribution_are_accepted() -> None:
    """Over every control, with the numbers to show for it."""
    cohort, batch = a_planted_cohort("true", seed=6)
    found = judge(with_augmentation(cohort), batch, few_trainings())
    verdict = found.of("rare")
    assert verdict.word == found.overall.word == "accept"
    assert verdict.lift.low is not None
    assert verdict.lift.low > 0
    assert verdict.images == round(10 * verdict.dose)
    assert {arm.arm for arm in found.arms if arm.label == "rare"} == {*CONTROLS, "unfiltered", "screened"}
    assert all(arm.lift.low is not None and arm.lift.low > 0 for arm in found.arms if arm.arm in CONTROLS)
    assert [cost.name for cost in verdict.costs] == ["common", "other", "ECE"]
    json.dumps(found.to_json())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_blurred_copies_of_train_images_are_never_accepted(seed: int) -> None:
    """They know nothing that the train images do not."""
    assert judge(*a_planted_cohort("useless", seed), few_trainings()).overall.word != "accept"


def test_a_shortcut_is_rejected_and_called_one() -> None:
    """The images share a mark that no real image has."""
    verdict = judge(*a_planted_cohort("shortcut"), few_trainings()).of("rare")
    assert verdict.word == "reject"
    assert verdict.reason.startswith("Shortcut")


@pytest.mark.parametrize("side", ["val", "test"])
def test_images_of_val_or_test_patients_are_a_leak_whatever_they_would_bring(side: str) -> None:
    """Handed in as they are, or changed a little; unseen images of other patients are none, and a single near-duplicate of many is none."""
    cohort, batch = a_planted_cohort("true", seed=3)
    own = cohort.features[(cohort.labels == "rare") & (cohort.split == side)]
    changed = own + np.random.default_rng(0).normal(0, 0.05, own.shape)
    for leaked in (own, changed):
        verdict = judge(cohort, a_batch(leaked), few_trainings(doses=(1.0,), seeds=1)).of("rare")
        assert verdict.word == "reject"
        assert verdict.reason.startswith("Leak: 100% of the images are almost equal to a real image of val or test")
    once = a_batch(np.concatenate([batch.features, own[:1]]))
    assert "Leak" not in judge(cohort, once, few_trainings(doses=(1.0,), seeds=1)).of("rare").reason


def test_the_same_batch_is_judged_the_same_way() -> None:
    """Everything is seeded."""
    one, two = (judge(*a_planted_cohort("true"), few_trainings()) for _ in range(2))
    assert replace(one, seconds=0) == replace(two, seconds=0)


def test_doses_and_schedules_are_chosen_without_test() -> None:
    """With other test labels the choice stays, the numbers do not."""
    cohort, batch = a_planted_cohort("true", seed=2)
    labels = cohort.labels.copy()
    own = np.flatnonzero(cohort.split == "test")
    labels[own] = np.random.default_rng(0).permutation(labels[own])
    settings = few_trainings(schedules=("mix", "decay"))
    plain, shuffled = judge(cohort, batch, settings), judge(replace(cohort, labels=labels), batch, settings)
    assert plain.doses == shuffled.doses
    assert [(arm.arm, arm.schedule, arm.dose) for arm in plain.arms] == [(arm.arm, arm.schedule, arm.dose) for arm in shuffled.arms]
    assert plain.of("rare").lift != shuffled.of("rare").lift


def test_only_what_experts_accepted_is_judged() -> None:
    """Good images that nobody accepted do not win for the useless ones that were accepted."""
    cohort, good = a_planted_cohort("true", seed=6)
    _, bad = a_planted_cohort("useless", seed=6)
    accepted = np.arange(120) >= 60
    batch = Batch(np.concatenate([good.features, bad.features]), np.array(["rare"] * 120), np.ones(120, bool), accepted)
    found = judge(cohort, batch, few_trainings())
    assert found.of("rare").arm == "accepted"
    assert found.of("rare").word != "accept"
    assert found.counts[0].accepted == 60


def test_nothing_accepted_is_nothing_released() -> None:
    """Experts refused every image."""
    cohort, batch = a_planted_cohort("true")
    verdict = judge(cohort, replace(batch, accepted=np.zeros(60, bool)), few_trainings()).overall
    assert (verdict.word, verdict.images) == ("reject", 0)


def test_a_class_of_which_nothing_passed_is_rejected_and_left_out_of_the_whole() -> None:
    """The overall verdict is about what may be released; that of the class says that there is nothing."""
    cohort, batch = a_planted_cohort("true", seed=6)
    _, other = a_planted_cohort("true", seed=7, count=30)
    both = a_batch(np.concatenate([batch.features, other.features]), labels=np.repeat(["rare", "other"], [60, 30]), accepted=np.arange(90) < 60)
    found = judge(cohort, both, few_trainings(doses=(0.25, 1.0)))
    assert (found.of("other").word, found.of("other").images) == ("reject", 0)
    assert found.overall.lift == found.of("rare").lift
    assert found.overall.word == found.of("rare").word


def test_a_few_images_of_another_class_go_with_the_batch() -> None:
    """Counter-balance: too few for a dose of their own, so the batch decides."""
    cohort, batch = a_planted_cohort("true", seed=6)
    few = cohort.features[(cohort.labels == "common") & (cohort.split == "train")][:8] + 0.01
    both = a_batch(np.concatenate([batch.features, few]), labels=np.array(["rare"] * 60 + ["common"] * 8))
    found = judge(cohort, both, few_trainings(source_auc=1.0))
    assert found.of("common").is_companion
    assert found.of("common").word == found.overall.word
    assert [verdict.label for verdict in found.verdicts] == ["rare", "common", None]


def test_few_val_patients_who_choose_a_schedule_that_does_nothing_do_not_make_images_useless() -> None:
    """Images that truly help, five val patients: a small dose of `pretrain` ends on real images alone, has the narrowest interval, and is chosen."""
    cohort, batch = a_planted_cohort("true", apart=1.3)
    kept = np.ones(len(cohort.labels), bool)
    kept[np.flatnonzero((cohort.split == "val") & (cohort.labels == "rare"))[10:]] = False
    few = replace(cohort, features=cohort.features[kept], labels=cohort.labels[kept], patients=cohort.patients[kept], split=cohort.split[kept])
    verdict = judge(few, batch, few_trainings(doses=(0.2, 4.0), schedules=("mix", "pretrain"), margin=0.02)).of("rare")
    assert (verdict.schedule, verdict.dose) == ("pretrain", 0.2)
    assert verdict.lift.high is not None
    assert verdict.lift.high < 0.02
    assert verdict.word == "inconclusive"
    assert "mix 4x could reach" in verdict.reason


def test_splits_are_pooled_by_patient() -> None:
    """Two splits show more test images, of the same patients."""
    pair = a_planted_cohort("true", seed=6)
    found = judge_splits([pair, pair], few_trainings(doses=(2.0,)))
    assert (found.splits, found.counts[0].test_images, found.counts[0].test_patients) == (2, 240, 60)


def test_a_batch_that_does_harm_in_a_subgroup_is_rejected() -> None:
    """Images of another class under the rare one's name cost the class its AUPRC in both sites; the reason names them."""
    cohort, _ = a_planted_cohort("true", seed=1)
    cohort = replace(cohort, subgroups={"site": np.where(np.arange(len(cohort.labels)) % 4 < 2, "A", "B")})
    other = cohort.features[(cohort.labels == "other") & (cohort.split == "train")]
    verdict = judge(cohort, a_batch(np.repeat(other, 2, axis=0)), few_trainings(doses=(10.0,), source_auc=1.0)).of("rare")
    assert [cost.name for cost in verdict.costs if cost.is_harm and cost.kind == "subgroup"] == ["site=A", "site=B"]
    assert verdict.word == "reject"
    assert "site=A" in verdict.reason


@pytest.mark.parametrize(("label", "words"), [("unknown", "no real train image"), ("rare", "the same encoder")])
def test_what_cannot_be_compared_is_refused(label: str, words: str) -> None:
    """A class without real train images, and features of another encoder."""
    cohort, batch = a_planted_cohort("true")
    with pytest.raises(UsageError, match=words):
        judge(cohort, a_batch(batch.features if label == "unknown" else batch.features[:, :5], label), few_trainings())


def test_small_sets_and_missing_controls_are_told() -> None:
    """Notes: no augmentation, doses that the batch cannot fill."""
    cohort, batch = a_planted_cohort("true", count=15)
    notes = " ".join(judge(cohort, batch, few_trainings(doses=(1.0, 2.0, 5.0))).notes)
    assert "Classical augmentation was not given" in notes
    assert "Doses 5 were left out" in notes
