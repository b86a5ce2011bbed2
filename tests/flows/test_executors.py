"""Executors: the same calls give the same answers wherever they run."""

from __future__ import annotations

import os

import pytest

from curation.errors import ImageError, ServiceError, UsageError
from flows.executors import ONE_THREAD, open_executor


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
