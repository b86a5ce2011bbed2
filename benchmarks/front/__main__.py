"""`make bench-front`: measure, print one table with the targets, write JSON, exit 1 when a target is missed. Names as arguments measure only these."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.front import cleaning, pictures, reruns, series, workers
from benchmarks.measurement import Measurement
from flows.console import table

PARTS: dict[str, Callable[[Path], list[Measurement]]] = {
    "series": series.measure,
    "pictures": pictures.measure,
    "deidentify": cleaning.measure,
    "reruns": reruns.measure,
    "memory": reruns.measure_memory,
    "workers": workers.measure,
}


def main(names: list[str]) -> int:
    """Run the parts one after the other in a temporary folder, in memory where there is room for it."""
    measured: list[Measurement] = []
    room = Path("/dev/shm")  # noqa: S108 (a fresh folder is made in it)
    with tempfile.TemporaryDirectory(dir=room if room.is_dir() else None, prefix="bench-front-") as temporary:
        for name in names or list(PARTS):
            measured += PARTS[name](Path(temporary))
    rows = [(m.name, round(m.value, 3), m.unit, f"{'>=' if m.at_least else '<='} {m.target}", "met" if m.is_met else "MISSED", m.detail) for m in measured]
    Console(width=200).print(table("The front of the loop beside its peers", rows, "what", "value", "unit", "target", "", "detail"))
    folder = Path(__file__).parent.parent / "results"
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    content = {"utc": now.isoformat(), "machine": machine, "measured": [asdict(m) | {"is_met": m.is_met} for m in measured]}
    (folder / f"front-{now:%Y%m%dT%H%M%SZ}.json").write_text(json.dumps(content, indent=1))
    return 0 if all(m.is_met for m in measured) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
