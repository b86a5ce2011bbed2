"""10,000 JPEG and PNG files through ingest, beside CleanVision's scan and beside decoding alone."""

from __future__ import annotations

from pathlib import Path

from benchmarks.front.inputs import make_photographs
from benchmarks.front.running import fresh, in_turn, ours, peer
from benchmarks.measurement import Measurement

FILES, SCANNED = 10_000, 2_000


def measure(room: Path) -> list[Measurement]:
    """Medians of 3, in turn; CleanVision, whose time grows with the files, scans 2,000 of them."""
    make_photographs(room / "few", SCANNED)
    make_photographs(room / "many", FILES)
    own, decoded = in_turn(3, lambda: ours("ingest", "raster", room / "many", fresh(room / "project")), lambda: ours("decode", room / "many"))
    (scanned,) = in_turn(1, lambda: peer("cleanvision", room / "few"))
    rates = FILES / own.cpu_s, FILES / decoded.cpu_s, SCANNED / scanned.cpu_s
    detail = f"{rates[0]:.0f} images a CPU-s after imports of {own.import_s:.2f} s, {own.peak_mb:.0f} MB; "
    return [
        Measurement("pictures / decoding alone", rates[1] / rates[0], "of its CPU time", 2.5, detail + f"decoding {rates[1]:.0f}"),
        Measurement("pictures : CleanVision", rates[0] / rates[2], "times its images a second", 5, detail + f"CleanVision {rates[2]:.0f}", at_least=True),
    ]
