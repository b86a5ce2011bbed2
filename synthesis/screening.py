"""Screening one round of candidates, and counting on real and planted images what the screens are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from curation.errors import UsageError
from curation.pixels import Pixels
from synthesis.candidates import Drawn
from synthesis.recipe import ScreenSettings
from synthesis.screens.agreement import AgreementPower, agreement_by_condition, fit_agreement, measure_agreement
from synthesis.screens.distances import Floats
from synthesis.screens.memorization import Power, fit_memorization, measure_power, spread
from synthesis.screens.planting import COPY_KINDS, plant_artefacts, plant_copies
from synthesis.screens.rates import Rate, pool
from synthesis.screens.source import LEAST_PATIENTS, Sample, Shortcut, SourcePower, judge_source, measure_source_power
from synthesis.screens.swap import Classifiers, source_of, swap_source
from synthesis.training_set import TrainingSet

Embed = Callable[[list[Pixels]], Floats]
"""Images to `(N, F)` float32."""

MOST_PLANTED = 24
MARKED_IMAGES = 40
HELD_OUT_IMAGES = 200


class Shown(NamedTuple):
    """Images to screen with, or to be screened, in one order.

    Attributes:
        images: `(H, W)` or all `(H, W, 3)` uint8; of volumes, pictures.
        conditions: one an image, each with `label`.
        groups: patient of each; of a synthetic image what it hangs together with: its parent's patient, else a name of its own.
        image_ids: of each; synthetic images have none yet.
    """

    images: Sequence[Pixels]
    conditions: Sequence[dict[str, str]]
    groups: Sequence[str]
    image_ids: Sequence[str] = ()

    @property
    def labels(self) -> list[str]:
        """Label of each image."""
        return [condition["label"] for condition in self.conditions]


@dataclass(frozen=True)
class ScreenPower:
    """How well the screens of a run tell what they should, as shares; None where there was nothing to measure on.

    Attributes:
        power: planted near-copies of train images of the wanted classes that were caught; None: nothing was planted, so nobody knows.
        power_by_kind: the same, by kind.
        false_alarms: real images of val patients of the wanted classes that were called near-copies.
        agreement_passed: real val images of the wanted classes that the class screen lets pass.
        agreement_power: real val images of other classes that it stops.
        memorization: the memorization screen by class, with intervals.
        agreement: the class screen by class, with intervals.
        agreement_by_condition: candidates that the class screen lets pass, by `column=value` of their conditions.
        shortcut: how the candidates of each class are told from real images.
        shortcut_power: how often a planted source is found.
    """

    power: float | None = None
    power_by_kind: dict[str, float] = field(default_factory=dict)
    false_alarms: float | None = None
    agreement_passed: float | None = None
    agreement_power: float | None = None
    memorization: tuple[Power, ...] = ()
    agreement: tuple[AgreementPower, ...] = ()
    agreement_by_condition: dict[str, Rate] = field(default_factory=dict)
    shortcut: tuple[Shortcut, ...] = ()
    shortcut_power: SourcePower | None = None


def screen_candidates(
    train: TrainingSet, held_out: TrainingSet, drawn: Drawn, embed: Embed, settings: ScreenSettings
) -> tuple[list[dict[str, Any]], ScreenPower]:
    """Screen the candidates of a stage; `screen` does it for images without a manifest.

    Args:
        train: what the generator learned from.
        held_out: val images; nothing is fitted on them.
        drawn: candidates, as large as the train images: drawn squares beside squares, changed images beside images as they are stored.
        embed: called once.
        settings: thresholds.
    """
    patients = dict(zip(train.rows["image_id"], train.groups, strict=True))
    groups = [patients.get(wish.parent_id or "", f"synthetic {place}") for place, wish in enumerate(drawn.wanted)]
    return screen(_shown(train), _shown(held_out), Shown(drawn.images, [wish.condition for wish in drawn.wanted], groups), embed, settings)


def _shown(real: TrainingSet) -> Shown:
    return Shown(real.images, [{"label": label} for label in real.labels], real.groups, real.rows["image_id"].to_list())


def screen(train: Shown, held_out: Shown, drawn: Shown, embed: Embed, settings: ScreenSettings) -> tuple[list[dict[str, Any]], ScreenPower]:
    """Return, for each candidate, `{"memorization": {...}, "class_agreement": {...}, "shortcut": {...}}`, and what the screens are worth.

    Args:
        train: what the generator learned from; everything is fitted on it. Every wanted class is in it.
        held_out: real images of other patients, to count on.
        drawn: candidates.
        embed: called once, with train, val, planted and drawn images.
        settings: thresholds.
    """
    classes = sorted(set(drawn.labels))
    seen = _embed_all(train, held_out, drawn, embed, settings.planted_images)
    copying = fit_memorization(train.images, seen.train, train.groups, train.labels, settings.memorization_quantile)
    agreeing = fit_agreement(seen.train, train.labels, train.groups)
    copied = {label: measure_power(copying, label, seen.copies[label], _of_class(held_out, seen.held_out, label)[:2]) for label in classes}
    told = _judge_sources(train, held_out, drawn, seen, settings)
    agreed = agreeing.judge(seen.drawn, drawn.labels, settings.class_agreement)
    results = [
        {"memorization": _name(judged, train, label, copied, settings), "class_agreement": agreement, "shortcut": _describe(told[label], settings)}
        for judged, agreement, label in zip(copying.judge(drawn.images, seen.drawn, drawn.labels, drawn.groups), agreed, drawn.labels, strict=True)
    ]
    agreements = tuple(measure_agreement(agreeing, seen.held_out, held_out.labels, label, settings.class_agreement) for label in classes)
    conditions = agreement_by_condition(drawn.conditions, [agreement["passed"] for agreement in agreed])
    marked = measure_source_power(*seen.marked, settings.shortcut_auc)
    return results, _sum_up([power for power in copied.values() if power is not None], agreements, conditions, tuple(told.values()), marked)


class _Embedded(NamedTuple):
    """Everything that is looked at, embedded in one call.

    Attributes:
        train: `(N, F)`.
        held_out: `(V, F)`.
        drawn: `(M, F)`.
        copies: planted copies with their features, by wanted class and kind.
        marked: class, real images of it, and the same with a planted artefact, by kind.
    """

    train: Floats
    held_out: Floats
    drawn: Floats
    copies: dict[str, dict[str, tuple[Sequence[Pixels], Floats]]]
    marked: tuple[str, Sample, dict[str, Sample]]


def _embed_all(train: Shown, held_out: Shown, drawn: Shown, embed: Embed, planted: int) -> _Embedded:
    """Plant copies of each wanted class and artefacts in one class, and embed everything."""
    copies = {label: _plant(train, label, planted // len(set(drawn.labels))) for label in sorted(set(drawn.labels))}
    source, rows = _marked_rows(train, drawn, min(planted, MARKED_IMAGES))
    artefacts = plant_artefacts([train.images[row] for row in rows]) if rows else {}
    parts: dict[tuple[str, str], Sequence[Pixels]] = {("", "train"): train.images, ("", "held out"): held_out.images, ("", "drawn"): drawn.images}
    parts |= {(f"copy of {label}", kind): images for label, kinds in copies.items() for kind, images in kinds.items()}
    parts |= {("artefact", kind): images for kind, images in artefacts.items()}
    found = np.asarray(embed([image for images in parts.values() for image in images]), dtype=np.float32)
    features = dict(zip(parts, np.split(found, np.cumsum([len(images) for images in parts.values()])[:-1]), strict=True))
    groups = [train.groups[row] for row in rows]
    return _Embedded(
        train=features["", "train"],
        held_out=features["", "held out"],
        drawn=features["", "drawn"],
        copies={label: {kind: (images, features[f"copy of {label}", kind]) for kind, images in kinds.items()} for label, kinds in copies.items()},
        marked=(
            source,
            Sample([train.images[row] for row in rows], features["", "train"][rows], groups),
            {kind: Sample(images, features["artefact", kind], groups) for kind, images in artefacts.items()},
        ),
    )


def _plant(train: Shown, label: str, number: int) -> dict[str, list[Pixels]]:
    """Return near-copies of some train images of a class, by kind.

    Raises:
        UsageError: train has no image of the class.
    """
    own = [row for row, found in enumerate(train.labels) if found == label]
    if not own:
        raise UsageError(f"candidates were drawn for the class {label}, of which there is no train image; draw for classes of the train set")
    rows = spread(own, min(number, MOST_PLANTED))
    return plant_copies([train.images[row] for row in rows], [train.groups[row] for row in rows]) if rows else {}


def _marked_rows(train: Shown, drawn: Shown, number: int) -> tuple[str, list[int]]:
    """Return a class and some train rows of it to plant artefacts in: the wanted one with most images, or the largest of all when it has too few patients."""
    sizes = Counter(train.labels)
    patients = {label: len({group for group, found in zip(train.groups, train.labels, strict=True) if found == label}) for label in sizes}
    wanted = [label for label in sorted(set(drawn.labels)) if patients[label] >= LEAST_PATIENTS]
    label = max(wanted or sorted(sizes), key=lambda name: sizes[name])
    return label, spread([row for row, found in enumerate(train.labels) if found == label], number)


def _of_class(real: Shown, features: Floats, label: str) -> Sample:
    """Return the images of one class."""
    rows = [row for row, found in enumerate(real.labels) if found == label]
    return Sample([real.images[row] for row in rows], features[rows], [real.groups[row] for row in rows])


def _judge_sources(train: Shown, held_out: Shown, drawn: Shown, seen: _Embedded, settings: ScreenSettings) -> dict[str, Shortcut]:
    """Return how the candidates of each class are told from real images."""
    known, unseen, made = (
        source_of(features, part.labels, part.groups) for part, features in ((train, seen.train), (held_out, seen.held_out), (drawn, seen.drawn))
    )
    told, fitted = {}, Classifiers(known, made)
    for label in sorted(set(drawn.labels)):
        real, others, own = (_of_class(*pair, label) for pair in ((train, seen.train), (held_out, seen.held_out), (drawn, seen.drawn)))
        told[label] = judge_source(label, real, own, others, swap_source(known, unseen, made, label, fitted=fitted), settings.shortcut_auc)
    return told


def _name(judged: dict[str, Any], train: Shown, label: str, powers: dict[str, Power | None], settings: ScreenSettings) -> dict[str, Any]:
    """Return a candidate's memorization result with the nearest train image by name, and what the screen is worth: weak or unknown, nobody passes."""
    own, overall = powers[label], pool(power.all_kinds for power in powers.values() if power is not None)
    share = own.all_kinds.share if own is not None else None
    worth = {
        "power": overall.share if overall is not None else None,
        "power_class": share,
        "power_class_low": own.all_kinds.low if own is not None else None,
        "least_power": settings.least_power,
    }
    is_strong = (share if share is not None else 0.0) >= settings.least_power
    return judged | worth | {"passed": judged["passed"] and is_strong, "is_near_copy": not judged["passed"], "nearest": train.image_ids[judged["nearest"]]}


def _describe(told: Shortcut, settings: ScreenSettings) -> dict[str, Any]:
    """Return what stands in the row of each candidate of a class: the source is told apart or not; that stops it only when the recipe says so."""
    probe = {"auc": told.probe.value, "auc_low": told.probe.low, "auc_high": told.probe.high} if told.probe is not None else {"auc": None}
    return {
        "passed": not (told.is_told_apart and settings.shortcut_stops),
        "is_told_apart": told.is_told_apart,
        "reasons": list(told.reasons),
        "limit": settings.shortcut_auc,
        **probe,
    }


def _sum_up(
    powers: Sequence[Power],
    agreements: tuple[AgreementPower, ...],
    conditions: dict[str, Rate],
    told: tuple[Shortcut, ...],
    marked: SourcePower | None,
) -> ScreenPower:
    """Return what the screens are worth, over all classes and by class."""
    kinds = {kind: pool(power.by_kind.get(kind) for power in powers) for kind in COPY_KINDS}
    return ScreenPower(
        power=_share(pool(power.all_kinds for power in powers)),
        power_by_kind={kind: found.share for kind, found in kinds.items() if found is not None},
        false_alarms=_share(pool(power.false_alarms for power in powers)),
        agreement_passed=_share(pool(each.passed for each in agreements)),
        agreement_power=_share(pool(each.stopped for each in agreements)),
        memorization=tuple(powers),
        agreement=agreements,
        agreement_by_condition=conditions,
        shortcut=told,
        shortcut_power=marked,
    )


def _share(found: Rate | None) -> float | None:
    return found.share if found is not None else None
