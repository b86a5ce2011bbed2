"""One measured figure with its target, and how processes are measured."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass
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
