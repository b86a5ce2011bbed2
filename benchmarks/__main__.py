"""`make bench`: measure everything, print one table, write JSON, exit 1 when a target is missed."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import command_line, second_run
from flows.console import table

BENCHMARKS = (command_line.measure, second_run.measure)


def main() -> int:
    """Run the benchmarks one after the other."""
    measured = [line for measure in BENCHMARKS for line in measure()]
    rows = [(m.name, round(m.value, 3), m.unit, m.target, "met" if m.is_met else "MISSED", m.detail) for m in measured]
    Console().print(table("Benchmarks", rows, "what", "value", "unit", "target (at most)", "", "detail"))
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    content = {"utc": now.isoformat(), "machine": f"{platform.machine()}, {os.cpu_count()} cores", "measured": [asdict(m) for m in measured]}
    (folder / f"{now:%Y%m%dT%H%M%SZ}.json").write_text(json.dumps(content, indent=1))
    return 0 if all(m.is_met for m in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
