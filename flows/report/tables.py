"""The tables that the report shows: pure functions of manifests and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from curation.modalities import with_task

if TYPE_CHECKING:
    from adaptation.compare import ModelDifference

SPLITS = ("train", "val", "test", "holdout")
UNLABELLED = "no label yet"
METRICS = ("auprc", "recall", "f1")


def count_cohort(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a task and label: acquired images by split, synthetic images, patients. Largest first within a task."""
    keys = ["task", "label"]
    real = pl.col("origin") == "acquired"
    named = with_task(rows).with_columns(pl.col("label").fill_null(UNLABELLED))
    counts = [(real & (pl.col("split") == split)).sum().alias(split) for split in SPLITS]
    table = named.group_by(keys).agg(*counts, synthetic=(~real).sum(), patients=pl.col("patient_id").filter(real).n_unique(), images=pl.len())
    return table.cast(dict.fromkeys([*SPLITS, "synthetic", "patients", "images"], pl.Int64)).sort("task", -pl.col("images"), "label")


def count_sites(rows: pl.DataFrame) -> pl.DataFrame:
    """Return acquired images and patients by site, largest first."""
    real = rows.filter(pl.col("origin") == "acquired").with_columns(pl.col("site").fill_null("not stated"))
    counts = [(pl.col("split") == split).sum().cast(pl.Int64).alias(split) for split in SPLITS]
    table = real.group_by("site").agg(*counts, images=pl.len().cast(pl.Int64), patients=pl.col("patient_id").n_unique().cast(pl.Int64))
    return table.sort(-pl.col("images"), "site")


def count_ages(rows: pl.DataFrame) -> pl.DataFrame:
    """Return acquired patients by decade of age and sex; a patient counts once, at the youngest age."""
    real = rows.filter(pl.col("origin") == "acquired")
    patients = real.group_by("patient_id").agg(pl.col("age_years").min(), pl.col("sex").drop_nulls().first())
    decade = (pl.col("age_years") // 10 * 10).cast(pl.Int64)
    named = patients.with_columns(decade=decade, sex=pl.col("sex").fill_null("not stated"))
    counts = [(pl.col("sex") == sex).sum().cast(pl.Int64).alias(sex) for sex in ("F", "M", "O", "not stated")]
    return named.group_by("decade").agg(*counts).sort("decade", nulls_last=True)


def compare_rows(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return what changed from the version before: one row a kind of change and task."""
    before = old.select("image_id", old_label="label", old_split="split", old_origin="origin")
    joined = with_task(new).join(before, on="image_id", how="left", maintain_order="left")
    known = pl.col("old_origin").is_not_null()
    kinds = {
        "added, acquired": ~known & (pl.col("origin") == "acquired"),
        "added, synthetic": ~known & (pl.col("origin") == "synthetic"),
        "relabelled": known & pl.col("label").ne_missing(pl.col("old_label")),
        "moved to another side": known & pl.col("split").ne_missing(pl.col("old_split")),
    }
    tables = [joined.filter(wanted).group_by("task").agg(images=pl.len().cast(pl.Int64)).with_columns(change=pl.lit(kind)) for kind, wanted in kinds.items()]
    gone = with_task(old).join(new.select("image_id"), on="image_id", how="anti")
    tables.append(gone.group_by("task").agg(images=pl.len().cast(pl.Int64)).with_columns(change=pl.lit("removed")))
    return pl.concat(tables).select("change", "task", "images").sort("change", "task")


def compare_gaps(before: pl.DataFrame | None, now: pl.DataFrame) -> pl.DataFrame:
    """Return the gap tables of the version before (if any) and of this one below each other, with a column `version_is`."""
    tables = [now.with_columns(version_is=pl.lit("this"))]
    if before is not None:
        tables.insert(0, before.select(now.columns).with_columns(version_is=pl.lit("before")))
    return pl.concat(tables)


def flatten_metrics(metrics: dict[str, Any], version: str) -> pl.DataFrame:
    """Return one row a task, class and metric with value and interval; `class` is `all classes` for what sums up a task."""
    found: list[dict[str, Any]] = []

    def note(task: str, name: str, metric: str, values: Any, images: int | None) -> None:
        if isinstance(values, list) and values and values[0] is not None:
            low, high = (values[1], values[2]) if len(values) >= 3 else (None, None)
            told = {"version": version, "task": task, "class": name, "metric": metric, "value": values[0], "low": low, "high": high}
            found.append(told | {"test_images": images})

    for task, content in sorted(metrics.get("tasks", {}).items()):
        images = (content.get("test") or {}).get("images")
        for label, values in sorted(content.get("per_class", {}).items()):
            for metric in METRICS:
                note(task, label, metric, values.get(metric), values.get("images"))
        for metric, values in (content.get("macro") or {}).items() if isinstance(content.get("macro"), dict) else ():
            note(task, "all classes", f"macro {metric}", values, images)
        for metric in ("balanced_accuracy", "ece"):
            note(task, "all classes", metric.replace("_", " "), content.get(metric), images)
    names = ("version", "task", "class", "metric")
    columns = dict.fromkeys(names, pl.String) | dict.fromkeys(("value", "low", "high"), pl.Float64) | {"test_images": pl.Int64}
    return pl.DataFrame(found, schema=columns)


def list_differences(differences: list[ModelDifference]) -> pl.DataFrame:
    """Return one row a class, and one for the macro average (`all classes`), of the paired comparison of two models."""
    rows = [
        {
            "task": each.task,
            "class": each.label or "all classes",
            "test_images": each.images,
            "test_patients": each.patients,
            "before": each.old,
            "now": each.new,
            "difference": each.difference,
            "low": each.interval[0] if each.interval else None,
            "high": each.interval[1] if each.interval else None,
            "shown": each.word,
        }
        for each in differences
    ]
    numbers = dict.fromkeys(("test_images", "test_patients"), pl.Int64) | dict.fromkeys(("before", "now", "difference", "low", "high"), pl.Float64)
    table = pl.DataFrame(rows, schema={"task": pl.String, "class": pl.String, **numbers, "shown": pl.String})
    return table.with_columns(pl.col(pl.Float64).round(3))
