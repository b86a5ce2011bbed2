"""The table and the curve, whatever they say."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.lift.curve import Row, draw_curve, write_curve
from benchmarks.lift.study import MADE
from benchmarks.lift.turning import describe_turn
from curation.manifest import write_bytes

COLUMNS = (
    ("base_steps", "base steps"),
    ("compute_cpu_min", "CPU-min"),
    ("arm", "images"),
    ("lesions", "n"),
    ("label", "class"),
    ("verdict", "verdict"),
    ("auprc", "AUPRC with synthetic"),
    ("best_control", "best control"),
    ("lift", "lift over it [95 %]"),
    ("lift_real", "over real only"),
    ("dose", "schedule, dose"),
    ("source_auc", "real-vs-synthetic AUC"),
    ("near_copies", "near-copies"),
    ("screened", "passed screens"),
    ("accepted", "accepted"),
    ("test_images", "test images of all cuts (different patients)"),
)


def summarise(judged: dict[str, Any], about: Row) -> list[Row]:
    """Return one row for each class of a judgement that has a verdict of its own, and, when there are several, one overall."""
    counts, rows = {count["label"]: count for count in judged["counts"]}, []
    own_verdicts = [verdict for verdict in judged["verdicts"] if not verdict["is_companion"]]
    for verdict in own_verdicts if len(own_verdicts) > 2 else own_verdicts[:1]:  # one class, then overall, which says the same
        label = verdict["label"]
        arms = [arm for arm in judged["arms"] if arm["label"] == label]
        own = next((arm for arm in arms if arm["is_judged"]), None)
        real = next((arm for arm in arms if arm["arm"] == "real"), None)
        count = counts.get(label, {})
        rows.append(
            {**about, "label": label or "overall", "verdict": verdict["word"], "reason": verdict["reason"]}
            | {"dose": f"{verdict['schedule']} {verdict['dose']:g}x", "auprc": own and own["auprc"], "best_control": verdict["best_control"], "arms": arms}
            | {"lift": verdict["lift"], "lift_real": real and real["lift"], "source_auc": verdict["source_auc"], "costs": verdict["costs"]}
            | {"screened": _of(count, "screened"), "accepted": _of(count, "accepted")}
            | {"test_images": f"{count['test_images']} ({count['test_patients']})" if count else None}
            | {"near_copies": about.get("near_copies_by_class", {}).get(label)}
        )
    return rows


def _of(count: Row, name: str) -> str | None:
    return f"{count[name]} of {count['synthetic']}" if count else None


def publish(rows: Sequence[Row], notes: Sequence[str], folder: Path, title: str) -> str:
    """Write `table.md`, `table.json`, `curve.csv` and `curve.png`; return the verdict in a sentence or two."""
    ordered = sorted(price(rows), key=lambda row: (row["label"] == "overall", row["label"], row["lesions"], row["arm"], row["base_steps"] or 0))
    verdict = conclude(ordered)
    lines = [f"# {title}", "", verdict, "", "## Table", "", "| " + " | ".join(head for _, head in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(_cell(row.get(name), signed=name.startswith("lift")) for name, _ in COLUMNS) + " |" for row in ordered]
    lines += ["", *_explanations(), "", "## What the court said", ""]
    lines += [f"- {name_row(row)}: **{row['verdict']}**. {row['reason']}" for row in ordered]
    lines += ["", "## At which compute the lift would turn", "", *describe_turns(ordered), "", *_list_arms(ordered), "", "## What was read", ""]
    lines += [f"- {note[:1].upper()}{note[1:]}." for note in notes]
    write_bytes(("\n".join(lines) + "\n").encode(), folder / "table.md")
    write_bytes(json.dumps(ordered, indent=1).encode(), folder / "table.json")
    write_bytes(write_curve(ordered).encode(), folder / "curve.csv")
    write_bytes(draw_curve(ordered), folder / "curve.png")
    return verdict


def price(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the minutes that base and fine-tune take, at one price an image and step for all networks of the same width.

    One price, because the same training takes longer on busy cores, which is no compute.
    """
    spent: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        spent[row["network"]][0] += row["spent_s"]
        spent[row["network"]][1] += row["spent_images"]
    image_s = {network: seconds / images if images else 0.0 for network, (seconds, images) in spent.items()}
    return [{**row, "compute_cpu_min": float(f"{row['images_seen'] * image_s[row['network']] / 60:.3g}") or None} for row in rows]


def conclude(rows: Sequence[Row]) -> str:
    """Return the verdict over all rows, and whether the court could have seen a lift."""
    made = [row for row in rows if row["arm"] in MADE and row["label"] != "overall"]
    won = [row for row in made if row["verdict"] == "accept"]
    if not made:
        said = "**Verdict: none.** No synthetic image was judged."
    elif won:
        named = "; ".join(f"{name_row(row)} ({_cell(row['lift'], signed=True)} over {row['best_control']})" for row in won)
        said = f"**Verdict: accept** for {named}."
        said += f" {len(made) - len(won)} of {len(made)} rows were not accepted, and a row accepted out of many may be luck." if len(won) < len(made) else ""
    else:
        word = "reject" if all(row["verdict"] == "reject" for row in made) else "inconclusive"
        said = f"**Verdict: {word}.** No lift over the best control was shown{f' in any of {len(made)} rows' if len(made) > 1 else ''}."
    return " ".join([said, *_weigh_readers(rows, won), _weigh_oracle(rows)])


def _weigh_readers(rows: Sequence[Row], won: Sequence[Row]) -> list[str]:
    """Return for each accepted row whether the choice of the simulated readers alone, without any synthesis, brings as much."""
    alone = {(row["label"], row["lesions"]): row["lift"] for row in rows if row["arm"] == "chosen"}
    said = []
    for row in won:
        lift = alone.get((row["label"], row["lesions"]))
        if lift is None:
            said.append(f"What the simulated readers' choice alone brings was not judged (--arms chosen), so that of {name_row(row)} may be theirs.")
        elif lift["high"] is None or lift["high"] >= row["lift"]["value"]:
            said.append(f"The simulated readers' choice among unchanged images brings {_cell(lift, signed=True)}: the lift of {name_row(row)} may be theirs.")
    return said


def _weigh_oracle(rows: Sequence[Row]) -> str:
    """Return what the positive control says of the court's power."""
    oracle = [row for row in rows if row["arm"] == "oracle" and row["label"] != "overall"]
    if not oracle:
        return "No oracle was judged, so nobody knows whether the court could have seen a lift with this data."
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in oracle:
        found[_sees(row)].append(f"{row['label']}, n = {row['lesions']} ({_cell(row['lift'], signed=True)} over {row['best_control']})")
    return " ".join(["Oracle (real images handed in as if synthetic):", *(f"{sees}: {'; '.join(named)}." for sees, named in found.items())])


def _sees(row: Row) -> str:
    """Return what the verdict on real images says of that on synthetic ones."""
    if row["verdict"] == "accept":
        return "the court could see a lift"
    if row["reason"].startswith("No useful lift"):
        return "not even further real images help, so there is nothing to gain"
    return "the court could not see a lift even of real images, so that none was shown says little"


def name_row(row: Row) -> str:
    """Return which judgement a row is of."""
    base = f", base of {row['base_steps']} steps" if row["base_steps"] else ""
    return f"{row['label']}, {row['arm']}, n = {row['lesions']}{base}"


def describe_turns(rows: Sequence[Row]) -> list[str]:
    """Return one line for each class, kind of images and number of lesions."""
    curves: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["arm"] in MADE:
            curves[f"{row['label']}, {row['arm']}, n = {row['lesions']}"].append(row)
    return [f"- {name}: {describe_turn(own)}" for name, own in curves.items()] or ["- No synthetic image was judged."]


def _list_arms(rows: Sequence[Row]) -> list[str]:
    """Return the table of every arm, those with a verdict and the controls."""
    head = "| class | images | n | base steps | arm | schedule, dose | AUPRC [95 %] | synthetic minus this [95 %] |"
    lines = ["## Every arm on test", "", head, "|" + "---|" * 8]
    for row in rows:
        for arm in row["arms"]:
            name = f"**{arm['arm']}**" if arm["is_judged"] else arm["arm"] + (" (best control)" if arm["arm"] == row["best_control"] else "")
            cells = (row["label"], row["arm"], row["lesions"], row["base_steps"], name, f"{arm['schedule']} {arm['dose']:g}x", arm["auprc"])
            lift = "" if arm["is_judged"] else _cell(arm["lift"], signed=True)
            lines.append("| " + " | ".join([*map(_cell, cells), lift]) + " |")
    return lines


def _explanations() -> list[str]:
    return [
        "n: groups of a rare class in train. Lift: AUPRC on real test patients with the synthetic images minus that of the best control, which is the one",
        "over which the lower end is lowest; the interval is of a paired bootstrap over patients, cuts pooled. `free`: samples from noise, judged at the",
        "generator's size. `edits`: counterfactual edits of common-class train images, judged at full size. `oracle`: real images of patients who left test",
        "for it. `moved`: features of common-class train images plus the difference of the class means: what perfect edits would bring. `chosen`: common-class",
        "train images as they are that the readers take for the rare class: what their choice brings without synthesis. Readers are simulated",
        "(`readers.py`). CPU-min: base and one fine-tune, at this run's mean time an image and step (minutes of a GPU if one",
        "was used). Passed and accepted: of the drawn images, the least of all cuts, so *no image passed* may be true of one cut only.",
    ]


def _cell(value: Any, *, signed: bool = False) -> str:
    """Return a value as a cell: an estimate with its interval, a number with three digits."""
    if isinstance(value, dict):
        if value["value"] is None:
            return "not known"
        form = "+.3f" if signed else ".3f"
        bounds = "" if value["low"] is None else f" [{value['low']:{form}}, {value['high']:{form}}]"
        return f"{value['value']:{form}}{bounds}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value).replace("|", "\\|")
