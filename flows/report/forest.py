"""Charts of differences as inline SVG: forest plots around 0, and curves with intervals; colours are CSS classes of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from flows.report.charts import GUTTER, WIDTH, shorten, svg, text

STEP, TAIL = 24, 200
CURVE_HEIGHT = 280.0


@dataclass(frozen=True)
class Row:
    """One difference with its interval."""

    label: str
    value: float
    low: float
    high: float
    note: str


@dataclass(frozen=True)
class Point:
    """One place of a curve; an interval may be missing."""

    x: float
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """A line through points, drawn in the colour of the CSS class `kind`."""

    label: str
    kind: str
    points: tuple[Point, ...]


def nice_end(values: Sequence[float]) -> float:
    """Return the end of a scale around 0 that holds all values: 1, 2 or 5 times a power of ten."""
    most = max([1e-3, *(abs(value) for value in values)])
    return next(end for power in range(-3, 4) for end in (10.0**power, 2 * 10.0**power, 5 * 10.0**power) if end >= most)


def forest_chart(rows: Sequence[Row], sides: tuple[str, str], title: str) -> Markup:
    """Return differences with intervals around a line at 0.

    Args:
        rows: top to bottom.
        sides: what left and right of 0 mean.
        title: what a screen reader says.
    """
    end = nice_end([value for row in rows for value in (row.low, row.high)])
    left, right, top = GUTTER, WIDTH - TAIL, 44.0

    def across(value: float) -> float:
        return left + (right - left) * (value + end) / (2 * end)

    bottom, parts = top + STEP * len(rows), []
    for share in (-1, -0.5, 0, 0.5, 1):
        x, kind = across(share * end), "zero" if share == 0 else "grid"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6:.1f}" y2="{bottom + 4:.1f}" class="{kind}"/>')
        parts.append(text(x, 30, f"{share * end:+g}" if share else "0", "axis", "middle"))
    parts += [text(across(0) - 10, 12, f"← {sides[0]}", "axis", "end"), text(across(0) + 10, 12, f"{sides[1]} →", "axis")]
    for place, row in enumerate(rows):
        y = top + STEP * place + 12
        kind = "yes" if row.low > 0 else "no" if row.high < 0 else "before"
        parts.append(text(GUTTER - 12, y + 4, shorten(row.label), "label", "end"))
        parts.append(f'<line x1="{across(row.low):.1f}" x2="{across(row.high):.1f}" y1="{y:.1f}" y2="{y:.1f}" class="whisker {kind}"/>')
        parts.append(f'<circle cx="{across(row.value):.1f}" cy="{y:.1f}" r="5" class="dot {kind}"><title>{escape(row.note)}</title></circle>')
        parts.append(text(WIDTH - TAIL + 16, y + 4, row.note, "value"))
    return svg(parts, bottom + 8, title)


def curve_chart(curves: Sequence[Curve], axes: tuple[str, str], title: str) -> Markup:
    """Return curves over a dose (the doses stand at equal distances), with their intervals as thin lines; `axes` say what goes across and what goes up."""
    doses = sorted({point.x for curve in curves for point in curve.points})
    ends = [value for curve in curves for point in curve.points for value in (point.value, point.low, point.high) if value is not None]
    end, left, right, top, bottom = nice_end(ends), 70.0, WIDTH - 30.0, 34.0, CURVE_HEIGHT - 56

    def across(dose: float, number: int) -> float:
        return left + (right - left) * (doses.index(dose) + 0.5) / len(doses) + 9 * (number - (len(curves) - 1) / 2)

    def up(value: float) -> float:
        return (top + bottom) / 2 - (bottom - top) / 2 * value / end

    parts = [text(left - 60, 14, f"↑ {axes[1]}", "axis"), text((left + right) / 2, bottom + 46, axes[0], "axis", "middle")]
    for share in (-1, -0.5, 0, 0.5, 1):
        y, kind = up(share * end), "zero" if share == 0 else "grid"
        parts.append(f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}"/>')
        parts.append(text(left - 8, y + 4, f"{share * end:+g}" if share else "0", "axis", "end"))
    parts += [text(left + (right - left) * (place + 0.5) / len(doses), bottom + 24, f"{dose:g}×", "axis", "middle") for place, dose in enumerate(doses)]
    for number, curve in enumerate(curves):
        places = [(across(point.x, number), up(point.value), point) for point in curve.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline points="{line}" class="line {curve.kind}"/>')
        for x, y, point in places:
            if point.low is not None and point.high is not None:
                parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{up(point.low):.1f}" y2="{up(point.high):.1f}" class="thin {curve.kind}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="dot {curve.kind}"><title>{escape(curve.label)}: {point.value:+.3f}</title></circle>')
    return svg(parts, CURVE_HEIGHT, title)


@dataclass(frozen=True)
class Mark:
    """One value on a strip, in the colour of the CSS class `kind`."""

    value: float
    kind: str
    note: str


def strip_chart(marks: Sequence[Mark], limit: float | None, title: str) -> Markup:
    """Return values as marks on one line from 0, with a limit, if there is one."""
    end = nice_end([*(mark.value for mark in marks), limit or 0.0])
    left, right, middle = 20.0, WIDTH - 20.0, 30.0
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + (right - left) * share
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="48" class="grid"/>')
        parts.append(text(x, 64, f"{share * end:g}", "axis", "middle"))
    for mark in marks:
        x = left + (right - left) * mark.value / end
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{middle - 9}" y2="{middle + 9}" class="mark {mark.kind}"><title>{escape(mark.note)}</title></line>')
    if limit is not None:
        x = left + (right - left) * limit / end
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="52" class="chance"><title>limit {limit:g}</title></line>')
    return svg(parts, 72, title)
