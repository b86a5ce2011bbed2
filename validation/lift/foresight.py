"""Before a generator is trained: what would real images bring in the place of its images, what would a perfect edit bring, and could this test set show it?

Two batches that need no generator come before the court, as if they were synthetic and experts had accepted them:

- `real`: half of a class's train patients, taken out of train. It stands for images that are as good as those of new patients. When the court does not
  accept these, it will hardly accept generated ones: there are too few test patients, or more images of the class do not help this student.
- `moved`: common train images, moved in feature space by the difference between the class's mean and that of their own class. It stands for edits of
  common images that change nothing but what they should, made by a generator that knows the class from these train images only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from curation.errors import UsageError
from curation.progress import Progress, silent
from validation.lift.cohort import Batch, Cohort
from validation.lift.judgement import Verdict
from validation.lift.judging import judge_splits
from validation.recipe import LiftSettings

HALVES = 3
"""Draws that are pooled: other halves, other images that are moved."""
LEAST_PATIENTS = 4
"""Of a class in train: with fewer there are no two halves."""

Kind = Literal["real", "moved"]
Make = Callable[[Cohort, Sequence[str], LiftSettings, int], tuple[Cohort, Batch]]


@dataclass(frozen=True)
class Foreseen:
    """What the court says about one batch that needed no generator.

    Attributes:
        kind: `real` or `moved`.
        images: of each class in the batch; the least over the draws.
        verdicts: one a class, then the overall one.
    """

    kind: Kind
    images: dict[str, int]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Foresight:
    """Both batches.

    Attributes:
        task: e.g. `colour-2d`.
        found: `real`, then `moved`.
        test_patients: of each class.
    """

    task: str
    found: tuple[Foreseen, ...]
    test_patients: dict[str, int]

    def verdict(self, kind: Kind, label: str) -> Verdict:
        """Return what the court says about one class of one batch."""
        return next(verdict for found in self.found if found.kind == kind for verdict in found.verdicts if verdict.label == label)

    def advise(self, label: str) -> str:
        """Return what follows for one class, in a few sentences."""
        real, moved = self.verdict("real", label), self.verdict("moved", label)
        if real.word != "accept":
            then = " Collect test patients before you generate anything." if real.word == "inconclusive" else ""
            return f"{label}: even real images of other patients would not be accepted. {real.reason}{then}"
        if moved.word != "accept":
            return (
                f"{label}: this test set can show what real images bring; what the generator can learn from these train images alone is not shown to help. "
                "Expect a lift only from a generator that knows more, such as one trained on other data; real images of other patients are the remedy."
            )
        return f"{label}: this test set can show a lift, and even moved common images bring one. Generating is worth a try."


def see_patients(patients: Mapping[str, int]) -> None:
    """Look before anything is embedded whether each class can be halved.

    Args:
        patients: in train, of each class that images are wanted of.

    Raises:
        UsageError: one has too few.
    """
    for label, number in patients.items():
        if number < LEAST_PATIENTS:
            raise UsageError(
                f"{label} has {number} train patients, and {LEAST_PATIENTS} are needed to hold half of them back: "
                "collect more, give it the label of a wider class (`values` of its source), or none"
            )


def foresee(task: str, cohort: Cohort, labels: Sequence[str], settings: LiftSettings, progress: Progress = silent) -> Foresight:
    """Bring both batches before the court.

    Args:
        task: of the cohort.
        cohort: real images of one task.
        labels: classes that images are wanted of.
        settings: of the court; the dose of `real` is at most 1, because there are no more images.
        progress: told of each step.

    Raises:
        UsageError: a class has too few train patients.
    """
    makers: tuple[tuple[Kind, Make], ...] = (("real", hand_in_half), ("moved", move_common))
    found = []
    for kind, make in makers:
        pairs = [make(cohort, labels, settings, draw) for draw in range(HALVES)]
        images = {label: min(int((batch.labels == label).sum()) for _, batch in pairs) for label in labels}
        found.append(Foreseen(kind, images, judge_splits(pairs, settings, progress).verdicts))
    test = {label: len(set(cohort.patients[(cohort.split == "test") & (cohort.labels == label)].tolist())) for label in labels}
    return Foresight(task, tuple(found), test)


def hand_in_half(cohort: Cohort, labels: Sequence[str], settings: LiftSettings, draw: int) -> tuple[Cohort, Batch]:
    """Return the cohort without a random half of each class's train patients, and their images as a batch that everybody accepted.

    Raises:
        UsageError: a class has too few train patients.
    """
    random, taken = np.random.default_rng([settings.seed, draw]), np.zeros(len(cohort.labels), np.bool_)
    for label in labels:
        own = (cohort.split == "train") & (cohort.labels == label)
        patients = np.unique(cohort.patients[own])
        see_patients({label: len(patients)})
        taken |= own & np.isin(cohort.patients, random.permutation(patients)[: len(patients) // 2])
    rows = np.flatnonzero(taken)
    return _without(cohort, taken), _accepted(cohort, rows, cohort.features[rows], cohort.labels[rows].tolist())


def move_common(cohort: Cohort, labels: Sequence[str], settings: LiftSettings, draw: int) -> tuple[Cohort, Batch]:
    """Return the cohort, and common train images moved onto each class, as many as the largest dose takes; every common class is moved equally often."""
    random, train = np.random.default_rng([settings.seed, draw]), cohort.split == "train"
    common = sorted(set(cohort.labels[train].tolist()) - set(labels))
    if not common:
        raise UsageError("every class is wanted, so there is no common one whose images could be moved")
    means = {label: cohort.features[train & (cohort.labels == label)].mean(axis=0) for label in (*common, *labels)}
    rows, made = [], []
    for label in labels:
        for place in range(round(max(settings.doses) * int((train & (cohort.labels == label)).sum()))):
            origin = common[place % len(common)]
            rows.append(int(random.choice(np.flatnonzero(train & (cohort.labels == origin)))))
            made.append((label, cohort.features[rows[-1]] + means[label] - means[origin]))
    return cohort, _accepted(cohort, np.array(rows), np.stack([moved for _, moved in made]), [label for label, _ in made])


def _accepted(cohort: Cohort, rows: np.ndarray[Any, Any], features: np.ndarray[Any, Any], labels: Sequence[str]) -> Batch:
    """Return images as a batch that passed everything; those of one patient hang together."""
    all_of_them = np.ones(len(rows), np.bool_)
    return Batch(features.astype(np.float32), np.array(labels), all_of_them, all_of_them, cohort.patients[rows])


def _without(cohort: Cohort, taken: np.ndarray[Any, Any]) -> Cohort:
    """Return the cohort without some train images and what was augmented from them."""
    kept, augmented = np.flatnonzero(~taken), cohort.augmented
    if augmented is not None:
        own = ~taken[augmented.source]
        place = np.cumsum(~taken) - 1
        augmented = replace(augmented, features=augmented.features[own], labels=augmented.labels[own], source=place[augmented.source[own]])
    subgroups = {name: values[kept] for name, values in cohort.subgroups.items()}
    return Cohort(cohort.features[kept], cohort.labels[kept], cohort.patients[kept], cohort.split[kept], subgroups, augmented)
