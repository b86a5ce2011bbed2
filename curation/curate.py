"""The curate stage: verdicts, overrides, duplicates, groups, splits and gaps over the working manifest. It reads no pixels."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from curation.duplicates import CONFLICT, group_duplicates, is_dropped_duplicate
from curation.gaps import find_gaps
from curation.groups import assign_groups
from curation.manifest import read_manifest, write_bytes, write_manifest
from curation.overrides import override_labels, override_splits, read_overrides, record_overrides
from curation.progress import Progress, silent
from curation.project import Project
from curation.recipe import GapSettings, SplitSettings
from curation.splits import assign_splits, find_moved_groups

STEPS = ("verdicts and overrides", "duplicates", "splits", "gaps")


@dataclass(frozen=True)
class CurateReport:
    """What the stage found.

    Attributes:
        rows: rows of the working manifest, candidates too.
        restored: released synthetic images that a deleted workspace had lost.
        duplicates: acquired images that a release leaves out because an equal one is in it.
        label_conflicts: groups of equal images whose labels disagree.
        groups: acquired groups.
        moved_groups: groups that lay on two sides and went to train.
        overrides: decisions of a person that hold.
        unknown_overrides: decisions on images that are not here.
        splits: acquired images of each side.
        gaps: cells that lack images.
        changed: whether the working manifest changed.
        seconds: wall time.
    """

    rows: int
    restored: int
    duplicates: int
    label_conflicts: int
    groups: int
    moved_groups: int
    overrides: int
    unknown_overrides: int
    splits: dict[str, int]
    gaps: int
    changed: bool
    seconds: float


def curate(
    project: Project,
    split: SplitSettings,
    gaps: GapSettings,
    verdict_rows: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    progress: Progress | None = None,
) -> CurateReport:
    """Bring the working manifest up to date and write the gap table to `workspace/gaps.parquet`. Running it again changes nothing.

    Args:
        project: the project; the caller holds its lock.
        split: shares of the patients.
        gaps: which cells are counted.
        verdict_rows: applies the readers' verdicts to the manifest; the flows pass it in, because this room does not know the readers.
        progress: told after every step.

    Raises:
        UsageError: a line of `records/overrides.csv` or a column of `gaps.columns` is wrong.
    """
    started, tell = time.monotonic(), progress or silent
    before = read_manifest(project.manifest)
    rows = restore_released(before, read_manifest(project.data / "manifest.parquet"))
    restored = rows.height - before.height
    path = project.records / "overrides.csv"
    overrides = read_overrides(path)
    judged = verdict_rows(rows) if verdict_rows else rows
    rows = override_labels(judged, overrides, path)
    tell(1, len(STEPS), STEPS[0])
    rows = assign_groups(group_duplicates(rows, {each.image_id for each in overrides if each.column == "label"}))
    tell(2, len(STEPS), STEPS[1])
    moved = find_moved_groups(rows)
    rows = override_splits(assign_splits(rows, split), overrides, path).sort("image_id")
    tell(3, len(STEPS), STEPS[2])
    table = find_gaps(rows, gaps)
    record_overrides(judged, overrides, project.ledger)
    changed = not rows.equals(before)
    if changed:
        write_manifest(rows, project.manifest)
    _write_table(table, project)
    tell(4, len(STEPS), STEPS[3])
    return _report(rows, table, started, restored=restored, moved_groups=len(moved), images=[each.image_id for each in overrides], changed=changed)


def restore_released(rows: pl.DataFrame, released: pl.DataFrame) -> pl.DataFrame:
    """Return the working rows with what a deleted workspace lost: released synthetic rows, and the sides of released images."""
    lost = released.filter((pl.col("origin") == "synthetic") & ~pl.col("image_id").is_in(rows["image_id"].to_list()))
    rows = pl.concat([rows, lost]).sort("image_id")
    sides = released.select("image_id", released_split="split")
    joined = rows.join(sides, on="image_id", how="left", maintain_order="left")
    return joined.with_columns(split=pl.coalesce("split", "released_split")).select(rows.columns)


def _write_table(table: pl.DataFrame, project: Project) -> None:
    content = io.BytesIO()
    table.write_parquet(content)
    write_bytes(content.getvalue(), project.workspace / "gaps.parquet")


def _report(rows: pl.DataFrame, table: pl.DataFrame, started: float, *, restored: int, moved_groups: int, images: list[str], changed: bool) -> CurateReport:
    acquired = rows.filter(pl.col("origin") == "acquired")
    known = acquired.filter(pl.col("image_id").is_in(images))["image_id"].to_list()
    return CurateReport(
        rows=rows.height,
        restored=restored,
        duplicates=acquired.filter(is_dropped_duplicate()).height,
        label_conflicts=acquired.filter(pl.col("route") == CONFLICT)["duplicate_group"].n_unique(),
        groups=acquired["group_id"].n_unique(),
        moved_groups=moved_groups,
        overrides=sum(image in known for image in images),
        unknown_overrides=len(set(images) - set(known)),
        splits=dict(acquired.group_by("split").len().sort("split").iter_rows()),
        gaps=table.filter(pl.col("missing") > 0).height,
        changed=changed,
        seconds=round(time.monotonic() - started, 3),
    )
