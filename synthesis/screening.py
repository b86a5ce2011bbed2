"""Screening one round of candidates, and measuring on real and planted images what the screens are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.pixels import Pixels
from synthesis.recipe import ScreenSettings
from synthesis.screens import AgreementScreen, Floats, MemorizationScreen, fit_agreement, fit_memorization, plant_copies
from synthesis.training_set import TrainingSet

Embed = Callable[[list[Pixels]], Floats]
"""Images to `(N, F)` float32."""

PLANTED_IMAGES = 24
HELD_OUT_IMAGES = 200


@dataclass(frozen=True)
class ScreenPower:
    """How well the screens of a run tell what they should, as shares; None where there was nothing to measure on.

    Attributes:
        power: planted near-copies of train images that were caught, mean over the kinds.
        power_by_kind: the same, by kind.
        false_alarms: real images of val patients that were called near-copies.
        agreement_passed: real val images of the wanted classes that the class screen lets pass.
        agreement_power: real val images of other classes that it stops.
    """

    power: float = 0.0
    power_by_kind: dict[str, float] = field(default_factory=dict)
    false_alarms: float | None = None
    agreement_passed: float | None = None
    agreement_power: float | None = None


def screen_candidates(
    train: TrainingSet, held_out: TrainingSet, drawn: list[Pixels], wanted: list[str], embed: Embed, settings: ScreenSettings
) -> tuple[list[dict[str, Any]], ScreenPower]:
    """Return, for each candidate, `{"memorization": {...}, "class_agreement": {...}}`, and what the screens are worth.

    Args:
        train: what the generator learned from.
        held_out: val images; nothing is fitted on them.
        drawn: candidates, as large as the train images.
        wanted: label that each candidate was drawn for.
        embed: called once, with train, val, planted and drawn images of one size.
        settings: thresholds.
    """
    chosen = _spread([image for image, label in zip(train.images, train.labels, strict=True) if label in wanted], PLANTED_IMAGES)
    copies = plant_copies(chosen)
    parts: dict[str, list[Pixels]] = {"train": train.images, "held out": held_out.images, "drawn": drawn} | copies
    features = _embed_parts(parts, embed)
    copying = fit_memorization(train.images, features["train"], train.groups, settings.memorization_quantile)
    agreeing = fit_agreement(features["train"], train.labels)
    copied = copying.judge(drawn, features["drawn"])
    probabilities = agreeing.probability(features["drawn"], wanted)
    results = [_merge(copying, train, copy, probability, settings) for copy, probability in zip(copied, probabilities.tolist(), strict=True)]
    power = {kind: copying.flagged(images, features[kind]) for kind, images in copies.items()}
    passed, stopped = _measure_agreement(agreeing, features["held out"], held_out.labels, sorted(set(wanted)), settings.class_agreement)
    return results, ScreenPower(
        power=round(float(np.mean(list(power.values()))), 4),
        power_by_kind={kind: round(share, 4) for kind, share in power.items()},
        false_alarms=round(copying.flagged(held_out.images, features["held out"]), 4) if held_out.images else None,
        agreement_passed=passed,
        agreement_power=stopped,
    )


def _spread(images: list[Pixels], number: int) -> list[Pixels]:
    """Return at most `number` of the images, evenly spread."""
    return [images[position] for position in np.unique(np.linspace(0, len(images) - 1, min(number, len(images))).astype(int))]


def _embed_parts(parts: dict[str, list[Pixels]], embed: Embed) -> dict[str, Floats]:
    """Embed all images in one call and return the features by part."""
    features = np.asarray(embed([image for images in parts.values() for image in images]), dtype=np.float32)
    ends = np.cumsum([len(images) for images in parts.values()])
    return dict(zip(parts, np.split(features, ends[:-1]), strict=True))


def _merge(copying: MemorizationScreen, train: TrainingSet, copied: dict[str, Any], probability: float, settings: ScreenSettings) -> dict[str, Any]:
    """Return the results of both screens for one candidate, with their thresholds and the `image_id` of the nearest train image."""
    limits = {"feature_threshold": round(copying.feature_threshold, 6), "pixel_threshold": round(copying.pixel_threshold, 6)}
    agreed = {"passed": probability >= settings.class_agreement, "probability": round(probability, 4), "least": settings.class_agreement}
    return {"memorization": copied | limits | {"nearest": train.rows["image_id"][copied["nearest"]]}, "class_agreement": agreed}


def _measure_agreement(screen: AgreementScreen, features: Floats, labels: list[str], wanted: list[str], least: float) -> tuple[float | None, float | None]:
    """Return the share of real images of the wanted classes that pass, and of other images that are stopped."""
    passed, stopped = [], []
    for label in wanted:
        passes = screen.probability(features, [label] * len(features)) >= least
        own = np.array([found == label for found in labels], dtype=bool)
        passed.extend(passes[own].tolist())
        stopped.extend((~passes[~own]).tolist())
    return (round(float(np.mean(passed)), 4) if passed else None, round(float(np.mean(stopped)), 4) if stopped else None)
