"""From numbers to words."""

from __future__ import annotations

import pytest

from validation.lift.judgement import Arm, ArmResult, Cost, Estimate, Verdict, Word
from validation.lift.verdicts import Reach, decide, decide_companion, hardest_control
from validation.recipe import LiftSettings

CLEAN = Estimate(0.6, 0.5, 0.7)


def an_arm(low: float, high: float, arm: Arm = "duplicated") -> ArmResult:
    """Return a control that the judged images were compared with."""
    return ArmResult("rare", arm, "mix", 1.0, Estimate(0.4, 0.3, 0.5), Estimate((low + high) / 2, low, high))


@pytest.mark.parametrize(
    ("low", "high", "word", "part"),
    [
        (0.01, 0.09, "accept", "Better than every control"),
        (-0.04, 0.005, "reject", "No useful lift is possible"),
        (0.001, 0.005, "reject", "No useful lift is possible"),
        (-0.02, 0.08, "inconclusive", "about"),
        (-0.05, 0.05, "inconclusive", "Not shown"),
    ],
)
def test_the_lift_over_the_hardest_control_decides(low: float, high: float, word: Word, part: str) -> None:
    """Accept above 0, reject below the margin, else say that it is not shown."""
    found, reason = decide(an_arm(low, high), CLEAN, (), 20, 100, LiftSettings())
    assert found == word
    assert part in reason


@pytest.mark.parametrize(("high", "word"), [(0.008, "reject"), (0.09, "inconclusive")])
def test_no_use_has_to_hold_at_every_dose_and_schedule(high: float, word: Word) -> None:
    """What val chose may hardly use the images; what another dose could reach is named."""
    found, reason = decide(an_arm(-0.004, 0.004), CLEAN, (), 20, 100, LiftSettings(), reach=Reach("mix", 2.0, Estimate(0.005, -0.07, high)))
    assert found == word
    assert ("mix 2x could reach +0.005 [-0.070, +0.090]" in reason) == (word == "inconclusive")


def test_the_hardest_control_is_the_one_that_is_beaten_least() -> None:
    """Synthetic arms are no controls, and what has no interval does not count."""
    arms = [an_arm(0.02, 0.1), an_arm(-0.01, 0.2, "smote"), an_arm(-0.5, -0.4, "unfiltered"), ArmResult("rare", "real", "none", 0, CLEAN, Estimate(0.1))]
    hardest = hardest_control(arms, "rare")
    assert hardest is not None
    assert hardest.arm == "smote"
    assert hardest_control(arms, "common") is None


def test_a_shortcut_is_rejected_however_good_the_lift_is() -> None:
    """Real and synthetic images that can be told apart teach the source."""
    word, reason = decide(an_arm(0.05, 0.1), Estimate(0.97, 0.92, 0.99), (), 20, 100, LiftSettings())
    assert word == "reject"
    assert reason.startswith("Shortcut")
    assert decide(an_arm(0.05, 0.1), Estimate(0.9, 0.7, 0.99), (), 20, 100, LiftSettings())[0] == "reject"
    assert decide(an_arm(0.05, 0.1), Estimate(0.89, 0.7, 0.99), (), 20, 100, LiftSettings())[0] == "accept"


def test_a_lift_of_unknown_source_is_not_accepted() -> None:
    """Too few images to tell them apart: what nobody looked at does not pass. A rejection stays one."""
    word, reason = decide(an_arm(0.05, 0.1), Estimate(None), (), 3, 100, LiftSettings())
    assert word == "inconclusive"
    assert "draw more" in reason
    assert decide(an_arm(-0.05, -0.01), Estimate(None), (), 3, 100, LiftSettings())[0] == "reject"


def test_harm_elsewhere_is_rejected_and_named() -> None:
    """The class that loses stands in the reason."""
    costs = (Cost("class", "common", Estimate(-0.06, -0.09, -0.03), True), Cost("class", "other", Estimate(0.0, -0.01, 0.01), False))
    word, reason = decide(an_arm(0.05, 0.1), CLEAN, costs, 20, 100, LiftSettings())
    assert word == "reject"
    assert "common -0.060" in reason
    assert "other" not in reason


def test_harm_that_only_the_correction_hides_is_doubted() -> None:
    """Planted fault: looking at many places makes harm harder to show, which must not make a batch easier to accept."""
    costs = (Cost("class", "common", Estimate(-0.04, -0.07, -0.01), False, True), Cost("class", "other", Estimate(0.0, -0.01, 0.01), False))
    word, reason = decide(an_arm(0.05, 0.1), CLEAN, costs, 20, 100, LiftSettings())
    assert word == "inconclusive"
    assert "common -0.040" in reason
    assert "other" not in reason
    assert decide(an_arm(-0.05, -0.01), CLEAN, costs, 20, 100, LiftSettings())[0] == "reject"


@pytest.mark.parametrize(("patients", "word"), [(2, "inconclusive"), (5, "inconclusive"), (6, "accept")])
def test_a_handful_of_test_patients_decides_nothing(patients: int, word: Word) -> None:
    """Five patients who all gain by chance do so in 3 % of cases, so an interval from them is not worth its 95 %."""
    assert decide(an_arm(0.05, 0.1), CLEAN, (), 20, patients, LiftSettings())[0] == word


def test_without_test_patients_nothing_is_decided() -> None:
    """The reason says what would help."""
    word, reason = decide(None, Estimate(None), (), 20, 1, LiftSettings())
    assert word == "inconclusive"
    assert "several splits" in reason


def test_where_nothing_passed_there_is_nothing_to_release() -> None:
    """The screens or the experts took everything."""
    assert decide(an_arm(0.05, 0.1), CLEAN, (), 0, 100, LiftSettings())[0] == "reject"


@pytest.mark.parametrize("word", ["accept", "reject", "inconclusive"])
def test_a_counter_weight_goes_with_the_batch(word: Word) -> None:
    """Unless it does harm by itself."""
    overall = Verdict(None, word, "because", "screened", "mix", 1.0, 20, "duplicated", CLEAN, CLEAN)
    own = Verdict("common", "inconclusive", "too few", "screened", "mix", 1.0, 3, None, Estimate(None), CLEAN)
    assert decide_companion(overall, "common", own)[0] == word
    shortcut = Verdict("common", "reject", "Shortcut: told apart", "screened", "mix", 1.0, 3, None, Estimate(None), CLEAN)
    assert decide_companion(overall, "common", shortcut)[0] == "reject"
