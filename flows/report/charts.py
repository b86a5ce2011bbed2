"""Charts as inline SVG: no script, no fetch, the same bytes for the same numbers.

Colours are CSS classes of the page's style sheet, so that a chart follows the reader's light or dark mode and prints well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 960
GUTTER = 236
TAIL = 112
ROW = 27
HEAD = 30


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart.

    Attributes:
        label: what the line counts.
        values: one number a series, in the order of the series.
        note: what stands at the end of the line.
        head: heading above this line, e.g. the task, when it begins a group.
        target: where a tick stands, if any.
        is_ghost: drawn pale, as the state before.
    """

    label: str
    values: tuple[float, ...]
    note: str = ""
    head: str = ""
    target: float | None = None
    is_ghost: bool = False


@dataclass(frozen=True)
class Dot:
    """One estimate with its interval.

    Attributes:
        label: what was estimated; empty repeats the line above, one step lower.
        series: CSS class: `now` or `before`.
        value: estimate in [0, 1].
        low: lower end of the interval.
        high: upper end of the interval.
        head: heading above this line.
        note: what stands at the end of the line.
        chance: what a model without skill reaches on average, if known.
    """

    label: str
    series: str
    value: float
    low: float
    high: float
    head: str = ""
    note: str = ""
    chance: float | None = None


def shorten(text: str, characters: int = 32) -> str:
    """Return the text, cut with an ellipsis when it is longer."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """Return a line of text at a place; `anchor` is SVG's start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def svg(parts: list[str], height: float, title: str) -> Markup:
    """Return the chart that holds these parts, `WIDTH` units wide."""
    drawn = f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    return Markup(drawn)  # noqa: S704 - every text above went through `escape`


def bar_chart(bars: Sequence[Bar], series: Sequence[tuple[str, str]], title: str) -> Markup:
    """Return stacked horizontal bars.

    Args:
        bars: the lines, top to bottom.
        series: (name, CSS class) of the stacked parts, left to right.
        title: what a screen reader says.
    """
    most = max([1.0, *(max(sum(bar.values), bar.target or 0) for bar in bars)])
    scale = (WIDTH - GUTTER - TAIL) / most
    parts, y = [], 0.0
    for bar in bars:
        if bar.head:
            y += HEAD
            parts.append(text(0, y - 9, bar.head, "head"))
        if bar.is_ghost:
            y -= 5
        parts += _bar(bar, series, scale, y)
        y += ROW
    return svg(parts, y + 4, title)


def _bar(bar: Bar, series: Sequence[tuple[str, str]], scale: float, y: float) -> list[str]:
    parts = [] if bar.is_ghost and not bar.label else [text(GUTTER - 12, y + 18, shorten(bar.label), "label", "end")]
    x, ghost = float(GUTTER), " ghost" if bar.is_ghost else ""
    top, tall = (y + 6, 10) if bar.is_ghost else (y + 4, 18)
    for (name, kind), value in zip(series, bar.values, strict=True):
        width = value * scale
        if value:
            tip = f"<title>{escape(bar.label)}: {escape(name)} {value:g}</title>"
            parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{max(width, 1):.1f}" height="{tall}" class="{kind}{ghost}">{tip}</rect>')
        x += width
    edge = x
    if bar.target is not None:
        tick = GUTTER + bar.target * scale
        parts.append(
            f'<line x1="{tick:.1f}" x2="{tick:.1f}" y1="{top - 3:.1f}" y2="{top + tall + 3:.1f}" class="tick{ghost}">'
            f"<title>target {bar.target:g}</title></line>"
        )
        edge = max(edge, tick)
    parts.append(text(edge + 8, top + tall / 2 + 4.5, bar.note, f"value{ghost}"))
    return parts


def dot_chart(dots: Sequence[Dot], title: str) -> Markup:
    """Return estimates with intervals on a scale from 0 to 1, one line each, as a forest plot."""
    step, left, right, top = 24, GUTTER, WIDTH - 190, 26.0
    parts: list[str] = []
    y = top
    for dot in dots:
        if dot.head:
            y += HEAD
            parts.append(text(0, y - 9, dot.head, "head"))
        x = [left + (right - left) * value for value in (dot.value, dot.low, dot.high)]
        parts.append(text(GUTTER - 12, y + 16, shorten(dot.label), "label", "end"))
        parts.append(f'<line x1="{x[1]:.1f}" x2="{x[2]:.1f}" y1="{y + 12:.1f}" y2="{y + 12:.1f}" class="whisker {dot.series}"/>')
        if dot.chance is not None:
            middle = left + (right - left) * dot.chance
            parts.append(
                f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{y + 4:.1f}" y2="{y + 20:.1f}" class="chance"><title>chance {dot.chance:.2f}</title></line>'
            )
        shape = 'r="5"' if dot.series == "now" else 'r="4"'
        parts.append(f'<circle cx="{x[0]:.1f}" cy="{y + 12:.1f}" {shape} class="dot {dot.series}"><title>{escape(dot.note)}</title></circle>')
        parts.append(text(WIDTH - 176, y + 16, dot.note, f"value {dot.series}"))
        y += step
    grid = []
    for tenth in (0, 0.25, 0.5, 0.75, 1.0):
        x0 = left + (right - left) * tenth
        grid.append(f'<line x1="{x0:.1f}" x2="{x0:.1f}" y1="{top - 6:.1f}" y2="{y + 2:.1f}" class="grid"/>')
        grid.append(text(x0, 14, f"{tenth:g}", "axis", "middle"))
    return svg(grid + parts, y + 8, title)


def column_chart(columns: Sequence[tuple[str, tuple[float, ...]]], series: Sequence[tuple[str, str]], title: str) -> Markup:
    """Return stacked vertical columns, e.g. ages in decades by sex: (label, one number a series)."""
    height, base = 210.0, 176.0
    most = max([1.0, *(sum(values) for _, values in columns)])
    pitch = WIDTH / max(len(columns), 1)
    width = min(pitch * 0.72, 64)
    parts = []
    for number, (label, values) in enumerate(columns):
        middle, y = pitch * (number + 0.5), base
        for (name, kind), value in zip(series, values, strict=True):
            tall = value / most * (base - 24)
            y -= tall
            if value:
                tip = f"<title>{escape(label)}: {escape(name)} {value:g}</title>"
                parts.append(f'<rect x="{middle - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" class="{kind}">{tip}</rect>')
        parts.append(text(middle, y - 6, f"{sum(values):g}", "value", "middle"))
        parts.append(text(middle, base + 18, label, "axis", "middle"))
    parts.append(f'<line x1="0" x2="{WIDTH}" y1="{base}" y2="{base}" class="base"/>')
    return svg(parts, height, title)
