"""The reader of letters where memory is short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import resource
from pathlib import Path
import numpy as np
from curation.visible.ocr import read_lines

read_lines(np.zeros((32, 32), np.uint8))
held = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + (24 << 20),) * 2)
try:
    read_lines(np.random.default_rng(0).integers(0, 255, (1200, 1200), np.uint8))
except MemoryError:
    print("memory")
"""


def test_a_reader_without_memory_raises_what_a_worker_expects() -> None:
    """The engine's own error is no `RuntimeError`, and would have ended the run."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("memory\n"), done.stderr
