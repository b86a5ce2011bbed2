"""Two workers against one, and the same bytes from a pool of processes and from a Dask cluster."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from benchmarks.front.inputs import make_ct_series, make_photographs
from benchmarks.front.running import fresh, in_turn, ours
from benchmarks.measurement import Measurement

SERIES, FILES, TURNS = 4, 1_000, 2


def measure(room: Path) -> list[Measurement]:
    """Wall seconds with workers that have started; only a machine with two free cores can meet the target, so the load is told."""
    for series in range(1, SERIES + 1):
        if not (room / "cts" / str(series)).exists():
            make_ct_series(room / "cts" / str(series), slices=100, series=series)
    make_photographs(room / "photographs", FILES)
    lines = []
    for kind, folder in (("dicom", room / "cts"), ("raster", room / "photographs")):
        places = [room / f"{kind}-{count}" for count in (1, 2)]
        one, two = in_turn(TURNS, *(lambda place=place, n=n: ours("ingest", kind, folder, fresh(place), f"processes:{n}") for n, place in enumerate(places, 1)))  # noqa: B023
        detail = f"{one.wall_s:.2f} s, {two.wall_s:.2f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        lines.append(Measurement(f"two workers : one ({kind})", one.wall_s / two.wall_s, "times as fast", 1.7, detail, at_least=True))
        lines.append(_same_bytes(kind, folder, room, shards_of(places[0]), shards_of(places[1])))
    return lines


def _same_bytes(kind: str, folder: Path, room: Path, one: dict[str, str], two: dict[str, str]) -> Measurement:
    """Ingest on a Dask cluster of two workers and compare the shards."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        ours("ingest", kind, folder, fresh(room / "dask"), f"dask:{cluster.scheduler_address}")
    versions = {tuple(sorted(found.items())) for found in (one, two, shards_of(room / "dask"))}
    return Measurement(f"different results of 1, 2 and Dask's workers ({kind})", len(versions) - 1, "", 0, f"{len(one)} shards")


def shards_of(project: Path) -> dict[str, str]:
    """Return the hash of each shard of a project, by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (project / "workspace" / "shards").glob("*.tar")}
