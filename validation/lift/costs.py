"""What synthetic images change elsewhere: in other classes, in calibration, in subgroups. Compared with training on real images alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaptation.metrics import LEAST_PATIENTS
from validation.lift.arms import Bench, Configuration, count_patients
from validation.lift.judgement import Cost, CostKind
from validation.lift.measuring import Floats, bound, estimate
from validation.lift.training import REAL, Side, Students
from validation.recipe import LiftSettings

LEAST_SUBGROUP_PATIENTS = 5
"""Of the judged class; in a smaller subgroup nothing can be seen."""
CALIBRATION_LIMIT = 0.05
"""A rise of the expected calibration error below this is no harm: thresholds and probabilities are set again before use."""


def measure_costs(
    students: Students, side: Side, benches: Sequence[Bench], configuration: Configuration, labels: Sequence[str], settings: LiftSettings
) -> tuple[Cost, ...]:
    """Return the change of every other class, of calibration, and of the judged classes in every subgroup, on test.

    Args:
        students: everything trained.
        side: test.
        benches: one a split.
        configuration: the judged arm as chosen on val.
        labels: the judged classes.
        settings: of the court.
    """
    others = [name for name in students.classes if name not in labels and count_patients(benches, "test", name) >= LEAST_PATIENTS]
    found: list[tuple[CostKind, str, Floats, int]] = []
    for name in others:
        change = students.auprc(configuration, side, (name,)) - students.auprc(REAL, side, (name,))
        found.append(("class", name, change, count_patients(benches, "test", name)))
    found.append(("calibration", "ECE", students.calibration_error(configuration, side) - students.calibration_error(REAL, side), LEAST_PATIENTS))
    for column, value in _subgroups(benches, labels):
        rows = [bench.cohort.subgroups[column][bench.cohort.on("test")] == value for bench in benches]
        change = students.auprc(configuration, side, labels, rows) - students.auprc(REAL, side, labels, rows)
        patients = min(count_patients(benches, "test", name, (column, value)) for name in labels)
        found.append(("subgroup", f"{column}={value}", change, patients))
    return tuple(_cost(kind, name, change, patients, len(found), settings.margin) for kind, name, change, patients in found)


def _cost(kind: CostKind, name: str, change: Floats, patients: int, places: int, margin: float) -> Cost:
    """Return one cost; harm is what is shown after correction for all places and is not smaller than the limit."""
    loss, limit = (change, CALIBRATION_LIMIT) if kind == "calibration" else (-change, margin)
    is_harm, is_suspected = (bool(bound(loss, number)[0] > 0 and loss[0] >= limit) for number in (places, 1))
    return Cost(kind, name, estimate(change, patients), is_harm, is_suspected)


def _subgroups(benches: Sequence[Bench], labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the subgroups that have enough test patients of each judged class."""
    columns = set.intersection(*(set(bench.cohort.subgroups) for bench in benches))
    pairs = sorted({(column, value) for bench in benches for column in columns for value in np.unique(bench.cohort.subgroups[column]).tolist() if value})
    return [pair for pair in pairs if all(count_patients(benches, "test", name, pair) >= LEAST_SUBGROUP_PATIENTS for name in labels)]
