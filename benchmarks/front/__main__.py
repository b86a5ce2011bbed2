"""`make bench-front`: measure, print one table with the targets, write JSON, exit 1 when a target is missed. Names as arguments measure only these."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.front import cleaning, pictures, reruns, series, workers
from benchmarks.measurement import Measurement, publish

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
    return publish("The front of the loop beside its peers", measured, "front")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
