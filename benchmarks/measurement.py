"""One measured figure with its target, and how processes are measured."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Measurement:
    """A figure: `value` in `unit`, met when it is at most `target`, or, with `at_least`, not below it."""

    name: str
    value: float
    unit: str
    target: float
    detail: str = ""
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Is the target met?"""
        return self.value >= self.target if self.at_least else self.value <= self.target


RESULTS = Path(__file__).parent / "results"


def publish(title: str, measured: Sequence[Measurement], name: str, folder: Path = RESULTS) -> int:
    """Print the table, write `<name>-<time>.json` into the folder, and return the exit code: 1 when a target is missed."""
    from rich.console import Console

    from flows.console import table

    rows = [(m.name, round(m.value, 3), m.unit, f"{'>=' if m.at_least else '<='} {m.target}", "met" if m.is_met else "MISSED", m.detail) for m in measured]
    Console(width=200).print(table(title, rows, "what", "value", "unit", "target", "", "detail"))
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    content = {"utc": now.isoformat(), "machine": machine, "measured": [asdict(m) | {"is_met": m.is_met} for m in measured]}
    (folder / f"{name}-{now:%Y%m%dT%H%M%SZ}.json").write_text(json.dumps(content, indent=1))
    return 0 if all(m.is_met for m in measured) else 1


@dataclass(frozen=True)
class Cost:
    """What one process and its children took."""

    wall_s: float
    cpu_s: float


def run(command: list[str], cwd: Path | None = None, environment: dict[str, str] | None = None) -> Cost:
    """Run a command to its end and return what it cost; raise when it fails. Byte code is kept, as on a user's machine."""
    before, began = os.times(), time.perf_counter()
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, cwd=cwd, env={**kept, **(environment or {})}, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.perf_counter() - began, cpu)


def median_wall_s(command: list[str], runs: int = 5) -> float:
    """Return the median wall seconds of `runs` runs after one that warms up."""
    run(command)
    return statistics.median(run(command).wall_s for _ in range(runs))
