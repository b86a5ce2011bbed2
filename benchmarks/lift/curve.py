"""Lift over every control against compute: a table for machines and a picture."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.lift.study import MADE
from benchmarks.lift.turning import is_empty
from validation.lift.judgement import CONTROLS

Row = dict[str, Any]

COLUMNS = (
    "label", "arm", "lesions", "base_steps", "compute_cpu_min", "control", "is_best_control", "lift", "low", "high", "auprc", "control_auprc", "verdict",
    "source_auc", "near_copies",
)  # fmt: skip


def write_curve(rows: Sequence[Row]) -> str:
    """Return as CSV: one line for each class, kind of images, number of lesions, base and control."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        for arm in controls_of(row):
            about = {"control": arm["arm"], "is_best_control": arm["arm"] == row["best_control"], "control_auprc": arm["auprc"]["value"]}
            lift = {"lift": arm["lift"]["value"], "low": arm["lift"]["low"], "high": arm["lift"]["high"]}
            writer.writerow(row | about | lift | {"auprc": row["auprc"] and row["auprc"]["value"], "source_auc": row["source_auc"]["value"]})
    return text.getvalue()


def controls_of(row: Row) -> list[Row]:
    """Return the controls of a row, in one order."""
    by_name = {arm["arm"]: arm for arm in row["arms"]}
    return [by_name[name] for name in CONTROLS if name in by_name]


SCALE = 2
"""The picture is drawn this much larger and shrunk, so that lines are smooth."""
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, LEGEND, LEAST_WIDTH = 330, 220, 62, 30, 44, 64, 760
COLOURS = ((0, 0, 0), (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (160, 130, 0))
"""One a control, told apart by colour-blind readers, too (Okabe and Ito 2008)."""
GRAY, LIGHT = (150, 150, 150), (225, 225, 225)
NAMES = ("real only", "class weights", "logit adjustment", "duplicates", "augmentation", "SMOTE")
MOST_LETTERS = 26


@dataclass(frozen=True)
class Panel:
    """One class, kind of images and number of lesions.

    Attributes:
        left, top: corner, in pixels of the finished picture.
        rows: of the panel, by compute.
        oracle: its row of the oracle.
        low, high: ends of the y axis.
        places: compute to its share of the x axis.
        title: above it.
    """

    left: int
    top: int
    rows: list[Row]
    oracle: Row | None
    low: float
    high: float
    places: dict[float, float]
    title: str

    def across(self, compute: float) -> float:
        """Return x of a compute."""
        return self.left + LEFT + (0.14 + 0.72 * self.places[compute]) * (WIDTH - LEFT - 12)

    def up(self, lift: float) -> float:
        """Return y of a lift."""
        return self.top + TOP + (self.high - lift) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def draw_curve(rows: Sequence[Row]) -> bytes:
    """Return a PNG: lift over each control against compute; a row of panels a class, a column for each kind of images and number of lesions."""
    from PIL import Image, ImageDraw

    made = [row for row in rows if row["arm"] in MADE] or list(rows)
    columns = sorted({(row["lesions"], row["arm"]) for row in made})
    labels = sorted({row["label"] for row in made}, key=lambda one: (one == "overall", one))
    size = (max(LEAST_WIDTH, WIDTH * len(columns)), HEIGHT * len(labels) + LEGEND)
    picture = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), "white")
    pen = Pen(ImageDraw.Draw(picture))
    for line, label in enumerate(labels):
        for place, column in enumerate(columns):
            _draw_panel(pen, make_panel(rows, label, column, (place * WIDTH, line * HEIGHT)))
    _draw_legend(pen, HEIGHT * len(labels))
    content = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(content, "PNG")
    return content.getvalue()


def make_panel(rows: Sequence[Row], label: str, column: tuple[int, str], corner: tuple[int, int]) -> Panel:
    """Return one panel; panels of one class share their y axis."""
    lesions, arm = column
    own = sorted((row for row in rows if (row["label"], row["lesions"], row["arm"]) == (label, lesions, arm)), key=lambda row: row["compute_cpu_min"] or 0)
    oracle = next((row for row in rows if (row["label"], row["lesions"], row["arm"]) == (label, lesions, "oracle")), None) if arm in MADE else None
    ends = [arm["lift"][end] for row in rows if row["label"] == label for arm in controls_of(row) for end in ("value", "low", "high")]
    known = [0.0, -0.02, 0.02, *(end for end in ends if end is not None)]
    logs = [math.log10(max(row["compute_cpu_min"] or 0, 1e-3)) for row in own]
    span = max(logs, default=0) - min(logs, default=0)
    places = {row["compute_cpu_min"] or 0: (log - min(logs)) / span if span else 0.5 for row, log in zip(own, logs, strict=True)}
    return Panel(*corner, own, oracle, min(known) * 1.05, max(known) * 1.05, places, f"{name_plainly(label)}, {arm}, n = {lesions}")


def name_plainly(label: str) -> str:
    """Return a class in letters that Pillow's own font has: accents are left off, other scripts become `?`, long names are cut.

    Worked value: `mélanome`: melanome.
    """
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", label) if not unicodedata.combining(letter))
    plain = letters.encode("ascii", "replace").decode()
    return plain if len(plain) <= MOST_LETTERS else f"{plain[: MOST_LETTERS - 3]}..."


@dataclass(frozen=True)
class Pen:
    """Draws in pixels of the finished picture."""

    draw: Any

    def line(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: float = 1) -> None:
        """Draw a line."""
        self.draw.line([(x * SCALE, y * SCALE) for x, y in points], colour, round(width * SCALE))

    def dot(self, x: float, y: float, radius: float, colour: tuple[int, int, int], *, is_ring: bool = False) -> None:
        """Draw a disk, or a ring around where one is."""
        box = [(x - radius) * SCALE, (y - radius) * SCALE, (x + radius) * SCALE, (y + radius) * SCALE]
        if is_ring:
            self.draw.ellipse(box, outline=colour, width=round(1.5 * SCALE))
        else:
            self.draw.ellipse(box, fill=colour)

    def text(self, x: float, y: float, words: str, colour: tuple[int, int, int] = (0, 0, 0), size: int = 12, anchor: str = "la") -> None:
        """Write; `anchor` as Pillow has it."""
        from PIL import ImageFont

        self.draw.text((x * SCALE, y * SCALE), words, colour, ImageFont.load_default(size * SCALE), anchor=anchor)


def _draw_panel(pen: Pen, panel: Panel) -> None:
    """Draw axes, the oracle and one line a control."""
    left, right = panel.left + LEFT, panel.left + WIDTH - 12
    pen.text(left, panel.top + 8, panel.title, size=13)
    for value in nice_ticks(panel.low, panel.high):
        pen.line([(left, panel.up(value)), (right, panel.up(value))], GRAY if value == 0 else LIGHT, 1.5 if value == 0 else 1)
        pen.text(left - 6, panel.up(value), f"{value:+.2f}" if value else "0", size=11, anchor="rm")
    pen.line([(left, panel.top + TOP), (left, panel.top + HEIGHT - BOTTOM), (right, panel.top + HEIGHT - BOTTOM)], GRAY)
    if panel.oracle is not None and panel.oracle["lift"]["value"] is not None:
        _draw_oracle(pen, panel, panel.oracle["lift"]["value"], left, right)
    for number, row in enumerate(panel.rows):
        compute = row["compute_cpu_min"]
        if number == 0 or panel.across(compute or 0) - panel.across(panel.rows[number - 1]["compute_cpu_min"] or 0) > 30:
            pen.text(panel.across(compute or 0), panel.top + HEIGHT - BOTTOM + 4, f"{compute:.3g}" if compute else "none", size=11, anchor="ma")
    pen.text((left + right) / 2, panel.top + HEIGHT - BOTTOM + 19, "compute, CPU-min (log)", size=11, anchor="ma")
    for place, name in enumerate(CONTROLS):
        _draw_control(pen, panel, place, name)


def _draw_oracle(pen: Pen, panel: Panel, lift: float, left: float, right: float) -> None:
    """Draw a dashed line at the oracle's lift over its own best control."""
    y = panel.up(lift)
    for start in range(int(left), int(right), 9):
        pen.line([(start, y), (min(start + 5, right), y)], GRAY, 1.5)


def _draw_control(pen: Pen, panel: Panel, place: int, name: str) -> None:
    """Draw the lift over one control with its intervals; a ring marks the control that decided."""
    shift, points = 5 * place - 12.5, []
    for row in panel.rows:
        lift = next((arm["lift"] for arm in row["arms"] if arm["arm"] == name), None)
        if lift is None or lift["value"] is None:
            continue
        x, y = panel.across(row["compute_cpu_min"] or 0) + shift, panel.up(lift["value"])
        points.append((x, y))
        if lift["low"] is not None:
            pen.line([(x, panel.up(lift["low"])), (x, panel.up(lift["high"]))], COLOURS[place])
        pen.dot(x, y, 3.5 if is_empty(row) else 2.5, COLOURS[place], is_ring=is_empty(row))
        if name == row["best_control"]:
            pen.dot(x, y, 5, COLOURS[place], is_ring=True)
    if len(points) > 1:
        pen.line(points, COLOURS[place], 1.2)


def _draw_legend(pen: Pen, top: float) -> None:
    """Write below all panels what is drawn."""
    x = 16.0
    for name, colour in zip(NAMES, COLOURS, strict=True):
        pen.dot(x, top + 14, 4, colour)
        pen.text(x + 9, top + 14, name, anchor="lm")
        x += 30 + 6.4 * len(name)
    about = "Difference in AUPRC on real test patients, synthetic images minus the control, 95 %. Above 0 the synthetic images are better."
    marks = "Large ring: the hardest control, which decides. Hollow: no image passed screens and readers. Dashed: oracle (real images as if synthetic)."
    pen.text(12, top + 32, about, size=11)
    pen.text(12, top + 47, marks, size=11)


def nice_ticks(low: float, high: float) -> list[float]:
    """Return about five round values between two, 0 among them.

    Worked value: from -.05 to .12: -.05, 0, .05, .1.
    """
    rough = (high - low) / 5
    step = 10.0 ** math.floor(math.log10(rough))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step >= rough)
    return [round(number * step, 6) for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
