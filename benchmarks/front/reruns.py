"""Cost follows change: a second run over 10,000 files, a run with 1 % new ones, and memory at a million files."""

from __future__ import annotations

from pathlib import Path

from benchmarks.front.inputs import make_photographs
from benchmarks.front.many import make_empty_files
from benchmarks.front.running import fresh, ours
from benchmarks.measurement import Measurement

FILES, NEW = 10_000, 100
FEW, MANY = 10_000, 1_000_000


def measure(room: Path) -> list[Measurement]:
    """One run each; the first costs a hundred times what the others may."""
    folder, project = room / "many", fresh(room / "rerun")
    make_photographs(folder, FILES)
    first = ours("ingest", "raster", folder, project)
    second = ours("ingest", "raster", folder, project)
    make_photographs(folder, NEW, first=FILES)
    third = ours("ingest", "raster", folder, project)
    costs = f"first {first.cpu_s:.2f} CPU-s, unchanged {second.cpu_s:.3f}, {NEW} new {third.cpu_s:.3f}; imports of {first.import_s:.2f} s not counted"
    return [
        Measurement("second run, nothing changed", second.cpu_s / first.cpu_s, "of the first", 0.03, costs),
        Measurement("second run, 1 % new", third.cpu_s / first.cpu_s, "of the first", 0.05, costs),
    ]


def measure_memory(room: Path) -> list[Measurement]:
    """Walk, compare and plan 10,000 and 1,000,000 files that are known."""
    peaks = []
    for count in (FEW, MANY):
        folder, intake = room / f"empty-{count}", room / f"intake-{count}.parquet"
        make_empty_files(folder, count)
        ours("walk", folder, intake)
        peaks.append(ours("walk", folder, intake).peak_mb)
    detail = f"{peaks[0]:.0f} MB at {FEW} files, {peaks[1]:.0f} MB at {MANY}"
    return [Measurement("memory at a million files", peaks[1] - peaks[0], "MB more than at 10,000", 500, detail)]
