"""The table and the curve, whatever they say."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from curation.manifest import write_bytes

Row = dict[str, Any]

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
    ("test_images", "test images (patients)"),
)


def summarise(judged: dict[str, Any], about: Row) -> list[Row]:
    """Return one row for each class of a judgement that has a verdict of its own, and one overall."""
    counts, rows = {count["label"]: count for count in judged["counts"]}, []
    for verdict in judged["verdicts"]:
        label = verdict["label"]
        if verdict["is_companion"]:
            continue
        own = next((arm for arm in judged["arms"] if arm["label"] == label and arm["is_judged"]), None)
        real = next((arm for arm in judged["arms"] if arm["label"] == label and arm["arm"] == "real"), None)
        control = next((arm for arm in judged["arms"] if arm["label"] == label and arm["arm"] == verdict["best_control"]), None)
        count = counts.get(label, {})
        rows.append(
            {
                **about,
                "label": label or "overall",
                "verdict": verdict["word"],
                "reason": verdict["reason"],
                "dose": f"{verdict['schedule']} {verdict['dose']:g}x",
            }
            | {"auprc": own and own["auprc"], "best_control": verdict["best_control"], "control_auprc": control and control["auprc"]}
            | {"lift": verdict["lift"], "lift_real": real and real["lift"], "source_auc": verdict["source_auc"], "costs": verdict["costs"]}
            | {"synthetic": count.get("synthetic"), "screened": count.get("screened"), "accepted": count.get("accepted")}
            | {"test_images": f"{count['test_images']} ({count['test_patients']})" if count else None}
            | {"near_copies": about.get("near_copies_by_class", {}).get(label)}
        )
    return rows


def publish(rows: list[Row], judgements: dict[str, Any], folder: Path, title: str) -> Path:
    """Write `table.md`, `table.json`, `curve.csv` and `curve.png`; return the table's path."""
    ordered = sorted(rows, key=lambda row: (row["label"] == "overall", row["label"], row["lesions"], row["arm"], row["base_steps"]))
    lines = [f"# {title}", "", "| " + " | ".join(head for _, head in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name, _ in COLUMNS) + " |" for row in ordered]
    lines += ["", *_notes(), "", "## What the court said", ""]
    lines += [
        f"- {row['arm']}, n={row['lesions']}, base of {row['base_steps']} steps, {row['label']}: **{row['verdict']}**. {row['reason']}" for row in ordered
    ]
    lines += [
        "",
        "## Every arm on test",
        "",
        "| images | n | base steps | class | arm | schedule, dose | AUPRC [95 %] | synthetic minus this [95 %] |",
        "|" + "---|" * 8,
    ]
    for row in (row for row in ordered if row["name"] in judgements):
        arms = [arm for arm in judgements[row["name"]]["arms"] if (arm["label"] or "overall") == row["label"]]
        for arm in arms:
            cells = (row["arm"], row["lesions"], row["base_steps"], row["label"], arm["arm"], f"{arm['schedule']} {arm['dose']:g}x", arm["auprc"], arm["lift"])
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    write_bytes(("\n".join(lines) + "\n").encode(), folder / "table.md")
    write_bytes(json.dumps(ordered, indent=1).encode(), folder / "table.json")
    write_bytes(_curve(ordered).encode(), folder / "curve.csv")
    write_bytes(draw_curve(ordered), folder / "curve.png")
    return folder / "table.md"


def _notes() -> list[str]:
    return [
        "n: groups of a rare class in train. Lift: AUPRC on real test patients with the synthetic images minus that of the best control;",
        "the interval is of a paired bootstrap over patients, cuts pooled. `free`: samples from noise, judged at the generator's size.",
        "`edits`: counterfactual edits of common-class train images, judged at full size. Readers are simulated (`readers.py`).",
        "CPU-min: the base at this run's time an image and step, and the mean fine-tune of a cut.",
    ]


def _cell(value: Any) -> str:
    """Return a value as a cell: an estimate with its interval, a number with three digits."""
    if isinstance(value, dict):
        if value["value"] is None:
            return "not known"
        bounds = "" if value["low"] is None else f" [{value['low']:+.3f}, {value['high']:+.3f}]"
        return f"{value['value']:.3f}{bounds}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


def _curve(rows: list[Row]) -> str:
    """Return lift against compute as CSV."""
    text = io.StringIO()
    names = ("label", "arm", "lesions", "base_steps", "compute_cpu_min", "lift", "low", "high", "best_control", "verdict", "source_auc", "near_copies")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        kept = {name: row.get(name) for name in names} | {"lift": row["lift"]["value"], "low": row["lift"]["low"], "high": row["lift"]["high"]}
        writer.writerow(kept | {"source_auc": row["source_auc"]["value"]})
    return text.getvalue()


WIDTH, HEIGHT, LEFT, BOTTOM = 460, 300, 60, 50
COLOURS = ((0, 90, 160), (200, 90, 0), (60, 140, 60), (150, 50, 140), (110, 110, 110), (160, 130, 0))


def draw_curve(rows: list[Row]) -> bytes:
    """Return a PNG: lift over the best control against the base's steps, one panel a class and kind of images, one line a number of lesions."""
    from PIL import Image, ImageDraw, ImageFont

    panels = sorted({(row["label"], row["arm"]) for row in rows}, key=lambda one: (one[0] == "overall", one))
    columns = max(1, len({arm for _, arm in panels}))
    height = max(1, -(-len(panels) // columns))
    picture = Image.new("RGB", (WIDTH * columns, HEIGHT * height), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    known = [row for row in rows if row["lift"]["value"] is not None]
    ends = [abs(row["lift"][key] or 0.0) for row in known for key in ("value", "low", "high")]
    most, steps = max([0.05, *ends]), sorted({row["base_steps"] for row in known}) or [0]
    for number, (label, arm) in enumerate(panels):
        corner = (number % columns * WIDTH, number // columns * HEIGHT)
        mine = [row for row in known if (row["label"], row["arm"]) == (label, arm)]
        _draw_panel(pen, font, corner, f"{label}, {arm}: lift over the best control", mine, most, steps)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _draw_panel(pen: Any, font: Any, corner: tuple[int, int], title: str, rows: list[Row], most: float, steps: list[int]) -> None:
    """Draw one panel with axes, a line at no lift, and intervals."""
    left, right, top, bottom = corner[0] + LEFT, corner[0] + WIDTH - 20, corner[1] + 34, corner[1] + HEIGHT - BOTTOM

    def across(value: int, shift: int) -> float:
        share = (steps.index(value) + 0.5) / len(steps)
        return left + share * (right - left) + shift

    def up(value: float) -> float:
        return (top + bottom) / 2 - value / most * (bottom - top) / 2

    pen.text((left, corner[1] + 10), title, "black", font)
    pen.line([(left, top), (left, bottom), (right, bottom)], "black")
    pen.line([(left, up(0)), (right, up(0))], (170, 170, 170))
    for value in (-most, 0.0, most):
        pen.text((corner[0] + 8, up(value) - 7), f"{value:+.2f}", "black", font)
    for step in steps:
        pen.text((across(step, -14), bottom + 4), str(step), "black", font)
    pen.text((left, bottom + 20), "base steps", "black", font)
    for place, lesions in enumerate(sorted({row["lesions"] for row in rows})):
        colour, shift = COLOURS[place % len(COLOURS)], 10 * place - 10
        line = sorted((row for row in rows if row["lesions"] == lesions), key=lambda row: row["base_steps"])
        points = [(across(row["base_steps"], shift), up(row["lift"]["value"])) for row in line]
        pen.line(points, colour, 2)
        for row, (x, y) in zip(line, points, strict=True):
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], colour)
            if row["lift"]["low"] is not None:
                pen.line([(x, up(row["lift"]["low"])), (x, up(row["lift"]["high"]))], colour)
        pen.text((left + 90 + 70 * place, bottom + 20), f"n = {lesions}", colour, font)
