"""How long a person waits for `curaloop --help`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measurement import Measurement, median_wall_s


def measure() -> list[Measurement]:
    """Median of 5, warm."""
    command = str(Path(sys.executable).parent / "curaloop")
    return [Measurement("curaloop --help", median_wall_s([command, "--help"]), "s", 0.5, "median of 5, warm")]
