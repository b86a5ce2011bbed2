"""Executors: the same calls give the same answers wherever they run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curation.errors import ImageError, ServiceError, UsageError
from curation.file_reading import load
from curation.sources.table import Lookup
from curation.units import UnitFile
from flows.executors import ONE_THREAD, CappedPool, Caps, open_executor
from tests.curation_builders import a_picture, a_raster


def double(number: int) -> int:
    """Return twice the number."""
    return 2 * number


def refuse(number: int) -> int:
    """Raise an error of ours."""
    raise ImageError("TRUNCATED", f"file {number} ends early")


def thread_limits(_: int) -> tuple[str | None, ...]:
    """Return what a worker tells the libraries about threads."""
    return tuple(os.environ.get(name) for name in ONE_THREAD)


@pytest.mark.parametrize("spec", ["serial", "processes:2"])
def test_answers_come_in_order(spec: str) -> None:
    """`map` keeps the order for any number of workers."""
    with open_executor(spec) as executor:
        assert list(executor.map(double, range(5))) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("spec", ["serial", "processes:1"])
def test_our_errors_come_back_whole(spec: str) -> None:
    """An error of a worker keeps its code and its sentence."""
    with open_executor(spec) as executor, pytest.raises(ImageError) as caught:
        executor.submit(refuse, 3).result()
    assert (caught.value.code, caught.value.reason) == ("TRUNCATED", "file 3 ends early")


def babble(_: int) -> int:
    """Print as a decoder written in C does."""
    os.write(1, b"Quastenflosser")
    return os.write(2, b"Quastenflosser")


def test_what_a_decoder_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither to the terminal nor into a log."""
    with open_executor("processes:1") as executor:
        assert executor.submit(babble, 0).result() == 14
    assert capfd.readouterr() == ("", "")


def test_workers_use_one_thread_each() -> None:
    """Two workers on two cores do not start eight threads."""
    with open_executor("processes:1") as executor:
        assert set(executor.submit(thread_limits, 0).result()) == {"1"}


@pytest.mark.parametrize("spec", ["threads:2", "processes:0", "processes:two", "serial:1", "dask:", ""])
def test_an_unknown_executor_is_wrong_use(spec: str) -> None:
    """The message shows what is allowed."""
    with pytest.raises(UsageError, match=r"use `serial`"), open_executor(spec):
        pass


def test_a_dask_scheduler_that_is_not_there_is_a_service_error() -> None:
    """Exit code 3, with the address."""
    pytest.importorskip("distributed")
    with pytest.raises(ServiceError, match=r"tcp://127\.0\.0\.1:9"), open_executor("dask:tcp://127.0.0.1:9"):
        pass


def test_a_dask_cluster_answers_like_the_others() -> None:
    """A cluster is one setting away."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp", host="127.0.0.1") as cluster,
        open_executor(f"dask:{cluster.scheduler_address}") as executor,
    ):
        assert list(executor.map(double, range(5))) == [0, 2, 4, 6, 8]


def test_workers_do_not_hear_ctrl_c(tmp_path: Path) -> None:
    """The process that started them does, ends with its own message, and no worker prints a traceback."""
    script = tmp_path / "wait.py"
    script.write_text(
        "import time\n"
        "from flows.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        with open_executor('processes:2') as executor:\n"
        "            futures = [executor.submit(time.sleep, 600) for _ in range(2)]\n"
        "            print('started', flush=True)\n"
        "            [future.result() for future in futures]\n"
        "    except KeyboardInterrupt:\n"
        "        raise SystemExit(130)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


KEPT: list[bytearray] = []


def hoard(size_bytes: int) -> int:
    """Keep memory for ever, as a decoder that leaks does, and return the process."""
    KEPT.append(bytearray(size_bytes))
    return os.getpid()


def test_a_worker_that_holds_on_to_memory_is_replaced_before_the_next_job() -> None:
    """Else a sound file that comes behind a leak would be refused for want of memory."""
    with CappedPool(1, Caps(seconds=60, memory_bytes=1 << 30)) as pool:
        workers = [pool.submit(hoard, 700 << 20).result() for _ in range(3)]
    assert len(set(workers)) == 3


def load_picture(path: Path) -> int:
    """Return the number of bytes that the reader of files loads."""
    size_bytes = path.stat().st_size
    return len(load(UnitFile(path.name, path, size_bytes, 0, None, Lookup()), "image", "raster").content)


def test_a_small_file_takes_little_room(tmp_path: Path) -> None:
    """Asking for the most that a file may have takes that much memory, so that no worker with a small cap could read anything."""
    (tmp_path / "one.png").write_bytes(a_raster(a_picture(1)))
    with CappedPool(1, Caps(seconds=60, memory_bytes=1 << 30)) as pool:
        assert pool.submit(load_picture, tmp_path / "one.png").result() == (tmp_path / "one.png").stat().st_size
