"""Runs probes and peers as processes of one thread, in turn, and keeps the medians."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "POLARS_MAX_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


@dataclass(frozen=True)
class Cost:
    """What an operation took, imports aside."""

    cpu_s: float
    wall_s: float
    import_s: float
    peak_mb: float


def ours(name: str, *arguments: object) -> Cost:
    """Run one of our probes."""
    return _probe([sys.executable, "-m", "benchmarks.front.probes", name, *map(str, arguments)])


def peer(name: str, *arguments: object) -> Cost:
    """Run one of the peers' probes by their own interpreter."""
    return _probe([str(PEERS), str(Path(__file__).parent / "peer_probes.py"), name, *map(str, arguments)])


def _probe(command: list[str]) -> Cost:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict.fromkeys(THREADS, "1")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[-4:])} failed:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout.strip().splitlines()[-1]))


def dcm2niix(folder: Path, out: Path) -> Cost:
    """Run dcm2niix itself (not its Python starter) without compression."""
    fresh(out).mkdir()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    program = next(PEERS.parent.parent.glob("lib/python3*/site-packages/dcm2niix/dcm2niix"))
    subprocess.run([str(program), "-z", "n", "-o", str(out), str(folder)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu_s, time.perf_counter() - began, 0.0, after.ru_maxrss / 1024)


def fresh(path: Path) -> Path:
    """Return the path with nothing there."""
    shutil.rmtree(path, ignore_errors=True)
    return path


def in_turn(runs: int, *operations: Callable[[], Cost]) -> list[Cost]:
    """Run the operations A B C, A B C, … and return the median of each figure of each."""
    seen = [[operation() for operation in operations] for _ in range(runs)]
    names = ("cpu_s", "wall_s", "import_s", "peak_mb")
    return [Cost(**{name: statistics.median(getattr(turn[place], name) for turn in seen) for name in names}) for place in range(len(operations))]
