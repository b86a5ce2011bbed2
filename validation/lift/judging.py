"""The court: every arm is trained, doses and schedules are chosen on val, test is looked at once, and a verdict is given.

The verdict is about the images that may be released at most: those that experts accepted, or those that passed the screens when nobody was asked.
It must beat every control, each with its own best dose and schedule. The unit of all intervals is the patient.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from curation.errors import UsageError
from curation.progress import Progress, silent
from validation.lift.arms import Bench, Configuration, count_added, count_patients, distinct_doses, judged_arm, list_arms, list_configurations, set_up
from validation.lift.cohort import Batch, Cohort
from validation.lift.costs import measure_costs
from validation.lift.judgement import CONTROLS, Arm, ArmResult, ClassCount, DosePoint, Estimate, Judgement, Verdict
from validation.lift.leaks import share_leaked
from validation.lift.measuring import Floats, draw_resamples, estimate
from validation.lift.source import measure_source
from validation.lift.training import REAL, TAUS, Side, Students, train_all, view
from validation.lift.verdicts import Reach, decide, decide_companion, hardest_control
from validation.recipe import LiftSettings

RULES = 2
"""Raised with whatever changes what the court, or the encoder of that name, says of the same images: an older judgement is then held again."""
VAL_DRAWS = 200
LEAST_LOW = -2.0
"""Stands for a lower bound where there is none: such a configuration is chosen last."""


def judge(cohort: Cohort, batch: Batch, settings: LiftSettings, progress: Progress = silent) -> Judgement:
    """Judge one batch on one split; see `judge_splits`."""
    return judge_splits([(cohort, batch)], settings, progress)


def judge_splits(pairs: Sequence[tuple[Cohort, Batch]], settings: LiftSettings, progress: Progress = silent) -> Judgement:
    """Judge the batches of repeated splits of the same patients together; a rare class gets more test patients that way.

    Args:
        pairs: a cohort and the batch that was made from its train rows, one a split.
        settings: of the court.
        progress: told of each step.

    Raises:
        UsageError: a class of a batch has no real train image, or there is nothing to judge.
    """
    began = time.monotonic()
    classes = tuple(sorted({label for cohort, _ in pairs for label in cohort.labels.tolist()}))
    benches = [_checked(cohort, batch, classes, settings) for cohort, batch in pairs]
    court = _open_court(benches, settings, progress)
    counts = tuple(_count(benches, label) for label in court.labels)
    progress(9, 10, "measuring on real test patients")
    arms, verdicts = _sit(court, {count.label: count for count in counts})
    progress(10, 10, "measuring on real test patients")
    return Judgement(
        verdicts=verdicts,
        arms=arms,
        doses=court.doses,
        counts=counts,
        splits=len(benches),
        seeds=settings.seeds,
        notes=(*_notes(court, counts), *_notes_on_mixtures(verdicts)),
        settings=settings.model_dump(mode="json"),
        seconds=round(time.monotonic() - began, 2),
    )


@dataclass(frozen=True)
class Court:
    """What is known before test is looked at.

    Attributes:
        benches: one a split.
        settings: of the court.
        students: everything trained.
        judged: the arm that the verdict is about.
        same: arms that hold the same images as another.
        targets: classes that are judged by themselves.
        together: of these, those that the overall verdict is about.
        labels: all classes of the batch.
        chosen: configuration of each arm, for each target and for all of them together (None).
        doses: every configuration on val.
    """

    benches: Sequence[Bench]
    settings: LiftSettings
    students: Students
    judged: Arm
    same: dict[Arm, Arm]
    targets: tuple[str, ...]
    together: tuple[str, ...]
    labels: tuple[str, ...]
    chosen: dict[str | None, dict[Arm, Configuration]]
    doses: tuple[DosePoint, ...]

    def classes_of(self, label: str | None) -> tuple[str, ...]:
        """Return the classes whose AUPRC stands for a label; None: those of the overall verdict."""
        return self.together if label is None else (label,)


def _checked(cohort: Cohort, batch: Batch, classes: tuple[str, ...], settings: LiftSettings) -> Bench:
    """Return one split, after a look at whether it can be judged."""
    known = set(cohort.labels[cohort.on("train")].tolist())
    if len(known) < 2:
        raise UsageError("the court needs real train images of at least two classes")
    if strange := sorted(set(batch.labels.tolist()) - known):
        raise UsageError(f"the batch has images of {', '.join(strange)}, of which there is no real train image to compare with")
    if cohort.features.shape[1] != batch.features.shape[1]:
        raise UsageError("real and synthetic features have different widths: embed both with the same encoder")
    return set_up(cohort, batch, classes, settings)


def _open_court(benches: Sequence[Bench], settings: LiftSettings, progress: Progress) -> Court:
    """Train everything and choose on val."""
    labels = tuple(sorted({label for bench in benches for label in bench.batch.labels.tolist()}))
    targets = _find_targets(benches, labels, settings)
    together = _with_releasable(benches, targets) or targets
    trained, same = list_arms(benches)
    configurations = list_configurations(trained, distinct_doses(benches, settings.doses), settings)
    students = train_all(benches, configurations, settings, lambda done, total: progress(1 + 6 * done // total, 10, "training every arm"))
    progress(7, 10, "choosing doses and schedules on val")
    every = [*configurations, *(Configuration("logit_adjusted", "none", tau) for tau in TAUS)]
    side = view(benches, "val", draw_resamples([bench.cohort.patients[bench.cohort.on("val")] for bench in benches], settings.seeds, VAL_DRAWS, settings.seed))
    chosen, doses = {}, []
    for label in _each_and_all(targets):
        own = together if label is None else (label,)
        found = {configuration: students.auprc(configuration, side, own) for configuration in every}
        patients = _least_patients(benches, "val", own)
        chosen[label] = _choose(found, judged_arm(benches), patients)
        doses += [_dose_point(label, configuration, values, found[REAL], patients) for configuration, values in found.items()]
    if len(targets) == 1:
        chosen[None] = chosen[targets[0]]
        doses += [replace(point, label=None) for point in doses]
    return Court(benches, settings, students, judged_arm(benches), same, targets, together, labels, chosen, tuple(doses))


def _each_and_all(targets: tuple[str, ...]) -> tuple[str | None, ...]:
    """Return the judged classes and None for all of them together; a single class stands for all, so nothing is measured twice."""
    return targets if len(targets) == 1 else (*targets, None)


def _find_targets(benches: Sequence[Bench], labels: tuple[str, ...], settings: LiftSettings) -> tuple[str, ...]:
    """Return the classes of which every batch holds at least the smallest dose; when there is none, all."""

    def fills(bench: Bench, label: str) -> bool:
        real = int((bench.cohort.labels[bench.cohort.on("train")] == label).sum())
        return int((bench.batch.labels == label).sum()) >= max(1, round(min(settings.doses) * real))

    return tuple(label for label in labels if all(fills(bench, label) for bench in benches)) or labels


def _with_releasable(benches: Sequence[Bench], labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes of which some image may be released; of the others nothing is added to any arm."""
    kept = {label for bench in benches for label in bench.batch.labels[bench.batch.releasable()].tolist()}
    return tuple(label for label in labels if label in kept)


def _least_patients(benches: Sequence[Bench], side: str, labels: Sequence[str]) -> int:
    return min(count_patients(benches, side, label) for label in labels)


def _choose(found: dict[Configuration, Floats], judged: Arm, patients: int) -> dict[Arm, Configuration]:
    """Return the configuration of each arm with the highest lower bound on val.

    Controls are compared with real images alone, synthetic arms with the control that is best on val. Without intervals the smallest dose is taken.
    """
    controls = {configuration: values for configuration, values in found.items() if configuration.arm in CONTROLS}
    chosen = {arm: _highest(found, arm, found[REAL], patients) for arm in dict.fromkeys(configuration.arm for configuration in controls)}
    best = max(chosen.values(), key=lambda configuration: float(np.nan_to_num(found[configuration][0], nan=-1.0)))
    others = dict.fromkeys(configuration.arm for configuration in found if configuration.arm not in CONTROLS)
    assert judged in others
    return chosen | {arm: _highest(found, arm, found[best], patients) for arm in others}


def _highest(found: dict[Configuration, Floats], arm: Arm, reference: Floats, patients: int) -> Configuration:
    def low(configuration: Configuration) -> float:
        bound = estimate(found[configuration] - reference, patients).low
        return LEAST_LOW if bound is None else bound

    return max((configuration for configuration in found if configuration.arm == arm), key=low)


def _dose_point(label: str | None, configuration: Configuration, values: Floats, real: Floats, patients: int) -> DosePoint:
    return DosePoint(label, *configuration, auprc=estimate(values, 0).value, gain=estimate(values - real, patients))


def _sit(court: Court, counts: dict[str, ClassCount]) -> tuple[tuple[ArmResult, ...], tuple[Verdict, ...]]:
    """Look at test once and return every arm and every verdict."""
    patients = [bench.cohort.patients[bench.cohort.on("test")] for bench in court.benches]
    side = view(court.benches, "test", draw_resamples(patients, court.settings.seeds, court.settings.draws, court.settings.seed + 1))
    arms = [result for label in _each_and_all(court.targets) for result in _measure_arms(court, side, label)]
    sources = {label: measure_source(court.benches, label, court.settings.seed) for label in court.labels}
    verdicts = [_judge_one(court, side, label, arms, counts, sources) for label in _each_and_all(court.targets)]
    if len(court.targets) == 1:
        arms += [replace(result, label=None) for result in arms]
        verdicts.append(replace(verdicts[0], label=None))
    *verdicts, overall = verdicts
    verdicts += [_judge_companion(court, overall, counts[label], sources[label]) for label in court.labels if label not in court.targets]
    return tuple(arms), (*verdicts, overall)


def _measure_arms(court: Court, side: Side, label: str | None) -> list[ArmResult]:
    """Return every arm on test, for one class or for all judged ones together."""
    own, chosen = court.classes_of(label), court.chosen[label]
    patients = _least_patients(court.benches, "test", own)
    values = {arm: court.students.auprc(configuration, side, own) for arm, configuration in chosen.items()}
    results = []
    for arm, configuration in chosen.items():
        auprc, lift = estimate(values[arm], patients), estimate(values[court.judged] - values[arm], patients)
        results.append(ArmResult(label, *configuration, auprc=auprc, lift=lift, is_judged=arm == court.judged))
    by_arm = {result.arm: result for result in results}
    return [*results, *(replace(by_arm[other], arm=arm, is_judged=False) for arm, other in court.same.items())]


def _judge_one(court: Court, side: Side, label: str | None, arms: Sequence[ArmResult], counts: dict[str, ClassCount], sources: dict[str, Estimate]) -> Verdict:
    """Return the verdict on one judged class, or on all of them together."""
    own, configuration = court.classes_of(label), court.chosen[label][court.judged]
    limit = court.settings.source_auc
    source = max((sources[name] for name in own), key=lambda found: limit if found.value is None else found.value)  # unknown: worse than known and allowed
    costs = measure_costs(court.students, side, court.benches, configuration, own, court.settings)
    passed = sum(_passed(counts[name]) for name in own)
    patients = _least_patients(court.benches, "test", own)
    hardest, leaked = hardest_control(arms, label), max(share_leaked(court.benches, name) for name in own)
    word, reason = decide(hardest, source, costs, passed, patients, court.settings, reach=_find_reach(court, side, label, hardest), leaked=leaked)
    lift = hardest.lift if hardest else Estimate(None)
    images = sum(_allowed(court.benches[0], name, configuration.dose) for name in own)
    return Verdict(
        label, word, reason, court.judged, configuration.schedule, configuration.dose, images, hardest.arm if hardest else None, lift, source, False, costs
    )


def _find_reach(court: Court, side: Side, label: str | None, hardest: ArmResult | None) -> Reach | None:
    """Return how far any dose and schedule of the judged arm may reach on test, where the chosen one would be called of no use; nothing is chosen by it."""
    if hardest is None or hardest.lift.high is None or hardest.lift.high >= court.settings.margin:
        return None
    own = court.classes_of(label)
    rival, patients = court.students.auprc(court.chosen[label][hardest.arm], side, own), _least_patients(court.benches, "test", own)
    every = [configuration for configuration in court.students.weights if configuration.arm == court.judged]
    found = [Reach(one.schedule, one.dose, estimate(court.students.auprc(one, side, own) - rival, patients)) for one in every]
    return max(found, key=lambda reach: LEAST_LOW if reach.lift.high is None else reach.lift.high)


def _judge_companion(court: Court, overall: Verdict, count: ClassCount, source: Estimate) -> Verdict:
    """Return the verdict on a class of which the batch holds too little for a dose."""
    label = count.label
    word, reason = decide(None, source, (), _passed(count), count.test_patients, court.settings, leaked=share_leaked(court.benches, label))
    own = replace(overall, label=label, word=word, reason=reason, source_auc=source, images=_allowed(court.benches[0], label, overall.dose))
    word, reason = decide_companion(overall, label, own)
    return replace(own, word=word, reason=reason, is_companion=True, lift=Estimate(None), best_control=None, costs=())


def _passed(count: ClassCount) -> int:
    return count.screened if count.accepted is None else count.accepted


def _allowed(bench: Bench, label: str, dose: float) -> int:
    """Return how many images of a class were judged: what the dose asks for, of those that there are."""
    asked = count_added(bench, dose).get(bench.classes.index(label), 0)
    return min(asked, int((bench.batch.releasable() & (bench.batch.labels == label)).sum()))


def _count(benches: Sequence[Bench], label: str) -> ClassCount:
    """Return what stands behind one class: the least over the splits for what is trained on, everything for what is tested on."""
    train = min(int(((bench.cohort.split == "train") & (bench.cohort.labels == label)).sum()) for bench in benches)
    batches = [(bench.batch, bench.batch.labels == label) for bench in benches]
    has_experts = all(batch.accepted is not None for batch, _ in batches)
    return ClassCount(
        label=label,
        train_images=train,
        val_patients=count_patients(benches, "val", label),
        test_images=sum(int(((bench.cohort.split == "test") & (bench.cohort.labels == label)).sum()) for bench in benches),
        test_patients=count_patients(benches, "test", label),
        synthetic=min(int(own.sum()) for _, own in batches),
        screened=min(int((batch.screened & own).sum()) for batch, own in batches),
        accepted=min(int((batch.releasable() & own).sum()) for batch, own in batches) if has_experts else None,
    )


FEW_PATIENTS = 30


def _notes(court: Court, counts: Sequence[ClassCount]) -> tuple[str, ...]:
    """Return sentences about what was left out and what is too small."""
    notes = []
    if any(bench.cohort.augmented is None for bench in court.benches):
        notes.append("Classical augmentation was not given, so that control is missing.")
    kept = sorted({point.dose for point in court.doses if point.arm == "duplicated"})
    if left := [dose for dose in sorted(court.settings.doses) if dose not in kept]:
        notes.append(f"Doses {', '.join(f'{dose:g}' for dose in left)} were left out: the batch has no more images than dose {kept[-1]:g} takes.")
    for count in counts:
        if count.label in court.targets and count.test_patients < FEW_PATIENTS:
            notes.append(f"{count.label} has {count.test_patients} test patients: read its numbers with their intervals.")
        if count.label in court.targets and count.val_patients < 2:
            notes.append(f"{count.label} has {count.val_patients} val patients, so the smallest dose was taken unseen.")
    return tuple(notes)


def _notes_on_mixtures(verdicts: Sequence[Verdict]) -> list[str]:
    """Say which lifts were measured beside images of another class that stay out."""
    judged = [verdict for verdict in verdicts if verdict.label is not None]
    out = [verdict.label for verdict in judged if verdict.word != "accept" and verdict.images and verdict.label is not None]
    return [
        f"{verdict.label} was judged in one batch with images of {', '.join(out)}, which are not accepted: without them its lift may differ."
        for verdict in judged
        if verdict.word == "accept" and out
    ]
