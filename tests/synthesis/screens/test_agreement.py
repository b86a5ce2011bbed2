"""The class screen stops images of another class, and says how sure its members are."""

from __future__ import annotations

import numpy as np

from synthesis.screens.agreement import agreement_by_condition, fit_agreement, measure_agreement
from tests.synthesis.screens.builders import GROUPS, LABELS, TRAIN, UNSEEN, features_of

SCREEN = fit_agreement(features_of(TRAIN), LABELS, GROUPS)


def test_a_candidate_of_another_class_is_caught() -> None:
    """Real unseen stripes offered as discs are the planted fault: stopped; real unseen discs pass."""
    power = measure_agreement(SCREEN, features_of(UNSEEN), LABELS, "disc", 0.2)
    assert power.passed is not None
    assert power.stopped is not None
    assert (power.passed.of, power.stopped.of) == (60, 60)
    assert power.passed.share >= 0.9
    assert power.stopped.share >= 0.9


def test_probabilities_of_all_classes_add_up() -> None:
    """The wanted class is looked up by name, in every member."""
    features = features_of(UNSEEN)
    assert np.allclose(sum(SCREEN.probabilities(features, [label] * len(UNSEEN)) for label in SCREEN.classes), 1)


def test_members_differ_and_their_spread_is_told() -> None:
    """Each saw other patients."""
    assert max(judged["spread"] for judged in SCREEN.judge(features_of(UNSEEN), LABELS, 0.2)) > 0


def test_a_class_that_train_lacks_is_never_agreed_with() -> None:
    """Nobody can say what it looks like."""
    assert not SCREEN.judge(features_of(UNSEEN[:1]), ["unheard of"], 0.2)[0]["passed"]


def test_agreement_is_counted_by_condition() -> None:
    """A candidate counts for its label and for its site; the worst condition is seen."""
    asked = [{"label": "disc", "site": "north"}, {"label": "disc", "site": "south"}, {"label": "disc", "site": "south"}]
    shares = {name: rate.share for name, rate in agreement_by_condition(asked, [True, False, False]).items()}
    assert shares == {"label=disc": 0.3333, "site=north": 1.0, "site=south": 0.0}
