"""`curaloop deidentify` on 200 uncompressed CT files, beside dicom-anonymizer, deid and dicognito."""

from __future__ import annotations

from pathlib import Path

from benchmarks.front.inputs import SLICES, make_ct_series
from benchmarks.front.running import fresh, in_turn, ours, peer
from benchmarks.measurement import Measurement

TOOLS = ("dicom-anonymizer", "dicognito", "deid")


def measure(room: Path) -> list[Measurement]:
    """Medians of 3, in turn."""
    if not (room / "ct").exists():
        make_ct_series(room / "ct")
    own, *others = in_turn(
        3,
        lambda: ours("deidentify", room / "ct", _fresh_out(room)),
        *(lambda tool=tool: peer(tool, room / "ct", fresh(room / f"cleaned by {tool}")) for tool in TOOLS),
    )
    rates = ", ".join(f"{tool} {SLICES / other.cpu_s:.0f}" for tool, other in zip(TOOLS, others, strict=True))
    detail = f"after imports of {own.import_s:.2f} s, {own.peak_mb:.0f} MB; {rates}"
    return [Measurement("curaloop deidentify", SLICES / own.cpu_s, "files a CPU-s", 100, detail, at_least=True)]


def _fresh_out(room: Path) -> Path:
    """Return where nothing is yet, beside the folder of the files that are cleaned before the clock starts."""
    return fresh(room / "cleaned by us") / "out"
