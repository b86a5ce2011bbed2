"""A model of the experts: how probably they would reject a synthetic image, and why, learned from their verdicts on earlier ones.

It is a logistic regression on what `Anchor` says of an image: its features, how much it looks like its class to a probe on real images, how far real
images are. Its probabilities are calibrated by Platt scaling (Platt 1999) of out-of-fold scores. Folds keep apart generators where there are three
or more (then the figures say what to expect of a new generator), else the patients that the images come closest to. All figures are of images whose fold
neither the regression nor the scaling was fitted on; the scores that the scaling learns from come from regressions that were.

Real images are not learned from: they would teach the model to tell real from synthetic, which the experts are not asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synthesis.screens.shortcut import auc_of

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FOLDS = 5
NEIGHBOURS = 3
COMPONENTS = 64
STRENGTH = 1.0
LEAST_OF_REASON = 8
GENERATORS_TO_GROUP_BY = 3
BINS = 10
RESAMPLES = 500


class Judged(NamedTuple):
    """N synthetic images that experts judged.

    Attributes:
        features: `(N, F)` float32.
        labels: class that each was drawn for.
        rejected: `(N,)`.
        reasons: of each rejected image; empty for accepted ones.
        generators: hash of the generator of each.
    """

    features: Floats
    labels: tuple[str, ...]
    rejected: Flags
    reasons: tuple[tuple[str, ...], ...]
    generators: tuple[str, ...]


class Forecast(NamedTuple):
    """What experts would probably say of one image: probability of a rejection, the likeliest reason and its probability given a rejection."""

    reject_probability: float
    reason: str | None
    reason_probability: float | None


@dataclass(frozen=True)
class Anchor:
    """The real train images that candidates are described against. Nothing in it comes from verdicts.

    Attributes:
        mean, scale: `(F,)` of the train features.
        unit: `(N, F)` train features as unit vectors.
        labels: `(N,)` of the train images.
        groups: `(N,)` patients of the train images.
        probe: pipeline that gives the probability of each class.
    """

    mean: Floats
    scale: Floats
    unit: Floats
    labels: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    probe: Any

    def describe(self, features: Floats, labels: Sequence[str]) -> Doubles:
        """Return `(N, F + 3)`: standardised features (their block has about length 1), log odds of the wanted class, log distances to its and to all images."""
        block = (features - self.mean) / self.scale / np.sqrt(features.shape[1])
        given = self.probe.predict_proba(features)[np.arange(len(labels)), [self._place(label) for label in labels]]
        odds = np.log(np.clip(given, 1e-6, 1 - 1e-6) / (1 - np.clip(given, 1e-6, 1 - 1e-6)))
        distances = 1 - _unit(features) @ self.unit.T
        own = np.where(np.asarray(labels)[:, None] == self.labels[None, :], distances, np.inf)
        return np.column_stack([block, odds / 4, _near(own), _near(distances)]).astype(np.float64)

    def nearest_groups(self, features: Floats) -> tuple[str, ...]:
        """Return the patient that each image comes closest to."""
        return tuple(str(self.groups[place]) for place in np.argmax(_unit(features) @ self.unit.T, axis=1))

    def _place(self, label: str) -> int:
        return int(np.searchsorted(self.probe.classes_, label))


def _unit(features: Floats) -> Floats:
    """Return the rows scaled to length 1."""
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _near(distances: Floats) -> Doubles:
    """Return the log of the mean distance to the nearest three; `inf` marks images that do not count."""
    nearest = np.sort(distances, axis=1)[:, :NEIGHBOURS]
    counted = np.isfinite(nearest)
    means = np.where(counted, nearest, 0).sum(1) / np.maximum(counted.sum(1), 1)
    return np.asarray(np.log(np.maximum(means, 1e-4)), dtype=np.float64)


def fit_anchor(features: Floats, labels: Sequence[str], groups: Sequence[str]) -> Anchor:
    """Return the anchor of `(N, F)` features of real train images of two classes or more."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    count = max(1, min(COMPONENTS, len(features) - 1, features.shape[1]))
    probe = make_pipeline(StandardScaler(), PCA(count, svd_solver="full"), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000, tol=1e-3))
    probe.fit(features.astype(np.float64), np.asarray(labels))
    scale = features.std(0)
    return Anchor(features.mean(0), np.where(scale < 1e-6, 1, scale).astype(np.float32), _unit(features), np.asarray(labels), np.asarray(groups), probe)


@dataclass(frozen=True)
class ReasonQuality:
    """How well one reason is told among rejected images: how many have it, and AUROC of out-of-fold probabilities (None: too few)."""

    images: int
    auroc: float | None


@dataclass(frozen=True)
class RewardQuality:
    """What the model is worth, on images whose fold it did not see.

    Attributes:
        verdicts: judged images.
        rejected: of these.
        grouped_by: what the folds keep apart: `generator` or `nearest patient`.
        auroc: how often a rejected image has a higher probability than an accepted one; with its 95 % interval over those groups.
        calibration_error: of the probabilities, `calibration_error`.
        brier: mean squared error of the probabilities.
        brier_of_share: the same when every image gets the share of rejections: what a useful model beats.
        reliability: for each filled bin: mean probability, share rejected, images.
        reasons: quality by reason.
    """

    verdicts: int
    rejected: int
    grouped_by: str
    auroc: float
    auroc_low: float
    auroc_high: float
    calibration_error: float
    brier: float
    brier_of_share: float
    reliability: tuple[tuple[float, float, int], ...]
    reasons: dict[str, ReasonQuality] = field(default_factory=dict)


@dataclass(frozen=True)
class RewardModel:
    """A fitted model. `reasons` maps each reason to its regression, or to its share where there were too few to learn it."""

    anchor: Anchor
    regression: Any
    scaling: Any
    reasons: dict[str, Any]
    quality: RewardQuality

    def judge(self, features: Floats, labels: Sequence[str]) -> list[Forecast]:
        """Return the forecast of each of `(N, F)` images that were drawn for `labels`."""
        if not len(features):
            return []
        described = self.anchor.describe(features, labels)
        rejected = _scaled(self.scaling, self.regression.decision_function(described))
        chances = {reason: _chance(model, described) for reason, model in self.reasons.items()}
        forecasts = []
        for place, probability in enumerate(rejected.tolist()):
            reason = max(chances, key=lambda name: chances[name][place]) if chances else None
            forecasts.append(Forecast(round(probability, 4), reason, round(float(chances[reason][place]), 4) if reason else None))
        return forecasts


def fit_reward(judged: Judged, anchor: Anchor, seed: int = 0) -> RewardModel | None:
    """Return the model of these verdicts, or None when folds cannot be made: all verdicts of one kind, or one group holds nearly all.

    Args:
        judged: images with verdicts.
        anchor: of the real train images of the same task.
        seed: of folds and resamples.
    """
    described = anchor.describe(judged.features, judged.labels)
    kept_apart, groups = _groups(judged, anchor)
    scored = _score_out_of_fold(described, judged.rejected, groups, seed)
    if scored is None:
        return None
    scores, folds = scored
    probabilities = _scale_out_of_fold(scores, judged.rejected, folds)
    reasons = _fit_reasons(described, judged, groups, seed)
    quality = _measure(probabilities, judged.rejected, groups, kept_apart, {name: one for name, (_, one) in reasons.items()}, seed)
    regression, scaling = _fit(described, judged.rejected), _fit_scaling(scores, judged.rejected)
    return RewardModel(anchor, regression, scaling, {name: model for name, (model, _) in reasons.items()}, quality)


def _groups(judged: Judged, anchor: Anchor) -> tuple[str, npt.NDArray[np.str_]]:
    """Return what the folds keep apart, in words and for each image."""
    if len(set(judged.generators)) >= GENERATORS_TO_GROUP_BY:
        return "generator", np.asarray(judged.generators)
    return "nearest patient", np.asarray(anchor.nearest_groups(judged.features))


def _fit(described: Doubles, truth: Flags) -> Any:
    """Return a logistic regression; the classes are not weighted, so that its probabilities mean something."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=STRENGTH, max_iter=2000, tol=1e-4).fit(described, truth)


def _score_out_of_fold(described: Doubles, truth: Flags, groups: npt.NDArray[np.str_], seed: int) -> tuple[Doubles, npt.NDArray[np.int64]] | None:
    """Return the score (log odds, not calibrated) of each image from a model that saw no image of its group, and its fold; None when a fold has one kind."""
    from sklearn.model_selection import StratifiedGroupKFold

    count = min(FOLDS, len(np.unique(groups)), int(truth.sum()), int((~truth).sum()))
    if count < 2:
        return None
    scores, folds = np.zeros(len(truth)), np.full(len(truth), -1, np.int64)
    for number, (kept, held) in enumerate(StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(described, truth, groups)):
        if len(np.unique(truth[kept])) < 2:
            return None
        scores[held], folds[held] = _fit(described[kept], truth[kept]).decision_function(described[held]), number
    return scores, folds


def _fit_scaling(scores: Doubles, truth: Flags) -> Any:
    """Return Platt's scaling of scores to probabilities: a logistic regression on one number.

    Scores of a regression that learned nothing often point the wrong way out of fold; they are ignored then, never turned around.
    """
    from sklearn.linear_model import LogisticRegression

    scaling = LogisticRegression(C=10.0).fit(scores[:, None], truth)
    return scaling if scaling.coef_[0, 0] >= 0 else LogisticRegression(C=10.0).fit(np.zeros((len(scores), 1)), truth)


def _scaled(scaling: Any, scores: Doubles) -> Doubles:
    return np.asarray(scaling.predict_proba(scores[:, None])[:, 1], dtype=np.float64)


def _scale_out_of_fold(scores: Doubles, truth: Flags, folds: npt.NDArray[np.int64]) -> Doubles:
    """Return the calibrated probability of each image; the scaling of a fold is fitted on the others."""
    probabilities = np.full(len(truth), float(truth.mean()))
    for number in np.unique(folds):
        held, others = folds == number, folds != number
        if len(np.unique(truth[others])) == 2:
            probabilities[held] = _scaled(_fit_scaling(scores[others], truth[others]), scores[held])
    return probabilities


def _fit_reasons(described: Doubles, judged: Judged, groups: npt.NDArray[np.str_], seed: int) -> dict[str, tuple[Any, ReasonQuality]]:
    """Return for each reason a regression on the rejected images (its share, where there are too few with or without it) and its quality."""
    from sklearn.metrics import roc_auc_score

    places = np.flatnonzero(judged.rejected)
    given = [set(judged.reasons[place]) for place in places]
    fitted: dict[str, tuple[Any, ReasonQuality]] = {}
    for reason, number in sorted(Counter(name for names in given for name in names).items()):
        has = np.array([reason in names for names in given], dtype=np.bool_)
        scored = None
        if min(number, len(has) - number) >= LEAST_OF_REASON:
            scored = _score_out_of_fold(described[places], has, groups[places], seed)
        if scored is None:
            fitted[reason] = (float(has.mean()), ReasonQuality(number, None))
        else:
            fitted[reason] = (_fit(described[places], has), ReasonQuality(number, round(float(roc_auc_score(has, scored[0])), 4)))
    return fitted


def _chance(model: Any, described: Doubles) -> Doubles:
    """Return the probability of a reason for each image: of its regression, or the share that stands for one."""
    return np.full(len(described), model) if isinstance(model, float) else np.asarray(model.predict_proba(described)[:, 1])


def _measure(
    probabilities: Doubles, truth: Flags, groups: npt.NDArray[np.str_], kept_apart: str, reasons: dict[str, ReasonQuality], seed: int
) -> RewardQuality:
    """Return the quality of out-of-fold probabilities."""
    area = auc_of(probabilities, truth, groups, seed, RESAMPLES)
    return RewardQuality(
        verdicts=len(truth),
        rejected=int(truth.sum()),
        grouped_by=kept_apart,
        auroc=area.value,
        auroc_low=area.low,
        auroc_high=area.high,
        calibration_error=round(calibration_error(probabilities, truth), 4),
        brier=round(float(np.mean((probabilities - truth) ** 2)), 4),
        brier_of_share=round(float(truth.mean() * (1 - truth.mean())), 4),
        reliability=reliability(probabilities, truth),
        reasons=reasons,
    )


def calibration_error(probabilities: Doubles, truth: Flags) -> float:
    """Expected calibration error of the probability of one event (Naeini et al. 2015), 10 bins of equal width.

    Σ over bins of (images in the bin / all images) · |share with the event - mean probability|. Range 0 to 1; lower is better. Few images raise it:
    50 images of a perfect model have about .1.

    Worked value: probabilities [.95, .95, .55, .55], event [1, 0, 1, 1]: 1/2 · |.5 - .95| + 1/2 · |1 - .55| = .45.
    """
    return float(sum(number * abs(share - mean) for mean, share, number in reliability(probabilities, truth)) / len(truth))


def reliability(probabilities: Doubles, truth: Flags) -> tuple[tuple[float, float, int], ...]:
    """Return mean probability, share with the event and number of images of each filled bin."""
    bins = np.clip((probabilities * BINS).astype(int), 0, BINS - 1)
    return tuple(
        (round(float(probabilities[bins == place].mean()), 4), round(float(truth[bins == place].mean()), 4), int((bins == place).sum()))
        for place in np.unique(bins)
    )
