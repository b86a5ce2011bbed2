"""Memorization: is a candidate a near-copy of a train image?

A candidate's distances to the train images are compared with those that real patients have: train patients are held out in turn, and their images
measured against everybody else's (the null). So the screen is fitted on train only, and val is left for counting false alarms. Four distances are taken
(`distances`), since a copy that one of them misses is still a patient's image. Each is divided by a low quantile of its null; the smallest quotient
is the image's score, and the threshold is the recipe's quantile of that score in the null of the image's own class, because classes differ in how
alike their patients are, and rare ones are memorized first. A class too small to have such a quantile takes its smallest score, or that of all
classes where it is lower; what such a screen is worth, the power of that class says.

A screen that finds nothing is worth nothing: `measure_power` plants known copies of train images, by class and by kind.
Measured on dermoscopy (HAM10000 at 32 px, efficientnet-lite0, quantile 0.05, one split: 900 train images of 5 classes, two of them from 20 lesions; 208 copies
a class): of copies of the two rare classes 89 % (95 % interval 85 to 93) and 94 % (90 to 97) are caught, of the commonest 98 % (95 to 99); of 310
images of unseen lesions 4.2 % are called. Weakest: mixes of two patients (63 to 81 %), turned copies (75 to 94 %), crops of 10 % (69 to 94 %).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.pixels import Pixels
from synthesis.screens.distances import DISTANCES, Closeness, Floats, References, measure, prepare
from synthesis.screens.rates import Rate, pool, rate

NULL_IMAGES = 400
# Below these an image is a copy whatever real patients do: files that are copies of each other may hide in train under two patients.
LEAST = np.array([1e-3, 0.05, 0.02, 0.01], np.float32)


@dataclass(frozen=True)
class MemorizationScreen:
    """Calls near-copies of train images.

    Attributes:
        references: the train images.
        scales: `(4,)`, the quantile of each distance between patients, in the order of `DISTANCES`.
        thresholds: of the score, by class; `""` is that of all classes.
    """

    references: References
    scales: Floats
    thresholds: dict[str, float]

    def judge(self, images: Sequence[Pixels], features: Floats, labels: Sequence[str], groups: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return `passed`, each distance beside its threshold for the image's class, and the position of the nearest train image.

        Args:
            images: `(H, W)` or `(H, W, 3)` uint8.
            features: `(M, F)` embeddings.
            labels: class that each image stands for; one that train lacks gets the threshold of all classes.
            groups: patient that an image was openly made from, with whom it is not compared: its parent is on record, and it should look like it.
        """
        close = measure(images, features, self.references, groups)
        return [self._judge_one(close, row, label) for row, label in enumerate(labels)]

    def _judge_one(self, close: Closeness, row: int, label: str) -> dict[str, Any]:
        limits = np.maximum(self.scales * self.thresholds.get(label, self.thresholds[""]), LEAST)
        quotients = close.distances[row] / self.scales
        judged: dict[str, Any] = {"passed": bool((close.distances[row] >= limits).all()), "nearest": int(close.nearest[row][int(quotients.argmin())])}
        judged |= {f"{name}_distance": _number(value) for name, value in zip(DISTANCES, close.distances[row], strict=True)}
        return judged | {f"{name}_threshold": _number(value) for name, value in zip(DISTANCES, limits, strict=True)}

    def called(self, images: Sequence[Pixels], features: Floats, label: str) -> list[bool]:
        """Return whether each image, all of one class, is called a near-copy."""
        return [not judged["passed"] for judged in self.judge(images, features, [label] * len(images))]


def _number(value: Any) -> float | None:
    """Return a number that JSON can hold; None for a distance to nothing."""
    return round(float(value), 6) if np.isfinite(value) else None


def fit_memorization(images: Sequence[Pixels], features: Floats, groups: Sequence[str], labels: Sequence[str], quantile: float) -> MemorizationScreen:
    """Return the screen for these train images.

    Args:
        images: train images, `(H, W)` or `(H, W, 3)` uint8.
        features: `(N, F)` embeddings of them.
        groups: patient (or group of patients) of each; a group is never compared with itself.
        labels: class of each.
        quantile: share of unseen real images that may be called near-copies.
    """
    references = prepare(images, features, groups)
    held = _hold_out(labels)
    null = measure([images[at] for at in held], features[held], references, [groups[at] for at in held]).distances
    scales = np.array([_quantile(column, quantile / len(DISTANCES), least) for column, least in zip(null.T, LEAST, strict=True)], np.float32)
    scores, named = (null / scales).min(axis=1), np.asarray(labels)[held]
    overall = _quantile(scores, quantile, 0.0)
    return MemorizationScreen(references, scales, {"": overall} | {str(label): _own(scores[named == label], quantile, overall) for label in np.unique(named)})


def _own(scores: Floats, quantile: float, overall: float) -> float:
    """Return the threshold of one class: its quantile; of a class too small to have one, its smallest score, but never more than that of all classes."""
    own = _quantile(scores, quantile, 0.0)
    return own if len(scores) * quantile >= 1 else min(own, overall)


def _hold_out(labels: Sequence[str]) -> list[int]:
    """Return positions of at most `NULL_IMAGES` images, evenly spread within each class, the classes as equal as they can be."""
    named, left, chosen = np.asarray(labels), NULL_IMAGES, []
    by_size = sorted(np.unique(named), key=lambda label: int((named == label).sum()))
    for rank, label in enumerate(by_size):
        own = np.flatnonzero(named == label)
        taken = spread(own.tolist(), left // (len(by_size) - rank))
        chosen += taken
        left -= len(taken)
    return sorted(chosen)


def spread(values: Sequence[Any], number: int) -> list[Any]:
    """Return at most `number` of the values, evenly spread."""
    return [values[place] for place in np.unique(np.linspace(0, len(values) - 1, min(number, len(values))).astype(int))] if number and len(values) else []


def _quantile(values: Floats, share: float, least: float) -> float:
    """Return the quantile of the finite values, at least `least`; no value: `least`."""
    finite = values[np.isfinite(values)]
    return max(float(least), float(np.quantile(finite, share, method="lower"))) if len(finite) else float(least)


@dataclass(frozen=True)
class Power:
    """How many planted near-copies of the train images of one class are caught.

    Copies of one image, and images of one patient, are not independent; the intervals treat them so, and are too narrow.

    Attributes:
        label: class.
        images: train images that were copied.
        all_kinds: over all copies.
        by_kind: for each way of copying.
        false_alarms: real images of val patients of the class that are called; None when val has none.
        threshold: of the score of the class; about 1 for all classes together, lower where its patients are more alike.
    """

    label: str
    images: int
    all_kinds: Rate
    by_kind: dict[str, Rate]
    false_alarms: Rate | None
    threshold: float


def measure_power(
    screen: MemorizationScreen, label: str, copies: dict[str, tuple[Sequence[Pixels], Floats]], unseen: tuple[Sequence[Pixels], Floats]
) -> Power | None:
    """Return what the screen is worth for a class; None, unknown, when nothing was planted.

    Args:
        screen: fitted.
        label: the class.
        copies: planted copies of train images of the class with their embeddings, by kind.
        unseen: real images of other patients of the class, with their embeddings; may be empty.
    """
    rates = {kind: found for kind, planted in copies.items() if (found := rate(screen.called(*planted, label))) is not None}
    overall = pool(rates.values())
    if overall is None:
        return None
    return Power(label, max(found.of for found in rates.values()), overall, rates, rate(screen.called(*unseen, label)), round(screen.thresholds[label], 4))
