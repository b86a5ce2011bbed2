"""The router: which images the experts see next, and in which order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any, NamedTuple

import polars as pl

from curation.pseudonyms import pseudonym
from validation.recipe import ReviewSettings
from validation.review.issued import case_of

WEIGHTS = {"label_conflict": 4.0, "unlabelled": 3.0, "synthetic": 4.0, "uncertain": 3.0}
STRETCH = 12
"""Places by which an image may move in the queue, so that no rhythm of the routes is left."""
SCHEMA = pl.Schema({"image_id": pl.String, "case_id": pl.String, "route": pl.String, "route_reason": pl.String, "priority": pl.Float64})


class Queued(NamedTuple):
    """One image on its way to the readers."""

    image_id: str
    route: str
    reason: str


def build_queue(
    rows: pl.DataFrame,
    uncertainty: pl.DataFrame | None,
    settings: ReviewSettings,
    key: bytes,
    taken: Collection[str] = (),
    room: int | None = None,
    open_audits: int = 0,
    lost: Collection[str] = (),
) -> pl.DataFrame:
    """Return the next images for the readers, first one first, with priorities from 1 down to above 0.

    Conflicts, unlabelled images, synthetic candidates and uncertain or suspicious labels are interleaved in proportion to `WEIGHTS`;
    the audit slice, drawn at random from all labelled real images, is spread among them. Places are then mixed by the project's key: a reader who saw every
    second image to be synthetic would know the next one. The same rows give the same queue in any order.

    Args:
        rows: the working manifest.
        uncertainty: `image_id` and `uncertainty` (0 sure to 1) of the last model, if there is one.
        settings: budget and audit share.
        key: the project's key, for the case ids and places.
        taken: image_ids that are with the readers already or have an answer.
        room: most images to return; default: the budget.
        open_audits: audit tasks that are open already.
        lost: image_ids that went out before and are with no reader, as after a push that was killed: they are chosen before others.
    """
    room = settings.budget if room is None else room
    rows = _eligible(with_uncertainty(rows, uncertainty), taken)
    labelled = rows.filter(pl.col("origin") == "acquired", pl.col("label").is_not_null(), pl.col("split").is_not_null(), pl.col("split") != "holdout")
    audits = _audits(labelled, settings, max(0, min(room, round(settings.budget * settings.audit_share) - open_audits)))
    drawn = {each.image_id for each in audits}
    lanes = {
        "label_conflict": _lane(_conflicts(rows), "label_conflict", room),
        "unlabelled": _lane(_unlabelled(rows), "unlabelled", room),
        "synthetic": _lane(_candidates(rows), "synthetic", room),
        "uncertain": _lane(_suspicious(labelled.filter(~pl.col("image_id").is_in(sorted(drawn)))), "uncertain", room),
    }
    merged = _interleave(lanes)
    wanted = sorted(merged, key=lambda each: each.image_id not in lost)[: room - len(audits)]
    chosen = [each for each in merged if each in wanted]
    ordered = _mix(_spread(chosen, audits), key)
    return pl.DataFrame(
        [(each.image_id, case_of(key, each.image_id), each.route, each.reason, 1 - place / len(ordered)) for place, each in enumerate(ordered)],
        schema=SCHEMA,
        orient="row",
    )


def with_uncertainty(rows: pl.DataFrame, uncertainty: pl.DataFrame | None) -> pl.DataFrame:
    """Return the rows with the last model's `uncertainty`, and `label_issue_score` if it tells one, where it has judged them."""
    if uncertainty is None or uncertainty.is_empty():
        return rows
    told = [name for name in ("uncertainty", "label_issue_score") if name in uncertainty.columns]
    new = uncertainty.select("image_id", pl.col(told).cast(pl.Float64).name.prefix("_")).unique("image_id", keep="first", maintain_order=True)
    joined = rows.join(new, on="image_id", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(f"_{name}", name).alias(name) for name in told).select(rows.columns)


def _eligible(rows: pl.DataFrame, taken: Collection[str]) -> pl.DataFrame:
    """Keep stored images without a verdict that no reader has, one of each group of duplicates."""
    first = pl.col("duplicate_group").is_null() | (pl.col("duplicate_group") == pl.col("image_id"))
    return rows.filter(pl.col("verdict").is_null(), pl.col("shard").is_not_null(), first, ~pl.col("image_id").is_in(sorted(taken))).sort("image_id")


def _conflicts(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.filter(pl.col("origin") == "acquired", pl.col("route") == "label_conflict")
    return rows.with_columns(_weight=pl.lit(1.0), _reason=pl.lit("the same image came with different labels"))


def _unlabelled(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.filter(pl.col("origin") == "acquired", pl.col("label").is_null(), pl.col("route").is_null() | (pl.col("route") != "label_conflict"))
    return rows.with_columns(_weight=pl.col("uncertainty").fill_null(0.0), _reason=pl.lit("no label yet"))


def _candidates(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.filter(pl.col("origin") == "synthetic", pl.col("screens").map_elements(passed_screens, return_dtype=pl.Boolean, skip_nulls=False))
    weight = pl.col("screens").map_elements(priority_of, return_dtype=pl.Float64, skip_nulls=False)
    return rows.with_columns(_weight=weight, _reason=pl.lit("synthetic candidate that passed the screens"))


def _suspicious(labelled: pl.DataFrame) -> pl.DataFrame:
    """Rank labelled images by the larger of the model's uncertainty and the chance that the label is wrong."""
    issue = 1 - pl.col("label_issue_score")
    labelled = labelled.with_columns(_weight=pl.max_horizontal("uncertainty", issue)).filter(pl.col("_weight").is_not_null())
    is_issue = issue.fill_null(-1.0) > pl.col("uncertainty").fill_null(-1.0)
    suspect = pl.format("label is right with probability {}", pl.col("label_issue_score").round(3))
    return labelled.with_columns(_reason=pl.when(is_issue).then(suspect).otherwise(pl.format("uncertainty {}", pl.col("uncertainty").round(3))))


def passed_screens(screens: str | None) -> bool:
    """Say whether no screen in the column's JSON refused the image: neither it nor any screen in it has `passed` false."""
    found: Any = json.loads(screens) if screens else {}
    if not isinstance(found, dict):
        return False
    parts = [found, *(part for part in found.values() if isinstance(part, dict))]
    return all(part.get("passed") is not False for part in parts)


def priority_of(screens: str | None) -> float:
    """Return the place that the reward model of experts' verdicts gives a candidate, 1 without one."""
    found: Any = json.loads(screens) if screens else {}
    reward = found.get("reward") if isinstance(found, dict) else None
    return float(reward.get("priority", 1.0)) if isinstance(reward, dict) else 1.0


def _lane(rows: pl.DataFrame, route: str, most: int) -> list[Queued]:
    """Return the first rows by weight, then image_id."""
    rows = rows.sort("_weight", "image_id", descending=[True, False]).head(most)
    return [Queued(image_id, route, reason) for image_id, reason in rows.select("image_id", "_reason").iter_rows()]


def _audits(labelled: pl.DataFrame, settings: ReviewSettings, quota: int) -> list[Queued]:
    """Draw labelled real images at random: by a hash of seed and image_id, so that neither order nor other rows change a draw."""
    if quota == 0:
        return []
    drawn = sorted(labelled["image_id"].to_list(), key=lambda image_id: hashlib.sha256(f"{settings.seed}|{image_id}".encode()).digest())
    return [Queued(image_id, "audit", "audit, drawn at random") for image_id in drawn[:quota]]


def _interleave(lanes: dict[str, list[Queued]]) -> list[Queued]:
    """Merge the lanes so that any stretch holds them in proportion to their weights."""
    places = [((rank + 0.5) / WEIGHTS[route], number, each) for number, (route, lane) in enumerate(lanes.items()) for rank, each in enumerate(lane)]
    return [each for _, _, each in sorted(places, key=lambda place: place[:2])]


def _spread(first: list[Queued], second: list[Queued]) -> list[Queued]:
    """Merge two lists with both spread evenly."""
    places = [((rank + 0.5) / len(lane), number, each) for number, lane in enumerate((first, second)) for rank, each in enumerate(lane)]
    return [each for _, _, each in sorted(places, key=lambda place: place[:2])]


def _mix(queue: list[Queued], key: bytes) -> list[Queued]:
    """Return the queue with its routes in an order that only the key can foretell: each moves back by up to `STRETCH` places. A route keeps its own order."""
    late = [place + STRETCH * int(pseudonym(key, "place", each.image_id)[:8], 16) / 16**8 for place, each in enumerate(queue)]
    waiting = {route: iter([each for each in queue if each.route == route]) for route in {each.route for each in queue}}
    return [next(waiting[queue[place].route]) for place in sorted(range(len(queue)), key=late.__getitem__)]
