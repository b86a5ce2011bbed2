"""Differences between two versions, by image. The join runs in DuckDB."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curation.manifest import query
from curation.modalities import with_task

CHANGES = ("added", "removed", "relabelled", "resplit", "repixelled")
COLUMNS = "image_id, pixels_sha256, label_map_sha256, label, split, source, origin, task"

SQL = """
select
    coalesce(n.image_id, o.image_id) as image_id,
    coalesce(n.origin, o.origin) as origin,
    coalesce(n.source, o.source) as source,
    coalesce(n.task, o.task) as task,
    o.label as label_before, n.label as label_after,
    o.split as split_before, n.split as split_after,
    o.image_id is null as added,
    n.image_id is null as removed,
    o.image_id is not null and n.image_id is not null and (
        o.label is distinct from n.label or o.label_map_sha256 is distinct from n.label_map_sha256) as relabelled,
    o.image_id is not null and n.image_id is not null and o.split is distinct from n.split as resplit,
    o.image_id is not null and n.image_id is not null and o.pixels_sha256 <> n.pixels_sha256 as repixelled
from old o full outer join new n on o.image_id = n.image_id
"""


@dataclass(frozen=True)
class VersionDiff:
    """How many images changed from one version to another.

    Attributes:
        added: images that only the new version has.
        removed: images that only the old version has.
        relabelled: images in both with another label or label map.
        resplit: images in both on another side.
        repixelled: images in both with other pixels, after a change of the harmonization recipe.
        unchanged: images in both with the same label, side and pixels.
        by_label: task and label (`colour-2d/nevus`), then change, then images. A relabelled image counts under its new label.
        by_source: source, then change, then images.
        by_origin: acquired or synthetic, then change, then images.
    """

    added: int
    removed: int
    relabelled: int
    resplit: int
    repixelled: int
    unchanged: int
    by_label: dict[str, dict[str, int]]
    by_source: dict[str, dict[str, int]]
    by_origin: dict[str, dict[str, int]]


def diff_versions(old: pl.DataFrame, new: pl.DataFrame) -> VersionDiff:
    """Count what changed between the rows of two versions."""
    changes = list_changes(old, new)
    label = pl.when("removed").then("label_before").otherwise("label_after").fill_null("no label")
    return VersionDiff(
        added=int(changes["added"].sum()),
        removed=int(changes["removed"].sum()),
        relabelled=int(changes["relabelled"].sum()),
        resplit=int(changes["resplit"].sum()),
        repixelled=int(changes["repixelled"].sum()),
        unchanged=new.height - changes.filter(~pl.col("removed")).height,
        by_label=_count(changes, pl.concat_str("task", pl.lit("/"), label)),
        by_source=_count(changes, pl.col("source")),
        by_origin=_count(changes, pl.col("origin")),
    )


def list_changes(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return one row a changed image, sorted by `image_id`.

    Columns: `image_id`, `origin`, `source`, `task`, `label_before`, `label_after`, `split_before`, `split_after`, and the flags `added`, `removed`,
    `relabelled`, `resplit`, `repixelled`.
    """
    sql = f"select * from ({SQL}) where added or removed or relabelled or resplit or repixelled order by image_id"  # noqa: S608
    old, new = (with_task(rows).select(*COLUMNS.split(", ")) for rows in (old, new))
    return query(sql, old=old, new=new)


def _count(changes: pl.DataFrame, key: pl.Expr) -> dict[str, dict[str, int]]:
    """Return the sums of the flags for every value of `key`."""
    table = changes.group_by(key=key).agg(pl.col(*CHANGES).sum()).sort("key")
    return {row.pop("key"): {name: count for name, count in row.items() if count} for row in table.iter_rows(named=True)}
