"""The section that shows what harmonization does: site and label told on held-out patients, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from flows.report.charts import Dot, dot_chart
from flows.report.evidence import Evidence, EvidenceFile

if TYPE_CHECKING:
    from flows.report.material import Material

NUMBERS = ("value", "low", "high", "change", "change_low", "change_high")
CHANCE = 0.5


def describe_harmonization(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    """Return what the template asks for about the proof of harmonization; without a proof, empty tables."""
    tasks = material.harmonization.get("tasks", [])
    effects = flatten_effects(tasks)
    files["harmonization"] = evidence.add_table("harmonization", effects, "how well site and label are told on test patients, by variant of the features")
    shown = effects.filter(pl.col("metric") == "AUROC").to_dicts()
    dots = [
        Dot(
            label=row["from"],
            series="now" if row["told"] != "site" else "before",
            value=row["value"],
            low=row["value"] if row["low"] is None else row["low"],
            high=row["value"] if row["high"] is None else row["high"],
            head="" if place and _head(shown[place - 1]) == _head(row) else _head(row),
            note=f"{row['value']:.2f}" + (f" ({row['low']:.2f} to {row['high']:.2f})" if row["low"] is not None else ""),
            chance=CHANCE,
        )
        for place, row in enumerate(shown)
    ]
    said = [(f"{task['task']}: {text}", is_warning) for task in tasks for is_warning, kind in ((True, "warnings"), (False, "verdicts")) for text in task[kind]]
    return {
        "harmonization": effects,
        "harmonization_numbers": list(NUMBERS),
        "harmonization_chart": dot_chart(dots, "AUROC of site and label before and after harmonization") if dots else None,
        "harmonization_said": [text for text, is_warning in said if not is_warning],
        "harmonization_warnings": [text for text, is_warning in said if is_warning],
        "harmonization_notes": material.harmonization.get("notes", []),
        "has_harmonization": bool(material.harmonization),
    }


def _head(row: dict[str, Any]) -> str:
    return f"{row['task']}: {row['told']}"


def flatten_effects(tasks: list[dict[str, Any]]) -> pl.DataFrame:
    """Return one row a task, target, variant and metric."""
    rows = []
    for task in tasks:
        for effect in task["effects"]:
            for metric, values, change in (("AUROC", effect["auroc"], effect["change"]), ("balanced accuracy", effect["balanced_accuracy"], None)):
                if values[0] is not None:
                    told = {"task": task["task"], "told": effect["target"], "from": effect["variant"], "metric": metric}
                    rows.append(told | dict(zip(NUMBERS, (*values, *(change or (None, None, None))), strict=True)))
    schema = dict.fromkeys(("task", "told", "from", "metric"), pl.String) | dict.fromkeys(NUMBERS, pl.Float64)
    return pl.DataFrame(rows, schema=schema)
