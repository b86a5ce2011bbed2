"""Ingest after a loss: a deleted workspace, a killed run, another number of workers; the bytes are the same."""

import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl

from curation.ingest import ingest
from curation.manifest import read_manifest, write_manifest
from curation.project import Project
from tests.curation.ingest_builders import KEY, SETTINGS, Here, a_source, fill, run


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    """Shards and manifest are equal for one process and for two."""
    folder = fill(tmp_path / "in", range(70))
    one, two = Project(tmp_path / "one"), Project(tmp_path / "two")
    run(one, a_source(folder))
    with ProcessPoolExecutor(2) as executor:
        run(two, a_source(folder), executor=executor)
    assert one.manifest.read_bytes() == two.manifest.read_bytes()
    assert [path.name for path in one.working_shards.iterdir()] == [path.name for path in two.working_shards.iterdir()]


def test_a_deleted_workspace_comes_back(tmp_path: Path) -> None:
    """From the sources, with the same rows."""
    folder = fill(tmp_path / "in", range(3))
    project = Project(tmp_path / "p")
    run(project, a_source(folder))
    rows = read_manifest(project.manifest)
    shutil.rmtree(project.working_shards)
    run(project, a_source(folder))
    assert read_manifest(project.manifest).equals(rows)
    shutil.rmtree(project.workspace)
    run(project, a_source(folder))
    assert read_manifest(project.manifest).equals(rows)


def test_what_was_released_comes_back_without_a_workspace(tmp_path: Path) -> None:
    """The released manifest stands in for the working one: splits stay, and no image is stored twice."""
    folder = fill(tmp_path / "in", range(3))
    project = Project(tmp_path / "p")
    run(project, a_source(folder))
    shutil.copytree(project.working_shards, project.released_shards)
    released = read_manifest(project.manifest).with_columns(split=pl.lit("val"))
    write_manifest(released, project.data / "manifest.parquet")
    shutil.rmtree(project.workspace)
    assert run(project, a_source(folder)).new_images == 0
    assert read_manifest(project.manifest).equals(released)
    assert not project.working_shards.exists()


SCRIPT = """
import sys, time
from concurrent.futures import Executor, Future
from pathlib import Path
from curation.ingest import ingest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings

class Slow(Executor):
    done = 0

    def submit(self, fn, /, *args):
        future = Future()
        future.set_result(fn(*args))
        self.done += 1
        print("chunk", flush=True)
        if self.done == 2:
            time.sleep(600)  # in the middle, until it is killed
        return future

source = SourceSettings(name="clinic", kind="raster", path=Path(sys.argv[2]), modality="XC")
ingest(Project(Path(sys.argv[1])), (source,), HarmonizeSettings(colour=ColourSettings(size_px=16)), b"k" * 32, Slow())
"""


def test_after_kill_9_the_same_run_goes_on(tmp_path: Path) -> None:
    """Parts that were done are not done again, and the result is that of a run that nobody killed."""
    folder = fill(tmp_path / "in", range(130))
    killed, whole = Project(tmp_path / "killed"), Project(tmp_path / "whole")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(killed.root), str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = {path: path.stat().st_mtime_ns for path in (killed.workspace / "parts").glob("*.json")}
    assert len(done) >= 2
    assert not killed.manifest.exists()
    time.sleep(0.01)
    seen: dict[Path, int] = {}
    ingest(killed, (a_source(folder),), SETTINGS, KEY, Here(), lambda *_: seen.update({path: path.stat().st_mtime_ns for path in done}))
    assert seen == done
    run(whole, a_source(folder))
    assert killed.manifest.read_bytes() == whole.manifest.read_bytes()
    assert not (killed.workspace / "parts").exists()
