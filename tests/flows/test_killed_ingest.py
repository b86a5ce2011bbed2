"""Ingest with two workers that is killed, stopped or interrupted: no process stays, and the next run ends like one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation.ingest import ingest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from flows.executors import SerialExecutor
from tests.curation_builders import a_picture, a_raster

ROOT = Path(__file__).parents[2]
SETTINGS = HarmonizeSettings(colour=ColourSettings(size_px=16))
INGEST = """
import sys, time
from pathlib import Path
from curation.ingest import ingest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from flows.executors import open_executor

def told(done, total, what):
    if what == "reading images":
        print(done, flush=True)
        time.sleep(600)  # in the middle, until it is ended

if __name__ == "__main__":
    source = SourceSettings(name="clinic", kind="raster", path=Path(sys.argv[2]), modality="XC")
    with open_executor("processes:2") as executor:
        ingest(Project(Path(sys.argv[1])), (source,), HarmonizeSettings(colour=ColourSettings(size_px=16)), b"k" * 32, executor, told)
"""
HANG = """
import sys, time
from flows.executors import open_executor

if __name__ == "__main__":
    with open_executor("processes:2") as executor:
        executor.submit(time.sleep, 0).result()
        futures = [executor.submit(time.sleep, 600) for _ in range(2)]
        print("begun", flush=True)
        [future.result() for future in futures]
"""


def start(folder: Path, script: str, *args: str) -> subprocess.Popen[str]:
    """Run a script in a session of its own and return when it has printed a line."""
    path = folder / "script.py"
    path.write_text(script)
    command, environment = [sys.executable, str(path), *args], {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def processes_of(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def all_end(session: int, seconds: float = 20) -> bool:
    """Say whether all processes of a session end in time; end them if not."""
    deadline = time.monotonic() + seconds
    while (left := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return not left


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_ingest_that_ends_in_the_middle_leaves_nothing_behind(tmp_path: Path, end: signal.Signals) -> None:
    """Neither processes nor half shards, and after the next run the same bytes as without the end."""
    source = SourceSettings(name="clinic", kind="raster", path=tmp_path / "in", modality="XC")
    source.path.mkdir()
    for seed in range(300):
        (source.path / f"{seed}.png").write_bytes(a_raster(a_picture(seed)))
    ended, whole = Project(tmp_path / "ended"), Project(tmp_path / "whole")
    process = start(tmp_path, INGEST, str(ended.root), str(source.path))
    process.send_signal(end)
    process.communicate(timeout=60)
    assert all_end(process.pid)
    assert not ended.manifest.exists()
    ended.working_shards.mkdir(parents=True, exist_ok=True)
    (ended.working_shards / ".shard-half").write_bytes(b"what a kill during packing leaves")
    for project in (ended, whole):
        ingest(project, (source,), SETTINGS, b"k" * 32, SerialExecutor())
    assert ended.manifest.read_bytes() == whole.manifest.read_bytes()
    assert contents(ended.working_shards) == contents(whole.working_shards)
    assert {path.name for path in ended.workspace.iterdir()} == {path.name for path in whole.workspace.iterdir()}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
def test_workers_that_hang_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """After kill -9 nobody is left who would stop them."""
    process = start(tmp_path, HANG)
    deadline = time.monotonic() + 60
    while len(processes_of(process.pid)) < 4 and time.monotonic() < deadline:  # it, two workers, and the tracker of their resources
        time.sleep(0.1)
    assert len(processes_of(process.pid)) >= 4
    process.kill()
    process.communicate(timeout=60)
    assert all_end(process.pid)
