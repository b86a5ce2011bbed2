"""What people see: tables on stdout, progress and logs on stderr, and one JSON document instead when they ask for it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console


FILE_WIDTH = 140
LINE_S = 60.0
"""Between lines about progress in a log."""
LEAST_WIDTH = 110  # on a narrower terminal a row takes two lines, which reads better than columns of single letters


def out() -> Console:
    """Return the console for results: as wide as the terminal and at least our tables, also when it goes to a file."""
    from rich.console import Console

    return Console(highlight=False, width=max(LEAST_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else FILE_WIDTH)


def err() -> Console:
    """Return the console for everything that is not a result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else FILE_WIDTH)


def to_plain(value: Any) -> Any:
    """Return `value` (a report, a table, a path, nested) as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(content) for content in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return _foreign(value)


def _foreign(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "to_dicts"):
        return [to_plain(row) for row in value.to_dicts()]
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    return str(value)


def print_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(to_plain(value), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send everything that libraries and child processes write to stdout to stderr while the block runs."""
    kept, stdout = os.dup(1), sys.stdout
    stdout.flush()
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a progress callback that draws on stderr; without a terminal it writes a line a minute, so that a log shows what takes long."""
    console = err()
    if not console.is_terminal:
        yield write_lines(lambda line: console.print(line, soft_wrap=True, markup=False))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        lines: dict[str, Any] = {}

        def tell(done: int, total: int, what: str) -> None:
            if what not in lines:
                for line in lines.values():
                    bars.update(line, visible=False)
                lines[what] = bars.add_task(what)
            bars.update(lines[what], completed=done, total=total or None)

        yield tell


def write_lines(write: Callable[[str], None], every_s: float = LINE_S) -> Progress:
    """Return a progress callback that writes at most one line in `every_s` seconds, the first one after that time, and none about what is done."""
    last = time.monotonic()

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        if done != total and time.monotonic() - last >= every_s:
            last = time.monotonic()
            write(f"{what}: {done:,} of {total:,}" if total > 1 else what)

    return tell


def table(title: str, rows: list[tuple[Any, ...]], *columns: str) -> Any:
    """Return a compact table below its title: numbers right, header dim; no column names, no header."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    has_header = any(columns)
    made = Table(box=SIMPLE_HEAD if has_header else None, show_header=has_header, header_style="dim", show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for position, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[position], int | float) and not isinstance(row[position], bool) for row in rows)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return Group(Text(title, style="bold"), made) if title else made


def _cell(value: Any) -> str:
    if value is None:
        return "[dim]–[/]"
    if isinstance(value, bool):
        return "[green]yes[/]" if value else "[red]no[/]"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
