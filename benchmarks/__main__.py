"""`make bench`: measure everything, print one table, write JSON, exit 1 when a target is missed."""

from __future__ import annotations

import sys

from benchmarks import command_line, second_run
from benchmarks.measurement import publish

BENCHMARKS = (command_line.measure, second_run.measure)


def main() -> int:
    """Run the benchmarks one after the other."""
    return publish("Benchmarks", [line for measure in BENCHMARKS for line in measure()], "bench")


if __name__ == "__main__":
    sys.exit(main())
