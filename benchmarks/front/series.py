"""A CT series of 200 x 512 x 512 from files to a de-identified volume of 1 mm, hashed, in a shard, with its row; beside dcm2niix and MONAI."""

from __future__ import annotations

from pathlib import Path

from benchmarks.front.inputs import make_ct_series
from benchmarks.front.running import Cost, dcm2niix, fresh, in_turn, ours, peer
from benchmarks.measurement import Measurement


def measure(room: Path) -> list[Measurement]:
    """Medians of 5 (MONAI: of 3), in turn."""
    make_ct_series(room / "ct")

    def ingest() -> Cost:
        return ours("ingest", "dicom", room / "ct", fresh(room / "project"))

    own, converted = in_turn(5, ingest, lambda: dcm2niix(room / "ct", room / "nii"))
    chain, again = in_turn(3, lambda: peer("monai", room / "ct", fresh(room / "monai")), ingest)
    each = f"{own.cpu_s:.3f} CPU-s, {own.peak_mb:.0f} MB, after imports of {own.import_s:.2f} s"
    theirs = f"MONAI {chain.cpu_s:.2f} CPU-s, {chain.peak_mb:.0f} MB, after imports of {chain.import_s:.2f} s"
    return [
        Measurement("CT series / dcm2niix -z n", own.cpu_s / converted.cpu_s, "of its CPU time", 1.8, f"{each}; dcm2niix {converted.cpu_s:.3f} CPU-s"),
        Measurement("MONAI's chain / CT series", chain.cpu_s / again.cpu_s, "times the CPU time", 10, theirs, at_least=True),
        Measurement("peak memory / MONAI's", again.peak_mb / chain.peak_mb, "of its memory", 0.2, f"{again.peak_mb:.0f} MB of {chain.peak_mb:.0f} MB"),
    ]
