"""From numbers to words: when the court accepts, rejects, or says that it cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from validation.lift.judgement import CONTROLS, Arm, ArmResult, Cost, Estimate, Schedule, Verdict, Word
from validation.lift.leaks import LEAST_SHARE
from validation.recipe import LiftSettings

LEAST_TEST_PATIENTS = 6
"""With fewer, 2^-n is above 2.5 %: all of them can gain by chance, and no interval is worth its 95 %."""
NAMES: dict[Arm, str] = {
    "real": "real images alone",
    "weighted": "class weights",
    "logit_adjusted": "logit adjustment",
    "duplicated": "duplicated real images at the same count",
    "augmented": "classical augmentation at the same count",
    "smote": "SMOTE at the same count",
    "unfiltered": "unfiltered synthetic images",
    "screened": "screened synthetic images",
    "accepted": "synthetic images that experts accepted",
}


def hardest_control(arms: Sequence[ArmResult], label: str | None) -> ArmResult | None:
    """Return the control over which the lower bound of the lift is lowest: who beats this one beats all. None: no control has an interval."""
    own = [arm for arm in arms if arm.label == label and arm.arm in CONTROLS and arm.lift.low is not None]
    return min(own, key=lambda arm: arm.lift.low if arm.lift.low is not None else 0.0, default=None)


class Reach(NamedTuple):
    """The dose and schedule of the judged arm whose lift over the hardest control may be largest on test, whatever val chose."""

    schedule: Schedule
    dose: float
    lift: Estimate


def decide(
    hardest: ArmResult | None,
    source: Estimate,
    costs: Sequence[Cost],
    passed: int,
    patients: int,
    settings: LiftSettings,
    *,
    reach: Reach | None = None,
    leaked: float = 0.0,
) -> tuple[Word, str]:
    """Return the word and its reason.

    Args:
        hardest: of `hardest_control`.
        source: how well real and synthetic images can be told apart.
        costs: elsewhere.
        passed: images that the judged arm has.
        patients: test patients of the class.
        settings: of the court.
        reach: without it the chosen dose and schedule speak for all.
        leaked: of `share_leaked`.
    """
    if not passed:
        return "reject", "No image passed the screens and the experts, so there is nothing that could be released."
    if leaked >= LEAST_SHARE:
        return "reject", (
            f"Leak: {leaked:.0%} of the images are almost equal to a real image of val or test, which no generator may know. "
            "Find out what it learned from; no figure here is fair."
        )
    if source.value is not None and source.value >= settings.source_auc:
        return "reject", (
            f"Shortcut: real and synthetic images are told apart with an area under the ROC curve of {_shown(source)}, "
            f"the recipe allows less than {settings.source_auc:g}. A model can learn the source instead of the class."
        )
    if harms := [cost for cost in costs if cost.is_harm]:
        return "reject", f"Harm elsewhere, compared with real images alone: {_list_costs(harms)}."
    if hardest is None or patients < LEAST_TEST_PATIENTS:
        return "inconclusive", (
            f"There are {patients} test patients of the class: too few for an interval, {LEAST_TEST_PATIENTS} are needed. "
            "Collect more, or judge several splits together."
        )
    word, reason = _weigh(hardest, patients, settings.margin, reach)
    if word == "accept" and source.value is None:
        return "inconclusive", f"{reason} But too few images of the class are left to tell whether their source is a shortcut: draw more."
    if word == "accept" and (doubts := [cost for cost in costs if cost.is_suspected]):
        return "inconclusive", f"{reason} But there may be harm elsewhere, to be looked at with more test patients: {_list_costs(doubts)}."
    return word, reason


def _list_costs(costs: Sequence[Cost]) -> str:
    return "; ".join(f"{cost.name} {_shown(cost.change, signed=True)}" for cost in costs)


def _weigh(hardest: ArmResult, patients: int, margin: float, reach: Reach | None) -> tuple[Word, str]:
    """Decide by the lift over the hardest control alone.

    *No use* has to hold at every dose and schedule: where val has few patients, the highest lower end is often that of a schedule that hardly uses the
    images, and that this one brings nothing says nothing about them.
    """
    lift, rival = hardest.lift, NAMES[hardest.arm]
    assert lift.value is not None
    assert lift.low is not None
    assert lift.high is not None
    if lift.high < margin and reach is not None and reach.lift.high is not None and reach.lift.high >= margin:
        return "inconclusive", (
            f"Not shown: {_shown(lift, signed=True)} AUPRC against {rival} at the dose and schedule that val chose; "
            f"{reach.schedule} {reach.dose:g}x could reach {_shown(reach.lift, signed=True)}. More val patients would choose better."
        )
    if lift.high < margin:
        return "reject", f"No useful lift is possible: {_shown(lift, signed=True)} AUPRC against {rival}; even the upper bound is below {margin:g}."
    if lift.low > 0:
        return "accept", f"Better than every control on real test patients: {_shown(lift, signed=True)} AUPRC against {rival}, the hardest one."
    sentence = f"Not shown: {_shown(lift, signed=True)} AUPRC against {rival}, with {patients} test patients of the class."
    if lift.value > margin:
        needed = round(patients * max(1.0, ((lift.high - lift.low) / 2 / lift.value) ** 2))
        sentence += f" If the value is right, about {needed} would show it."
    return "inconclusive", sentence


def decide_companion(overall: Verdict, label: str, own: Verdict) -> tuple[Word, str]:
    """Return the verdict on a class of which the batch holds too few images for a dose of their own: it goes with the batch, unless it does harm."""
    if own.word == "reject":
        return own.word, own.reason
    few = f"Counter-weight: the batch holds too few images of {label} for the smallest dose, so they are judged with the batch, which is"
    return overall.word, f"{few} {'accepted' if overall.word == 'accept' else 'rejected' if overall.word == 'reject' else 'undecided'}."


def _shown(estimate: Estimate, *, signed: bool = False) -> str:
    """Return `+.021 [-.004, +.050]`."""
    form = "+.3f" if signed else ".3f"
    if estimate.low is None or estimate.high is None:
        return "unknown" if estimate.value is None else format(estimate.value, form)
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"
