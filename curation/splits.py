"""Splits: train, val and test by patient, the same on every run, and never moved by new patients."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import polars as pl

from curation.modalities import with_task
from curation.recipe import SplitSettings

SIDES = ("train", "test", "val")  # of equal needs, the first one is served
Stratum = tuple[str, str | None] | tuple[str]  # a label of a task, or the whole task


def assign_splits(rows: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Return the rows with `split`.

    Groups (`group_id`) stay whole. A group that has a side keeps it, one that is found on two sides goes to train. New groups are
    stratified by task and label: the rarest first, each to the side that lacks most of the groups it should have. A label with at least
    three groups gets one on every side where its groups carry no rarer label. Synthetic images are always train.

    Args:
        rows: manifest with `group_id`.
        settings: shares of the groups, and the seed of their order.
    """
    acquired = with_task(rows.filter(pl.col("origin") == "acquired"))
    groups = acquired.group_by("group_id").agg(
        sides=pl.col("split").drop_nulls().unique().sort(), strata=pl.struct("task", "label").unique(maintain_order=False)
    )
    fixed = {name: (sides[0] if len(sides) == 1 else "train") for name, sides in groups.select("group_id", "sides").iter_rows() if sides}
    chosen = fixed
    if len(fixed) < groups.height:
        strata = {name: _strata(parts) for name, parts in groups.select("group_id", "strata").iter_rows()}
        chosen = fixed | _place_new(strata, fixed, settings)
    split = pl.col("group_id").replace_strict(chosen, default=None, return_dtype=pl.String) if chosen else pl.col("split")
    return rows.with_columns(split=pl.when(pl.col("origin") == "synthetic").then(pl.lit("train")).otherwise(split))


def _strata(parts: list[dict[str, str]]) -> list[Stratum]:
    """Return the labels that a group carries, and its tasks, which decide where labels are too rare to."""
    return [*((part["task"], part["label"]) for part in parts), *((task,) for task in {part["task"] for part in parts})]


def find_moved_groups(rows: pl.DataFrame) -> list[str]:
    """Return the groups whose acquired rows lie on two sides; `assign_splits` sends them to train."""
    sides = rows.filter(pl.col("origin") == "acquired").group_by("group_id").agg(sides=pl.col("split").drop_nulls().n_unique())
    return sides.filter(pl.col("sides") > 1)["group_id"].sort().to_list()


def _place_new(strata: dict[str, list[Stratum]], fixed: dict[str, str], settings: SplitSettings) -> dict[str, str]:
    """Return the side of every group that has none yet."""
    members = Counter(part for name, parts in strata.items() if fixed.get(name) != "holdout" for part in parts)
    wanted = {part: _wanted(count, settings) for part, count in members.items()}
    counts: dict[Stratum, Counter[str]] = defaultdict(Counter)
    for name, side in fixed.items():
        for part in strata[name]:
            counts[part][side] += 1
    by_rarity = {name: sorted(parts, key=lambda part: (members[part], str(part))) for name, parts in strata.items() if name not in fixed}
    chosen: dict[str, str] = {}
    for name in sorted(by_rarity, key=lambda name: (members[by_rarity[name][0]], _order(settings.seed, name))):
        lacks = {side: tuple(round(wanted[part][side] - counts[part][side], 9) for part in by_rarity[name]) for side in SIDES}
        chosen[name] = max(SIDES, key=lambda side: lacks[side])
        for part in by_rarity[name]:
            counts[part][chosen[name]] += 1
    return chosen


def _wanted(groups: int, settings: SplitSettings) -> dict[str, float]:
    """Return how many groups of a stratum each side should have: at least one when there are three."""
    shares = {"train": settings.train, "val": settings.val, "test": settings.test}
    return {side: max(share * groups, 1.0 if groups >= len(SIDES) else 0.0) for side, share in shares.items()}


def _order(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()
