"""Evaluation of one task on real test patients: every number with its interval over patients, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.metrics import LEAST_PATIENTS, Flags, Floats, auprc, balanced_accuracy, calibration_error, f1, macro, recall
from adaptation.probe import Labels, Probabilities
from curation.resampling import interval, resample_patients

ENOUGH_PATIENTS = 30
"""Below this many test patients the report warns that the numbers show little."""

BLOCK_VALUES = 2_000_000
"""Resampled weights that are held as float64 at a time."""

Metric = Callable[[npt.NDArray[Any] | None], Floats]
Triple = list[float | None]


def resampled(metric: Metric, weights: npt.NDArray[Any]) -> Floats:
    """Return `(B,)`: the metric in each of the `(B, N)` patient resamples."""
    rows = max(1, BLOCK_VALUES // max(1, weights.shape[1]))
    return np.concatenate([np.atleast_1d(metric(weights[start : start + rows])) for start in range(0, len(weights), rows)])


def _triple(value: Floats, draws: Floats, has_interval: bool) -> Triple:
    """Return [value, low, high], None for what cannot be said."""
    if not np.isfinite(value):
        return [None, None, None]
    bounds = interval(draws) if has_interval else None
    return [round(float(value), 6), *((round(bounds[0], 6), round(bounds[1], 6)) if bounds else (None, None))]


def evaluate(probabilities: Probabilities, labels: Labels, patients: npt.NDArray[np.str_], classes: tuple[str, ...], draws: int, seed: int) -> dict[str, Any]:
    """Return per-class, macro and overall metrics of real test images, as JSON values.

    Args:
        probabilities: `(N, C)`, columns in the order of `classes`.
        labels: `(N,)`, all among `classes`.
        patients: `(N,)`, the unit that is resampled.
        classes: names of the C classes.
        draws: patient resamples behind each interval.
        seed: of the resamples.

    Returns:
        `test` (images, patients, by label), `per_class` {label: auprc, recall, f1 as [value, low, high], images, patients, no_interval: reason
        or None}, `macro` {auprc, recall, f1}, `balanced_accuracy`, `ece`, `warning`.
    """
    number = len(np.unique(patients))
    weights = resample_patients(patients, draws, seed).astype(np.uint16) if len(labels) else np.zeros((1, 0), np.uint16)
    predicted = probabilities.argmax(1)
    truth = np.array([classes.index(name) for name in labels], np.int64)
    per_class: dict[str, Any] = {}
    values: dict[str, list[tuple[Floats, Floats]]] = {"auprc": [], "recall": [], "f1": []}
    for code, name in enumerate(classes):
        owners = len(np.unique(patients[truth == code]))
        entry: dict[str, Any] = {"images": int((truth == code).sum()), "patients": owners, "no_interval": _why_no_interval(owners)}
        for kind, metric in _metrics_of_class(truth == code, predicted == code, probabilities[:, code]).items():
            value, spread = metric(None), resampled(metric, weights)
            entry[kind] = _triple(value, spread, owners >= LEAST_PATIENTS)
            values[kind].append((value, spread))
        per_class[name] = entry
    enough = number >= LEAST_PATIENTS
    averages = {kind: _triple(macro([v for v, _ in found]), macro([s for _, s in found]), enough) for kind, found in values.items()}
    return {
        "test": {"images": len(labels), "patients": number, "by_label": {name: entry["images"] for name, entry in per_class.items()}},
        "per_class": per_class,
        "macro": averages,
        **_overall(truth, predicted, probabilities.max(1, initial=0), weights, enough),
        "warning": _warn(number, per_class),
    }


def _metrics_of_class(is_class: Flags, is_predicted: Flags, score: Probabilities) -> dict[str, Metric]:
    """Return the metrics of one class against the rest, waiting for weights."""
    return {
        "auprc": lambda weight: auprc(is_class, score, weight),
        "recall": lambda weight: recall(is_class, is_predicted, weight),
        "f1": lambda weight: f1(is_class, is_predicted, weight),
    }


def _overall(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], confidence: Probabilities, weights: npt.NDArray[Any], enough: bool
) -> dict[str, Triple]:
    """Return balanced accuracy and expected calibration error."""
    if not len(truth):
        return {"balanced_accuracy": [None, None, None], "ece": [None, None, None]}

    def accuracy(weight: npt.NDArray[Any] | None) -> Floats:
        return balanced_accuracy(truth, predicted, weight)

    def error(weight: npt.NDArray[Any] | None) -> Floats:
        return calibration_error(truth == predicted, confidence, weight)

    return {
        "balanced_accuracy": _triple(accuracy(None), resampled(accuracy, weights), enough),
        "ece": _triple(error(None), resampled(error, weights), enough),
    }


def _why_no_interval(patients: int) -> str | None:
    if patients >= LEAST_PATIENTS:
        return None
    return "no test patient has this class" if not patients else "only one test patient has this class: nothing to resample"


def _warn(patients: int, per_class: dict[str, Any]) -> str | None:
    """Return one sentence when the test set is too small to show much."""
    rare = sorted(name for name, entry in per_class.items() if entry["patients"] < ENOUGH_PATIENTS)
    if patients < ENOUGH_PATIENTS:
        return f"tiny test set: {patients} patients; the numbers show that the machinery works, not how good the model is"
    return f"fewer than {ENOUGH_PATIENTS} test patients have: {', '.join(rare)}; read their numbers with their intervals" if rare else None
