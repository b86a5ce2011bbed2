"""The linear probe: standardise, PCA, multinomial logistic regression on the features of a frozen encoder.

Standardisation and PCA are fitted on train rows only; the strength of regularization is chosen on val, never on test. A probe
is stored as safetensors with JSON metadata, and predicts with three matrix products.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adaptation.encoders import Features
from adaptation.metrics import auprc, macro
from curation.errors import IntegrityError
from curation.manifest import write_bytes

Labels = npt.NDArray[np.str_]
Probabilities = npt.NDArray[np.float32]
FOLDS = 5
MOST_ITERATIONS = 500


@dataclass(frozen=True)
class Projection:
    """Standardisation and PCA: `(x - mean) / scale @ components.T`. Arrays are float32: `(F,)`, `(F,)`, `(K, F)`."""

    mean: Features
    scale: Features
    components: Features

    def apply(self, features: Features) -> Features:
        """Return `(N, K)` of `(N, F)`."""
        standardised: Features = (features - self.mean) / self.scale
        return standardised @ self.components.T


@dataclass(frozen=True)
class Probe:
    """A fitted probe. `weights` is `(C, K)`, `bias` `(C,)`, in the order of `classes`; `strength` is the inverse regularization."""

    classes: tuple[str, ...]
    projection: Projection
    weights: Features
    bias: Features
    strength: float

    def predict(self, features: Features) -> Probabilities:
        """Return `(N, C)` probabilities of `(N, F)` features."""
        return _softmax(self.projection.apply(features) @ self.weights.T + self.bias)


@dataclass(frozen=True)
class Choice:
    """Which inverse regularization was taken, by which rule, and the macro AUPRC of each candidate (None: not compared)."""

    strength: float
    rule: str
    scores: dict[str, float] | None


def _softmax(scores: Features) -> Probabilities:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def fit_projection(features: Features, most_components: int) -> Projection:
    """Fit standardisation and PCA on `(N, F)` train features; at most N - 1 components. A constant feature gets scale 1."""
    from sklearn.decomposition import PCA

    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    standardised = (features - mean) / scale
    count = max(1, min(most_components, len(features) - 1, features.shape[1]))
    solver = "covariance_eigh" if len(features) > features.shape[1] else "full"
    components = PCA(n_components=count, svd_solver=solver).fit(standardised).components_
    return Projection(mean.astype(np.float32), scale.astype(np.float32), components.astype(np.float32))


def _fit_weights(projected: Features, labels: Labels, classes: tuple[str, ...], strength: float) -> tuple[Features, Features]:
    """Return weights `(C, K)` and bias `(C,)`; a class without rows gets a bias that makes its probability 0."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.zeros((len(classes), projected.shape[1]), np.float32), np.full(len(classes), -1e4, np.float32)
    model = LogisticRegression(C=strength, solver="lbfgs", max_iter=MOST_ITERATIONS, tol=1e-3).fit(projected.astype(np.float64), labels)
    places = [classes.index(name) for name in model.classes_]
    if len(places) == 2:
        weights[places[1]], bias[places[0]], bias[places[1]] = model.coef_[0], 0.0, model.intercept_[0]
    else:
        weights[places], bias[places] = model.coef_, model.intercept_
    return weights, bias


def fit_probe(features: Features, labels: Labels, classes: tuple[str, ...], projection: Projection, strength: float) -> Probe:
    """Fit a probe on `(N, F)` train features and their labels, all of them among `classes`."""
    weights, bias = _fit_weights(projection.apply(features), labels, classes, strength)
    return Probe(classes, projection, weights, bias, strength)


def macro_auprc(probabilities: Probabilities, labels: Labels, classes: tuple[str, ...]) -> float:
    """Return the macro AUPRC over the classes that occur in `labels`."""
    return float(macro([auprc(labels == name, probabilities[:, place]) for place, name in enumerate(classes)]))


class OutOfFold(NamedTuple):
    """`(N, C)` probabilities of train images from probes that saw no image of their group, and `(N,)` whether that probe knew the image's class at all."""

    probabilities: Probabilities
    knows_label: npt.NDArray[np.bool_]


def predict_out_of_fold(
    features: Features, labels: Labels, groups: Labels, classes: tuple[str, ...], projection: Projection, strength: float, seed: int
) -> OutOfFold | None:
    """Return the probabilities of each train image from a probe that saw no image of its group, or None when that cannot be done.

    The projection stays that of the whole train split: it knows no labels. None when every class has one group only, or a fold would leave one class.
    A class that lies in one fold with all its groups gets probability 0 there, which says nothing about the label: `knows_label` is False then.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(FOLDS, max(len(np.unique(groups[labels == name])) for name in np.unique(labels)))
    if folds < 2:
        return None
    projected = projection.apply(features)
    probabilities, knows_label = np.zeros((len(labels), len(classes)), np.float32), np.zeros(len(labels), np.bool_)
    for kept, held in _split_folds(StratifiedGroupKFold(folds, shuffle=True, random_state=seed), labels, groups):
        if not len(held):
            continue
        if len(np.unique(labels[kept])) < 2:
            return None
        weights, bias = _fit_weights(projected[kept], labels[kept], classes, strength)
        probabilities[held] = _softmax(projected[held] @ weights.T + bias)
        knows_label[held] = np.isin(labels[held], labels[kept])
    return OutOfFold(probabilities, knows_label)


def _split_folds(splitter: Any, labels: Labels, groups: Labels) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return the folds. A class with fewer images than folds is expected here and makes scikit-learn warn; the warning is not passed on."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(splitter.split(np.zeros(len(labels)), labels, groups))


@dataclass(frozen=True)
class Part:
    """Labelled images of one split: `(N, F)` features, `(N,)` labels, `(N,)` groups of patients."""

    features: Features
    labels: Labels
    groups: Labels


def choose_strength(train: Part, val: Part, classes: tuple[str, ...], projection: Projection, strengths: tuple[float, ...], seed: int) -> Choice:
    """Choose the inverse regularization by macro AUPRC on val; the log loss on val decides a tie, which small splits often give.

    When val shows fewer than two of the classes, patient-grouped cross-validation inside train decides; when that is impossible too, the
    middle of the candidates is taken. `rule` of the answer says which.
    """
    if len(np.unique(val.labels)) >= 2:
        shown = sorted(set(val.labels.tolist()))
        rule = "macro AUPRC on val" + ("" if len(shown) == len(classes) else f", over the {len(shown)} of {len(classes)} classes that val shows")
        predicted = {c: fit_probe(train.features, train.labels, classes, projection, c).predict(val.features) for c in strengths}
        return _best(predicted, val.labels, classes, rule)
    folds = {c: predict_out_of_fold(train.features, train.labels, train.groups, classes, projection, c, seed) for c in strengths}
    usable = {c: held.probabilities for c, held in folds.items() if held is not None}
    if usable:
        return _best(usable, train.labels, classes, "macro AUPRC of patient-grouped cross-validation in train, because val shows fewer than two classes")
    return Choice(sorted(strengths)[len(strengths) // 2], "middle of the candidates, because neither val nor folds of train show two classes", None)


def _best(predicted: dict[float, Probabilities], labels: Labels, classes: tuple[str, ...], rule: str) -> Choice:
    """Return the strength with the highest macro AUPRC, among equal ones the one with the lowest log loss."""
    scores = {c: round(macro_auprc(probabilities, labels, classes), 6) for c, probabilities in sorted(predicted.items())}
    best = max(scores, key=lambda c: (scores[c], -_log_loss(predicted[c], labels, classes)))
    return Choice(best, rule, {f"{c:g}": score for c, score in scores.items()})


def _log_loss(probabilities: Probabilities, labels: Labels, classes: tuple[str, ...]) -> float:
    given = probabilities[np.arange(len(labels)), [classes.index(name) for name in labels]]
    return float(-np.log(np.maximum(given, 1e-12)).mean())


def save_probes(probes: dict[str, Probe], path: Path, about: dict[str, str]) -> None:
    """Write the probes of all tasks into one safetensors file; classes, strengths and `about` go into its metadata."""
    from safetensors.numpy import save

    tensors: dict[str, npt.NDArray[Any]] = {}
    for task, probe in probes.items():
        parts = {"mean": probe.projection.mean, "scale": probe.projection.scale, "components": probe.projection.components}
        parts |= {"weights": probe.weights, "bias": probe.bias}
        tensors |= {f"{task}/{name}": np.ascontiguousarray(tensor) for name, tensor in parts.items()}
    described = {task: {"classes": probe.classes, "strength": probe.strength} for task, probe in probes.items()}
    write_bytes(save(tensors, metadata={**about, "tasks": json.dumps(described, sort_keys=True)}), path)


def load_probes(path: Path) -> dict[str, Probe]:
    """Return the probe of each task from a file of `save_probes`.

    Raises:
        IntegrityError: the file is not one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tasks = json.loads(file.metadata()["tasks"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, KeyError, TypeError, OSError) as error:
        raise IntegrityError(path, "is not a file of probes") from error
    probes = {}
    for task, described in tasks.items():
        mean, scale, components, weights, bias = (tensors[f"{task}/{name}"] for name in ("mean", "scale", "components", "weights", "bias"))
        probes[task] = Probe(tuple(described["classes"]), Projection(mean, scale, components), weights, bias, described["strength"])
    return probes
