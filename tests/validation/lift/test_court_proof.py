"""The court's own trial: simulated cohorts whose answer is known, and the count of wrong verdicts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from validation.lift.judgement import Estimate, Word
from validation.lift.proof import Proof, Run, is_wrong, prove, rate_errors
from validation.lift.simulation import KINDS, RARE, SPACES, Kind, Space, simulate
from validation.recipe import LiftSettings

QUICK = LiftSettings(seeds=2, steps=150, draws=200)


def a_run(*, wrong: bool) -> Run:
    """Return a run with a right or wrong verdict."""
    return Run("helps", "features", 0, "reject" if wrong else "accept", wrong, Estimate(0.1), Estimate(0.5), "because")


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_simulated_cohort_depends_on_its_seed_only(kind: Kind, space: Space) -> None:
    """Equal seeds give equal arrays, others do not."""
    (first, batch), (again, same), (other, _) = simulate(kind, space, 3), simulate(kind, space, 3), simulate(kind, space, 4)
    assert (first.features == again.features).all()
    assert (batch.features == same.features).all()
    assert not np.allclose(first.features, other.features)


def test_only_the_shortcut_leaves_the_common_classes_without_synthetic_images() -> None:
    """Source and class are one there; elsewhere every class has some."""
    assert set(simulate("shortcut", "features", 0)[1].labels.tolist()) == {RARE}
    assert len(set(simulate("helps", "features", 0)[1].labels.tolist())) == 3


@pytest.mark.parametrize("kind", ["helps", "cannot help"])
def test_what_cannot_help_brings_no_new_patient_of_any_class(kind: Kind) -> None:
    """New common patients would be a help: each image is next to a train image, whereas new patients are far from all."""
    cohort, batch = simulate(kind, "features", 2)
    nearest = {}
    for label in set(batch.labels.tolist()):
        train, made = cohort.features[(cohort.split == "train") & (cohort.labels == label)], batch.features[batch.labels == label]
        nearest[label] = float(np.linalg.norm(made[:, None] - train[None], axis=2).min(axis=1).mean())
    assert len(nearest) == 3
    assert all(distance < 3 if kind == "cannot help" else distance > 6 for distance in nearest.values())


@pytest.mark.parametrize(("kind", "wrong"), [("helps", {"reject", "inconclusive"}), ("cannot help", {"accept"}), ("shortcut", {"accept", "inconclusive"})])
def test_each_kind_has_its_wrong_words(kind: Kind, wrong: set[Word]) -> None:
    """Of what cannot help, only accept is wrong; the others have one right word."""
    words: tuple[Word, ...] = ("accept", "reject", "inconclusive")
    assert {word for word in words if is_wrong(kind, word)} == wrong


def test_an_error_rate_has_the_interval_of_wilson() -> None:
    """The docstring's worked value: 1 of 20."""
    found = rate_errors([a_run(wrong=place == 0) for place in range(20)])
    assert (found.rate, round(found.low, 3), round(found.high, 3)) == (0.05, 0.009, 0.236)
    assert found.words == {"accept": 19, "reject": 1}


def test_two_wrong_verdicts_of_twenty_disprove_the_court() -> None:
    """One is 5 %, two are more, whatever the other kinds say."""
    one, two = (rate_errors([a_run(wrong=place < wrong) for place in range(20)]) for wrong in (1, 2))
    assert Proof((one,), (), {}, 0.0).is_proven
    assert not Proof((one, two), (), {}, 0.0).is_proven


def test_the_court_passes_its_trial_in_features() -> None:
    """One seed of each kind; the whole trial is `curaloop lift --prove`."""
    told: list[str] = []
    proof = prove(QUICK, 1, spaces=("features",), progress=lambda done, total, what: told.append(f"{done}/{total} {what}"))
    assert proof.is_proven, [(run.kind, run.word, run.reason) for run in proof.runs]
    assert [run.word for run in proof.runs if run.kind != "cannot help"] == ["accept", "reject"]
    assert told[-1] == "3/3 trying the court: shortcut, in features"
    assert json.loads(json.dumps(proof.to_json()))["is_proven"] is True


def test_the_trial_can_be_held_on_other_seeds() -> None:
    """Those that nobody looked at while the court was made."""
    proof = prove(LiftSettings(seeds=1, steps=10, draws=100, doses=(1.0,), schedules=("mix",)), 2, 70, ("cannot help",), ("features",))
    assert [run.seed for run in proof.runs] == [70, 71]


def test_a_court_that_tries_useless_doses_only_is_found_out() -> None:
    """A planted fault of the court itself: with hardly any image added, help cannot be seen."""
    proof = prove(LiftSettings(seeds=1, steps=150, draws=200, doses=(0.01,)), 1, kinds=("helps",), spaces=("features",))
    assert not proof.is_proven
