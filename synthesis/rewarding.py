"""The reward model in a round of synthesis: learn it from the verdicts, keep the best of several draws, hide what experts would surely reject.

A share of what would be hidden is shown all the same (the audit), else the model would never be told that it is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from curation.project import Project
from synthesis.candidates import Drawn
from synthesis.recipe import RewardSettings, SynthesisSettings
from synthesis.remembering import Embed
from synthesis.requests import Request
from synthesis.reward import Forecast, Judged, RewardModel, RewardQuality, fit_anchor, fit_reward
from synthesis.training_set import TrainingSet, load_images
from synthesis.verdict_trend import ExpertVerdict, GeneratorVerdicts, trend_of_verdicts

SCREEN = "reward"
NO_REASON = "no reason given"


@dataclass(frozen=True)
class RewardReport:
    """What the verdicts on earlier candidates did in this round.

    Attributes:
        use: what the model was used for, or why none was learned, one sentence.
        quality: what it is worth; None without a model.
        drawn: images drawn, of which the best were kept (`best_of`).
        hidden: candidates that it kept from the experts.
        audited: candidates that it would have kept from them, shown all the same.
        trend: what experts said of each generator so far, oldest first.
    """

    use: str
    quality: RewardQuality | None = None
    drawn: int = 0
    hidden: int = 0
    audited: int = 0
    trend: tuple[GeneratorVerdicts, ...] = ()


@dataclass(frozen=True)
class Reward:
    """A model, if there is one, and how far it may be used: `orders` when it tells anything, `hides` when its probabilities can be believed too."""

    settings: RewardSettings
    report: RewardReport
    model: RewardModel | None = None
    orders: bool = False
    hides: bool = False

    @property
    def draws(self) -> int:
        """Images to draw for each wanted one."""
        return self.settings.best_of if self.orders else 1

    def more(self, requests: Sequence[Request]) -> list[Request]:
        """Return the requests with as many draws for each wanted image as the recipe says."""
        return [request._replace(number=request.number * self.draws) for request in requests]

    def keep_best(self, drawn: Drawn, embed: Embed) -> Drawn:
        """Return, of each run of `draws` images of one request, the one that experts would least probably reject."""
        if self.draws == 1:
            return drawn
        chances = np.array([forecast.reject_probability for forecast in self._judge(drawn, embed)]).reshape(-1, self.draws)
        places = np.arange(len(chances)) * self.draws + chances.argmin(axis=1)
        return drawn.chosen(places)

    def screen(self, drawn: Drawn, screens: list[dict[str, Any]], embed: Embed) -> tuple[list[dict[str, Any]], RewardReport]:
        """Return the screens' results with the reward model's beside them (as they are when it says nothing), and the report of the round."""
        if not self.orders:
            return screens, replace(self.report, drawn=len(drawn.images))
        found = [self._decide(forecast, seed) for forecast, seed in zip(self._judge(drawn, embed), drawn.seeds, strict=True)]
        hidden = sum(not result["passed"] for result in found)
        report = replace(self.report, drawn=len(drawn.images) * self.draws, hidden=hidden, audited=sum(result["audit"] for result in found))
        return [results | {SCREEN: result} for results, result in zip(screens, found, strict=True)], report

    def _judge(self, drawn: Drawn, embed: Embed) -> list[Forecast]:
        assert self.model is not None
        return self.model.judge(embed(drawn.images), drawn.labels)

    def _decide(self, forecast: Forecast, seed: int) -> dict[str, Any]:
        """Return the result of one candidate; `priority` orders it among those that wait. An audited one has a random place."""
        limit = self.settings.reject_above
        is_junk = self.hides and forecast.reject_probability > limit
        chosen, place = _chances(seed)
        audit = is_junk and chosen < self.settings.audit_share
        said = {"reject_probability": forecast.reject_probability, "reason": forecast.reason, "reason_probability": forecast.reason_probability}
        priority = round(place if audit else 1 - forecast.reject_probability, 4)
        return {"passed": audit or not is_junk, "audit": audit, "limit": limit if self.hides else None, "priority": priority} | said


def _chances(seed: int) -> tuple[float, float]:
    """Return two numbers in [0, 1) that depend on the seed of an image alone: whether it is audited, and its place in the queue."""
    digest = hashlib.sha256(f"audit|{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32, int.from_bytes(digest[4:8], "big") / 2**32


def learn_reward(
    project: Project, rows: pl.DataFrame, train: TrainingSet, verdicts: Sequence[ExpertVerdict], embed: Embed, settings: SynthesisSettings
) -> Reward:
    """Learn from the verdicts on synthetic images of this task, and say how far the model may be used.

    Args:
        project: its shards hold the judged images.
        rows: working manifest.
        train: real train images of the task.
        verdicts: what experts said; those on images that are not there, or of another task or class, are left out.
        embed: images to features.
        settings: of the round.
    """
    asked, wanted = settings.reward, settings.reward.enabled and not settings.task.endswith("-3d")
    told = _judged_rows(rows, train, verdicts, settings.task)
    trend = trend_of_verdicts(told, verdicts)
    if not wanted:
        return _nothing(asked, "the recipe turns it off" if not asked.enabled else "only 2-D images are learned from", trend)
    rejected = told["image_id"].is_in([one.image_id for one in verdicts if one.rejected])
    if told.height < asked.least_verdicts or min(rejected.sum(), (~rejected).sum()) < asked.least_each:
        counts = f"{told.height} verdicts ({rejected.sum()} rejections)"
        return _nothing(asked, f"{counts} so far, {asked.least_verdicts} with {asked.least_each} of each kind are needed", trend)
    anchor = fit_anchor(embed(train.images), train.labels, train.groups)
    model = fit_reward(_judged(project, told, train, verdicts, embed, settings), anchor)
    return _nothing(asked, "all verdicts are about too few patients or generators", trend) if model is None else _allow(asked, model, trend)


def _nothing(settings: RewardSettings, reason: str, trend: tuple[GeneratorVerdicts, ...]) -> Reward:
    return Reward(settings, RewardReport(f"nothing is learned from verdicts: {reason}", trend=trend))


def _allow(settings: RewardSettings, model: RewardModel, trend: tuple[GeneratorVerdicts, ...]) -> Reward:
    """Return the model with what its quality allows."""
    quality = model.quality
    orders = quality.auroc_low > 0.5
    hides = orders and quality.calibration_error <= settings.most_calibration_error and quality.brier < quality.brier_of_share
    if hides:
        use = f"orders candidates and hides those with a probability of rejection above {settings.reject_above:g}"
    elif orders:
        use = f"orders candidates and hides none: its calibration error is {quality.calibration_error:g}, the recipe allows {settings.most_calibration_error:g}"
    else:
        use = f"not used: it does not tell rejected from accepted images (AUROC {quality.auroc:g}, from {quality.auroc_low:g} to {quality.auroc_high:g})"
    return Reward(settings, RewardReport(use, quality, trend=trend), model, orders, hides)


def _judged_rows(rows: pl.DataFrame, train: TrainingSet, verdicts: Sequence[ExpertVerdict], task: str) -> pl.DataFrame:
    """Return the stored synthetic rows of the task's classes that have a verdict."""
    from curation.modalities import with_task

    named = pl.col("image_id").is_in([one.image_id for one in verdicts])
    known = with_task(rows).filter((pl.col("task") == task) & (pl.col("origin") == "synthetic") & named & pl.col("shard").is_not_null())
    return known.filter(pl.col("label").is_in(train.classes)).drop("task").sort("image_id")


def _judged(project: Project, told: pl.DataFrame, train: TrainingSet, verdicts: Sequence[ExpertVerdict], embed: Embed, settings: SynthesisSettings) -> Judged:
    """Return the judged images with their features, each looked at as the train images are."""
    by_image = {one.image_id: one for one in verdicts}
    said = [by_image[image_id] for image_id in told["image_id"]]
    images = load_images(project, told, settings.generator, train.channels).images
    reasons = tuple((one.reasons or (NO_REASON,)) if one.rejected else () for one in said)
    generators = tuple(told["generator_sha256"].fill_null("unknown"))
    return Judged(embed(images), tuple(told["label"]), np.array([one.rejected for one in said], dtype=np.bool_), reasons, generators)
