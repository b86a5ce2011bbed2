"""Cost follows change: a second `curaloop run` over unchanged input against the first.

The demo's recipe with a ninth of its training steps: the first run is cheaper than the demo's, the second costs the same, so the true share is smaller.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measurement import Measurement, run
from flows.demo.cohort import make_cohort
from flows.demo.run_demo import render_recipe


def measure() -> list[Measurement]:
    """Run a project of the simulated hospital twice; the cohort's making is not counted."""
    command = str(Path(sys.executable).parent / "curaloop")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "project"
        environment = {"CURALOOP_KEY_FILE": str(Path(temporary) / "key"), "CURALOOP_SYNTHESIS__GENERATOR__STEPS": "50"}
        run([command, "init", str(root), "--remote", "store"], environment=environment)
        make_cohort(root / "cohort")
        (root / "curaloop.toml").write_text(render_recipe("cohort", "store", installed=True))
        first = run([command, "-C", str(root), "run"], environment=environment)
        second = run([command, "-C", str(root), "run"], environment=environment)
        versions = subprocess.run(["git", "-C", str(root), "tag", "--list", "data-v*"], capture_output=True, text=True, check=True).stdout.split()
        images = json.loads((root / "data" / "release.json").read_text())["counts"]
    detail = f"first {first.cpu_s:.1f} CPU-s, second {second.cpu_s:.1f} CPU-s, {images}"
    return [
        Measurement("second run / first run", second.cpu_s / first.cpu_s, "of the CPU time", 0.05, detail),
        Measurement("versions after two runs", len(versions), "", 1, ", ".join(versions)),
    ]
