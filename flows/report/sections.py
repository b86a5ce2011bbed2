"""The sections of the report: what each shows, drawn from tables that are written as evidence first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curation.gaps import find_gaps
from flows.report import tables
from flows.report.charts import Bar, Dot, bar_chart, column_chart, dot_chart
from flows.report.evidence import Evidence, EvidenceFile
from flows.report.gallery import Shelf
from flows.report.harmonization import describe_harmonization
from flows.report.lift import describe_lift
from flows.report.synthesis import describe_synthesis

if TYPE_CHECKING:
    from flows.report.material import Material

LEDGER_LINES = 12

SPLIT_SERIES = (("train", "train"), ("val", "val"), ("test", "test"), ("holdout", "holdout"))
COHORT_SERIES = (*SPLIT_SERIES, ("synthetic (train)", "synthetic"))
OUTCOMES = ("kept", "duplicate", "quarantined", "skipped")
SEX_SERIES = (("F", "sex-f"), ("M", "sex-m"), ("O", "sex-o"), ("not stated", "sex-n"))
VERDICTS = (("confirmed", "train"), ("relabelled", "test"), ("accepted", "synthetic"), ("rejected", "quarantined"))
MOST_BARS = 40
MOST_GAPS = 20
MADE_NOTE = (
    "Generators here are trained for minutes on a CPU unless the recipe says otherwise: they demonstrate the loop and are no claim about image quality. "
    "Screens, readers and the lift court decide which images stay."
)


def describe(material: Material, evidence: Evidence, shelves: list[Shelf]) -> dict[str, Any]:
    """Return everything that the page's template asks for; evidence files are written and numbered on the way."""
    files: dict[str, EvidenceFile] = {}
    content = {
        "name": material.settings.dataset.name,
        "description": material.settings.dataset.description,
        "release": material.release,
        "style": _style(),
        "files": files,
        **_changes(material, evidence, files),
        **_cohort(material, evidence, files),
        **_people(material, evidence, files),
        **_intake(material, evidence, files),
        **_gaps(material, evidence, files),
        **_gallery(material, evidence, files, shelves),
        **describe_synthesis(material, evidence, files),
        **describe_lift(material, evidence, files),
        **_review(material, evidence, files),
        **_model(material, evidence, files),
        **describe_harmonization(material, evidence, files),
        "checks": sorted(material.checks, key=lambda check: check["name"]),
        "passed": sum(check["passed"] for check in material.checks),
        "ledger": material.ledger[-LEDGER_LINES:],
        "ledger_lines": len(material.ledger),
    }
    files["checks"] = evidence.add_json("checks", material.checks, "every check that opened the gate")
    files["ledger"] = evidence.add_json("ledger", material.ledger, "every decision up to this version")
    files["release"] = evidence.add_json("release", material.release, "release.json of the version")
    return content | {"figures": _figures(material, content, files), "summary": _summary(material), "cited": list(evidence.files.values())}


def _style() -> Any:
    from markupsafe import Markup

    return Markup((Path(__file__).parent / "style.css").read_text())  # noqa: S704 - our own file


def _changes(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    old = material.parent_rows if material.parent_rows is not None else material.rows.clear()
    changes = tables.compare_rows(old, material.rows)
    files["changes"] = evidence.add_table("changes", changes, "images added, removed, relabelled or moved since the version before")
    return {"changes": changes}


def _cohort(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    cohort = tables.count_cohort(material.rows)
    files["cohort"] = evidence.add_table("cohort", cohort, "images by task, label and side; patients")
    bars = [
        Bar(row["label"], tuple(row[name] for name in (*tables.SPLITS, "synthetic")), f"{row['images']:,}", head)
        for row, head in _headed(cohort.head(MOST_BARS), "task")
    ]
    series = [pair for pair in COHORT_SERIES if cohort[pair[0].split(" ")[0]].sum()]
    more = max(0, cohort.height - MOST_BARS)
    return {"cohort": cohort, "cohort_chart": bar_chart(bars, COHORT_SERIES, "images by task, label and side"), "cohort_series": series, "cohort_more": more}


def _headed(table: pl.DataFrame, column: str) -> list[tuple[dict[str, Any], str]]:
    """Return each row with the value of `column` when it differs from the row before, as the heading of a group."""
    rows = table.to_dicts()
    return [(row, "" if number and rows[number - 1][column] == row[column] else str(row[column])) for number, row in enumerate(rows)]


def _people(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    sites, ages = tables.count_sites(material.rows), tables.count_ages(material.rows)
    files["sites"] = evidence.add_table("sites", sites, "acquired images and patients by site")
    files["ages"] = evidence.add_table("ages", ages, "patients by decade of age and sex")
    site_bars = [Bar(row["site"], tuple(row[name] for name in tables.SPLITS), f"{row['images']:,}") for row in sites.head(MOST_BARS).to_dicts()]
    known, unknown = ages.filter(pl.col("decade").is_not_null()), ages.filter(pl.col("decade").is_null())
    counts = {row["decade"]: tuple(row[name] for name, _ in SEX_SERIES) for row in known.to_dicts()}
    decades = range(min(counts), max(counts) + 10, 10) if counts else range(0)
    columns = [("90 +" if decade >= 90 else f"{decade}–{decade + 9}", counts.get(decade, (0, 0, 0, 0))) for decade in decades]
    return {
        "sites": sites,
        "sites_chart": bar_chart(site_bars, SPLIT_SERIES, "images by site"),
        "ages_chart": column_chart(columns, SEX_SERIES, "patients by age and sex") if columns else None,
        "ages_unknown": sum(sum(row[name] for name, _ in SEX_SERIES) for row in unknown.to_dicts()),
        "sex_series": [pair for pair in SEX_SERIES if ages[pair[0]].sum()],
    }


def _intake(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    intake = material.intake
    files["intake"] = evidence.add_table("intake", intake, "files by source, outcome, code and reason, as the version carries it")
    counts = {name: int(intake.filter(pl.col("outcome") == name)["files"].sum()) for name in OUTCOMES}
    by_source = intake.group_by("source").agg(*((pl.col("files").filter(pl.col("outcome") == name)).sum().alias(name) for name in OUTCOMES)).sort("source")
    bars = [Bar(row["source"], tuple(row[name] for name in OUTCOMES), f"{sum(row[name] for name in OUTCOMES):,}") for row in by_source.to_dicts()]
    columns = ["code", "reason", "source", "files"]
    order = [-pl.col("files"), pl.col("code"), pl.col("source")]
    return {
        "intake_total": sum(counts.values()),
        "intake_counts": counts,
        "intake_chart": bar_chart(bars, [(name, name) for name in OUTCOMES], "files by source and outcome"),
        "intake_series": [(name, name) for name in OUTCOMES],
        "quarantine": intake.filter(pl.col("outcome") == "quarantined").select(columns).sort(order),
        "other": intake.filter(pl.col("outcome").is_in(["duplicate", "skipped"])).select("outcome", *columns).sort("outcome", *order),
    }


def _gaps(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    now = find_gaps(material.rows, material.settings.gaps)
    before = find_gaps(material.parent_rows, material.settings.gaps) if material.parent_rows is not None else None
    both = tables.compare_gaps(before, now)
    files["gaps"] = evidence.add_table("gaps", both, "cells before and after, with target and what is missing")
    keys = ["task", "label", *material.settings.gaps.columns]
    missing = now.filter(pl.col("missing") > 0) if before is None else now.filter((pl.col("missing") > 0) | (pl.col("synthetic_images") > 0))
    drawn = (missing if missing.height else now).head(MOST_GAPS).sort("task", -pl.col("target"), *keys[1:], nulls_last=True)
    bars: list[Bar] = []
    for row, head in _headed(drawn, "task"):
        old = before.filter(*(pl.col(key).eq_missing(pl.lit(row[key], pl.String)) for key in keys)) if before is not None else now.clear()
        bars.append(_gap_bar(row, keys, head, is_ghost=False))
        bars += [_gap_bar(was, keys, "", is_ghost=True) for was in old.to_dicts()]
    chart = bar_chart(bars, (("real", "train"), ("synthetic", "synthetic")), "train images against their target") if bars else None
    return {"gaps": both, "gaps_chart": chart, "gaps_shown": drawn.height, "gaps_more": now.height - drawn.height}


def _gap_bar(row: dict[str, Any], keys: list[str], head: str, is_ghost: bool) -> Bar:
    label = "" if is_ghost else " · ".join(str(row[key] if row[key] is not None else "not stated") for key in keys[1:])
    made = f" + {row['synthetic_images']}" if row["synthetic_images"] else ""
    note = f"{row['train_images']}{made} of {row['target']}"
    return Bar(label, (row["train_images"], row["synthetic_images"]), note, head, float(row["target"]), is_ghost)


def _gallery(material: Material, evidence: Evidence, files: dict[str, EvidenceFile], shelves: list[Shelf]) -> dict[str, Any]:
    shown = [
        {"image_id": picture.image_id, "task": shelf.task, "label": shelf.label, "origin": origin, "seed": picture.seed}
        for shelf in shelves
        for origin, pictures in (("acquired", shelf.real), ("synthetic", shelf.synthetic))
        for picture in pictures
    ]
    schema = {"image_id": pl.String, "task": pl.String, "label": pl.String, "origin": pl.String, "seed": pl.Int64}
    table = pl.DataFrame(shown, schema=schema).join(material.rows.select("image_id", "screens"), on="image_id", how="left", maintain_order="left")
    files["gallery"] = evidence.add_table("gallery", table, "the images of the gallery, with seed and screens")
    made = int((material.rows["origin"] == "synthetic").sum())
    return {"shelves": shelves, "made_images": made, "made_note": MADE_NOTE}


def _review(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    review: dict[str, Any] = {"annotations": 0, "readers": 0, "verdicts": [], "reasons": {}} | material.review
    files["review"] = evidence.add_json("review", review, "verdicts, agreement and reasons of rejection, as the version carries them")
    schema = {"task": pl.String, "origin": pl.String, "label": pl.String, "verdict": pl.String, "images": pl.Int64, "agreement": pl.Float64}
    verdicts = pl.DataFrame(review["verdicts"], schema=schema)
    counted = verdicts.group_by("task", "origin").agg(*(pl.col("images").filter(pl.col("verdict") == name).sum().alias(name) for name, _ in VERDICTS))
    bars = [
        Bar(f"{row['task']}, {'synthetic' if row['origin'] == 'synthetic' else 'real'}", values, f"{sum(values):,}")
        for row in counted.sort("task", "origin").to_dicts()
        if (values := tuple(row[name] for name, _ in VERDICTS))
    ]
    reasons = pl.DataFrame(
        {"reason": list(review["reasons"]), "annotations": list(review["reasons"].values())}, schema={"reason": pl.String, "annotations": pl.Int64}
    )
    chart = bar_chart(bars, VERDICTS, "images by verdict")
    return {"review": review, "verdicts": verdicts, "reasons": reasons.sort(-pl.col("annotations")), "review_chart": chart, "verdict_series": VERDICTS}


def _model(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    name, parent = material.release["version"], material.release["parent"] or ""
    metrics = pl.concat([tables.flatten_metrics(material.parent_metrics, parent), tables.flatten_metrics(material.metrics, name)])
    files["metrics"] = evidence.add_table("metrics", metrics, "every metric with its 95 % interval, both versions")
    paired = tables.list_differences(material.differences)
    files["paired"] = evidence.add_table("paired", paired, "AUPRC of both models on the test images that both have seen, with paired 95 % intervals")
    curves = metrics.filter(pl.col("metric") == "auprc").sort("task", "class", pl.col("version") != name)
    tested = dict(metrics.filter(pl.col("metric") == "balanced accuracy").select(pl.concat_str("version", "task"), "test_images").iter_rows())
    dots = [
        Dot(
            label=f"{row['class']} · {row['test_images']} test images" if is_now else "",
            series="now" if is_now else "before",
            value=row["value"],
            low=row["value"] if row["low"] is None else row["low"],
            high=row["value"] if row["high"] is None else row["high"],
            head=head,
            note=_interval(row),
            chance=row["test_images"] / tested[row["version"] + row["task"]] if is_now and tested.get(row["version"] + row["task"]) else None,
        )
        for row, head in _headed(curves, "task")
        if (is_now := row["version"] == name) or True
    ]
    overall = metrics.filter(pl.col("class") == "all classes")
    summary = overall.with_columns(text=pl.struct("value", "low", "high").map_elements(_interval, return_dtype=pl.String))
    order = [column for column in ("task", "metric", parent, name) if column]
    summary = summary.pivot(on="version", index=["task", "metric"], values="text", maintain_order=True)
    notes = [f"{task}: {note}" for task, content in sorted(material.metrics.get("tasks", {}).items()) for note in _notes(content)]
    return {
        "metrics": metrics,
        "model_chart": dot_chart(dots, "AUPRC of each class") if material.metrics and dots else None,
        "model_before": bool(material.parent_metrics),
        "model_summary": summary.select([column for column in order if column in summary.columns]),
        "model_numbers": [parent, name],
        "paired": paired,
        "model_notes": notes,
    }


def _interval(row: dict[str, Any]) -> str:
    """Return `0.81 (0.70 to 0.90)`, or the value alone when it has no interval."""
    return f"{row['value']:.2f}" + (f" ({row['low']:.2f} to {row['high']:.2f})" if row["low"] is not None else " (no interval)")


def _notes(content: dict[str, Any]) -> list[str]:
    warning = [content["warning"]] if content.get("warning") else []
    return [*warning, *content.get("notes", [])]


def _figures(material: Material, content: dict[str, Any], files: dict[str, EvidenceFile]) -> list[dict[str, Any]]:
    """Return the numbers at the top of the page."""
    real = material.rows.filter(pl.col("origin") == "acquired")
    labelled = real["label"].is_not_null().mean() if real.height else 0
    shown = [
        (f"{material.rows.height:,}", "images", "cohort"),
        (f"{real['patient_id'].n_unique():,}", "patients", "cohort"),
        (f"{content['made_images']:,}", "synthetic images, all in train", "cohort"),
        (f"{float(str(labelled)):.0%}", "of the real images are labelled", "cohort"),
        (f"{content['intake_counts']['quarantined']:,}", "files in quarantine", "intake"),
        (f"{content['passed']} / {len(material.checks)}", "gates passed", "checks"),
    ]
    return [{"value": value, "label": label, "file": files[file]} for value, label, file in shown]


def _summary(material: Material) -> str:
    """Return the version in one sentence."""
    tasks = tables.count_cohort(material.rows)["task"].n_unique()
    rows = material.rows
    made = int((rows["origin"] == "synthetic").sum())
    share = f"{made / rows.height:.1%} of them synthetic" if made else "none of them synthetic"
    kinds = "one kind of image" if tasks == 1 else f"{tasks} kinds of images"
    return f"{rows.height:,} images of {kinds}, {share}; {(rows['split'] == 'test').sum():,} real images of test patients judge the model."
