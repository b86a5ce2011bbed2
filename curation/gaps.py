"""Gaps: which cells of the cohort have too few train images, and what can be done about each."""

from __future__ import annotations

import polars as pl

from curation.duplicates import is_dropped_duplicate
from curation.errors import UsageError
from curation.modalities import with_task
from curation.recipe import GapSettings
from curation.records import SCHEMA

LEAST_PATIENTS = 2


def find_gaps(rows: pl.DataFrame, settings: GapSettings) -> pl.DataFrame:
    """Return one row a cell: every label of a task crossed with every value that the chosen columns take in that task.

    Columns: `task`, `label`, the chosen columns, `train_images` and `train_patients` (acquired, neither dropped nor rejected),
    `synthetic_images` (accepted by an expert), `target`, `missing` (what both lack of the target), `action`: `leave` (enough), `synthesize`,
    or `collect` (volumes, and cells with fewer than two train patients: a generator cannot show what it never saw). Most missing first.

    Args:
        rows: curated manifest.
        settings: chosen columns (of the record, or keys of `attributes`), wanted share of the task's largest cell, upper bound.

    Raises:
        UsageError: a chosen column does not exist.
    """
    keys = ["task", "label", *settings.columns]
    kept = ~is_dropped_duplicate() & pl.col("verdict").ne_missing("rejected") & pl.col("label").is_not_null()
    usable = with_task(rows.filter(kept)).with_columns(cell_values(rows, name) for name in settings.columns)
    acquired = usable.filter(pl.col("origin") == "acquired")
    train = acquired.filter(pl.col("split") == "train").group_by(keys).agg(train_images=pl.len(), train_patients=pl.col("patient_id").n_unique())
    accepted = usable.filter((pl.col("origin") == "synthetic") & (pl.col("verdict") == "accepted")).group_by(keys).agg(synthetic_images=pl.len())
    cells = _cross(acquired, list(settings.columns))
    for counts in (train, accepted):
        cells = cells.join(counts, on=keys, how="left", nulls_equal=True)
    return _plan(cells.with_columns(pl.col("train_images", "train_patients", "synthetic_images").fill_null(0).cast(pl.Int64)), settings, keys)


def cell_values(rows: pl.DataFrame, name: str) -> pl.Expr:
    """Return the column `name` of the record, or key of `attributes`, as text; ages in decades.

    Raises:
        UsageError: there is neither such a column nor such a key.
    """
    if name == "age_years":
        decade = (pl.col(name) // 10 * 10).cast(pl.Int64)
        return pl.concat_str(decade.cast(pl.String), pl.lit("-"), (decade + 9).cast(pl.String)).alias(name)
    if name in SCHEMA and not SCHEMA[name].is_nested():
        return pl.col(name).cast(pl.String)
    found = rows.select(pl.col("attributes").str.json_path_match(f'$["{name}"]')).to_series()
    if found.null_count() == rows.height and rows.height:
        raise UsageError(f"gaps.columns: no column or attribute {name!r}")
    return pl.col("attributes").str.json_path_match(f'$["{name}"]').alias(name)


def _cross(acquired: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Return every combination of the labels and values that each task has."""
    cells = acquired.select("task", "label").unique()
    for name in columns:
        cells = cells.join(acquired.select("task", name).unique(), on="task")
    return cells


def _plan(cells: pl.DataFrame, settings: GapSettings, keys: list[str]) -> pl.DataFrame:
    """Add target, missing and action."""
    largest = pl.col("train_images").max().over("task")
    target = pl.min_horizontal((largest * settings.target).ceil().cast(pl.Int64), pl.lit(settings.maximum, pl.Int64))
    missing = (pl.col("target") - pl.col("train_images") - pl.col("synthetic_images")).clip(lower_bound=0)
    possible = pl.col("task").str.ends_with("-2d") & (pl.col("train_patients") >= LEAST_PATIENTS)
    action = pl.when(pl.col("missing") == 0).then(pl.lit("leave")).when(possible).then(pl.lit("synthesize")).otherwise(pl.lit("collect"))
    planned = cells.with_columns(target=target).with_columns(missing=missing).with_columns(action=action)
    order = planned.sort(pl.col("missing").neg(), *keys, nulls_last=True)
    return order.select(*keys, "train_images", "train_patients", "synthetic_images", "target", "missing", "action")
