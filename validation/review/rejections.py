"""What the readers said of synthetic images, in the form that a generator's side can learn from."""

from __future__ import annotations

from typing import Any

import polars as pl

from curation.project import Project
from synthesis.verdict_trend import ExpertVerdict
from validation.review.verdicts import Opinion, gather_opinions, read_verdicts, standing_answers

WRONG_CLASS = "wrong class"


def read_expert_verdicts(project: Project, rows: pl.DataFrame, readers_per_task: int = 1) -> tuple[ExpertVerdict, ...]:
    """Return the `expert_verdicts` on rows of a project."""
    return expert_verdicts(rows, read_verdicts(project), readers_per_task)


def expert_verdicts(rows: pl.DataFrame, facts: list[dict[str, Any]], readers_per_task: int = 1) -> tuple[ExpertVerdict, ...]:
    """Return one verdict for each synthetic row that enough readers judged and agree on, sorted by `image_id`.

    An image is rejected as in `validation.review.verdicts`: the readers call it unusable, or give it another class than it was drawn for.

    Args:
        rows: any part of a manifest.
        facts: as `pull_verdicts` wrote them.
        readers_per_task: fewer answers than this: no verdict yet.
    """
    wanted = dict(rows.filter((pl.col("origin") == "synthetic") & pl.col("label").is_not_null()).select("image_id", "label").sort("image_id").iter_rows())
    own = [fact for fact in facts if fact["image_id"] in wanted]
    opinions = {image_id: each for image_id, each in gather_opinions(own).items() if each.readers >= readers_per_task and not each.is_tie}
    reasons: dict[str, set[str]] = {image_id: set() for image_id in opinions}
    for fact in standing_answers(own):
        if fact["image_id"] in opinions:
            reasons[fact["image_id"]] |= _reasons(fact, wanted[fact["image_id"]])
    return tuple(_verdict(image_id, opinions[image_id], wanted[image_id], reasons[image_id]) for image_id in wanted if image_id in opinions)


def _reasons(fact: dict[str, Any], wanted: str) -> set[str]:
    """Return why one reader does not accept the image; empty when they do."""
    if not fact["usable"]:
        return set(fact["reasons"])
    return set() if fact["label"] == wanted else {WRONG_CLASS}


def _verdict(image_id: str, opinion: Opinion, wanted: str, reasons: set[str]) -> ExpertVerdict:
    """Return the verdict of one image; reasons of a minority do not count where the majority accepts it."""
    is_accepted = bool(opinion.usable) and opinion.label == wanted
    return ExpertVerdict(image_id, not is_accepted, () if is_accepted else tuple(sorted(reasons)), opinion.reviewed_at)
