"""Our own operations, one a process: `python -m benchmarks.front.probes NAME ARGUMENT...` prints one line of JSON with what it cost.

Imports are done before the clock starts and are told apart, because a command pays for them once and not for every image.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

KEY = b"benchmark-key-of-32-characters-or-more"


def _cpu_s() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measured(operation: Callable[[], Any], began_s: float) -> dict[str, float]:
    """Run `operation` and return its CPU and wall seconds, those of the imports before it, and the peak memory of this process in MB."""
    before, wall = _cpu_s(), time.perf_counter()
    operation()
    after = _cpu_s()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": after - before, "wall_s": time.perf_counter() - wall, "import_s": before - began_s, "peak_mb": peak}


def ingest(kind: str, folder: str, project: str, executor: str = "serial") -> dict[str, float]:
    """Ingest one source into a project that is there already or not; with workers, they start before the clock does."""
    began = _cpu_s()
    import cv2  # noqa: F401
    import nibabel.nifti1  # noqa: F401
    from blake3 import blake3  # noqa: F401
    from isal import igzip, isal_zlib  # noqa: F401

    import curation.dicom
    import curation.dicom_scan  # noqa: F401
    from curation.ingest import ingest as run
    from curation.project import Project
    from curation.recipe import HarmonizeSettings, SourceSettings
    from flows.executors import open_executor

    modality = {"dicom": None, "raster": "XC"}[kind]
    source = SourceSettings(name="bench", kind=kind, path=Path(folder), modality=modality)  # type: ignore[arg-type]
    opened: AbstractContextManager[Executor] = open_executor(executor)
    with opened as workers:
        if executor != "serial":
            _warm(workers)
        return measured(lambda: run(Project(Path(project)), (source,), HarmonizeSettings(), KEY, workers), began)


def _warm(workers: Executor) -> None:
    """Let every worker import what it needs: the pool's first jobs sleep, so that none takes two of them."""
    for future in [workers.submit(_import_all, 1.0) for _ in range(2)]:
        future.result()


def _import_all(seconds: float) -> None:
    import scipy.sparse  # noqa: F401

    import curation.dicom
    import curation.dicom_scan
    import curation.reading  # noqa: F401

    time.sleep(seconds)


def decode(folder: str) -> dict[str, float]:
    """Read and decode every file, nothing else."""
    began = _cpu_s()
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return measured(lambda: [cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED) for path in files], began)


def deidentify(folder: str, out: str) -> dict[str, float]:
    """Clean a folder of DICOM files in this process; a folder of a few files is cleaned before the clock starts."""
    began = _cpu_s()
    from curation.deidentify.folders import deidentify_files

    warm = Path(out).with_name("warm")
    for part in (warm / "in", warm / "out"):
        part.mkdir(parents=True)
    for path in sorted(Path(folder).iterdir())[:2]:
        (warm / "in" / path.name).write_bytes(path.read_bytes())
    deidentify_files(warm / "in", warm / "out", KEY)
    return measured(lambda: deidentify_files(Path(folder), Path(out), KEY), began)


def walk(folder: str, intake: str) -> dict[str, float]:
    """Walk a source and compare it with an intake table of the same files: what every run does before it opens anything."""
    began = _cpu_s()
    from benchmarks.front.many import walk_and_compare

    return measured(lambda: walk_and_compare(Path(folder), Path(intake)), began)


PROBES: dict[str, Callable[..., dict[str, float]]] = {"ingest": ingest, "decode": decode, "deidentify": deidentify, "walk": walk}

if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](*sys.argv[2:])))
