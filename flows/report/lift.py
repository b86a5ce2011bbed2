"""The section that shows what the lift court said: verdicts, every arm on real test patients, and the dose curve of validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from flows.report.evidence import Evidence, EvidenceFile
from flows.report.forest import Curve, Point, Row, curve_chart, forest_chart

if TYPE_CHECKING:
    from flows.report.material import Material

OVERALL = "all judged classes"
ARMS = {
    "real": "real images only",
    "weighted": "class weights",
    "logit_adjusted": "logit adjustment",
    "duplicated": "duplicated real images",
    "augmented": "classical augmentation",
    "smote": "SMOTE on features",
    "unfiltered": "synthetic, unfiltered",
    "screened": "synthetic, screened",
    "accepted": "synthetic, accepted by experts",
}
SCHEDULES = {"none": "", "mix": "mixed in", "pretrain": "added first, then real only", "decay": "phased out"}
AXES = ("dose: images added, as a multiple of the real train images of the class", "AUPRC minus that of real images only")
VERDICTS = {"task": pl.String, "class": pl.String, "verdict": pl.String, "reason": pl.String, "images": pl.Int64}
ARM_NUMBERS = ("dose", "auprc", "auprc_low", "auprc_high", "lift", "lift_low", "lift_high")
COST_NUMBERS = ("change", "low", "high")
COUNTS = ("label", "train_images", "val_patients", "test_images", "test_patients", "synthetic", "screened", "accepted")


def describe_lift(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    """Return what the template asks for about the court; without a judgement, empty tables."""
    judged = material.judgements
    verdicts, arms, doses, costs = (flatten(judged) for flatten in (flatten_verdicts, flatten_arms, flatten_doses, flatten_costs))
    files["lift"] = evidence.add_table("lift", arms, "every arm of the lift court on real test patients, with the difference to the judged synthetic images")
    files["doses"] = evidence.add_table("doses", doses, "every schedule and dose on validation, where the court chooses")
    files["costs"] = evidence.add_table("costs", costs, "what the judged images change in other classes, calibration and subgroups")
    return {
        "lift_verdicts": verdicts,
        "lift_arms": arms,
        "lift_arm_numbers": list(ARM_NUMBERS),
        "lift_costs": costs,
        "lift_cost_numbers": list(COST_NUMBERS),
        "lift_forests": [(task, label, draw_forest(arms, task, label)) for task, label in _heads(arms)],
        "lift_curves": [(task, label, draw_doses(doses, task, label)) for task, label in _heads(doses)],
        "lift_notes": [f"{one['task']}: {note}" for one in judged for note in one["notes"]],
        "lift_counts": pl.DataFrame([{"task": one["task"], **{name: count[name] for name in COUNTS}} for one in judged for count in one["counts"]]),
        "lift_withheld": material.lift.get("withheld", {}),
        "lift_demanded": material.lift.get("settings", {}),
    }


def _heads(table: pl.DataFrame) -> list[tuple[str, str]]:
    """Return task and class of every chart, the overall one last; where only one class was judged, overall says the same."""
    heads = table.select("task", "class").unique().sort("task", pl.col("class") == OVERALL, "class")
    classes = heads["task"].value_counts()
    single = set(classes.filter(pl.col("count") == 2)["task"])
    return [(task, label) for task, label in heads.iter_rows() if label != OVERALL or task not in single]


def flatten_verdicts(judged: list[dict[str, Any]]) -> pl.DataFrame:
    """Return one row a verdict; a class that only goes along as a counter-weight has none."""
    rows = [
        {"task": one["task"], "class": verdict["label"] or OVERALL, "verdict": verdict["word"], "reason": verdict["reason"], "images": verdict["images"]}
        for one in judged
        for verdict in one["verdicts"]
        if not verdict["is_companion"]
    ]
    return pl.DataFrame(rows, schema=VERDICTS)


def _spread(estimate: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return value, lower and upper end of an estimate under three names."""
    return dict(zip(names, (estimate["value"], estimate["low"], estimate["high"]), strict=True))


def _judged_classes(one: dict[str, Any]) -> set[str | None]:
    return {verdict["label"] for verdict in one["verdicts"] if not verdict["is_companion"]}


def flatten_arms(judged: list[dict[str, Any]]) -> pl.DataFrame:
    """Return one row a class and arm: AUPRC on test, and the judged synthetic images minus this arm."""
    rows = [
        {
            "task": one["task"],
            "class": arm["label"] or OVERALL,
            "arm": ARMS[arm["arm"]],
            "schedule": SCHEDULES[arm["schedule"]],
            "role": "judged" if arm["is_judged"] else "",
        }
        | {"dose": arm["dose"]}
        | _spread(arm["auprc"], ("auprc", "auprc_low", "auprc_high"))
        | _spread(arm["lift"], ("lift", "lift_low", "lift_high"))
        for one in judged
        for arm in one["arms"]
        if arm["label"] in _judged_classes(one)
    ]
    texts = dict.fromkeys(("task", "class", "arm", "schedule", "role"), pl.String)
    return pl.DataFrame(rows, schema={**texts, **dict.fromkeys(ARM_NUMBERS, pl.Float64)})


def flatten_doses(judged: list[dict[str, Any]]) -> pl.DataFrame:
    """Return one row a class, arm, schedule and dose on validation."""
    rows = [
        {"task": one["task"], "class": point["label"] or OVERALL, "arm": ARMS[point["arm"]], "schedule": SCHEDULES[point["schedule"]], "dose": point["dose"]}
        | {"auprc": point["auprc"]}
        | _spread(point["gain"], ("gain", "low", "high"))
        for one in judged
        for point in one["doses"]
        if point["label"] in _judged_classes(one)
    ]
    texts = dict.fromkeys(("task", "class", "arm", "schedule"), pl.String)
    return pl.DataFrame(rows, schema={**texts, **dict.fromkeys(("dose", "auprc", "gain", "low", "high"), pl.Float64)})


def flatten_costs(judged: list[dict[str, Any]]) -> pl.DataFrame:
    """Return one row a place where the judged images were looked at for harm; `doubt`: shown only without the correction for the number of places."""
    rows = [
        {"task": one["task"], "images of": verdict["label"] or OVERALL, "looked at": f"{cost['kind']} {cost['name']}"}
        | _spread(cost["change"], COST_NUMBERS)
        | {"harm": "harm" if cost["is_harm"] else "doubt" if cost.get("is_suspected") else ""}
        for one in judged
        for verdict in one["verdicts"]
        for cost in verdict["costs"]
    ]
    texts = dict.fromkeys(("task", "images of", "looked at"), pl.String)
    return pl.DataFrame(rows, schema={**texts, **dict.fromkeys(COST_NUMBERS, pl.Float64), "harm": pl.String})


def draw_forest(arms: pl.DataFrame, task: str, label: str) -> Any:
    """Return the forest plot of one class: the judged synthetic images minus each other arm."""
    shown = arms.filter((pl.col("task") == task) & (pl.col("class") == label) & (pl.col("role") == "") & pl.col("lift").is_not_null())
    rows = [
        Row(
            label=_name(row["arm"], row["dose"]),
            value=row["lift"],
            low=row["lift"] if row["lift_low"] is None else row["lift_low"],
            high=row["lift"] if row["lift_high"] is None else row["lift_high"],
            note=_estimate(row["lift"], row["lift_low"], row["lift_high"]),
        )
        for row in shown.iter_rows(named=True)
    ]
    return forest_chart(rows, ("the other arm is better", "the synthetic images are better"), f"lift of {label} over every arm") if rows else None


def _name(arm: str, dose: float) -> str:
    """Return an arm with its dose; what logit adjustment has is a strength."""
    return f"{arm}, τ {dose:g}" if arm == ARMS["logit_adjusted"] else arm + (f", {dose:g}×" if dose else "")


def _estimate(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.3f}" + (" (no interval)" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})")


def draw_doses(doses: pl.DataFrame, task: str, label: str) -> Any:
    """Return the dose curve of one class: gain over real images only, on validation; each arm with the schedule of its highest point."""
    own = doses.filter((pl.col("task") == task) & (pl.col("class") == label) & (pl.col("dose") > 0) & pl.col("gain").is_not_null())
    kinds = {ARMS["duplicated"]: "before", ARMS["smote"]: "test", ARMS["augmented"]: "kept", ARMS["screened"]: "synthetic", ARMS["accepted"]: "now"}
    curves = []
    for arm, kind in kinds.items():
        found = own.filter(pl.col("arm") == arm)
        if found.is_empty():
            continue
        best = found.group_by("schedule").agg(pl.coalesce("low", "gain").max().alias("best"))
        schedule = best.sort("best", "schedule", descending=[True, False])["schedule"][0]
        points = [Point(*values) for values in found.filter(schedule=schedule).sort("dose").select("dose", "gain", "low", "high").iter_rows()]
        curves.append(Curve(f"{arm}{', ' + schedule if schedule else ''}", kind, tuple(points)))
    chart = curve_chart(curves, AXES, f"gain of {label} by dose on validation") if curves else None
    return (chart, [(curve.label, curve.kind) for curve in curves]) if curves else None
