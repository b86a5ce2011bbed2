"""Where the work of a stage runs: in this process, in a pool of processes, or on a Dask cluster.

Every stage takes a `concurrent.futures.Executor`; the recipe's `run.executor` chooses it. Workers get paths and rows
and give back paths and rows, never pixel arrays.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from curation.errors import ServiceError, UsageError, WorkerLostError

P = ParamSpec("P")
T = TypeVar("T")

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "POLARS_MAX_THREADS")


NO_ROOM = 75
"""Exit code of a worker that holds too much memory for another job."""


class SerialExecutor(Executor):
    """Runs each call at once, in this process; an exception is kept in the future as with any other executor."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` now and return its finished future."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # the contract of an executor: every error goes to who asks for the result
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Caps:
    """What one job may take before its worker is stopped.

    Attributes:
        seconds: wall time of a job.
        memory_bytes: private memory of a worker.
        file_bytes: size of a file that a worker writes.
    """

    seconds: float = 600
    memory_bytes: int = 8 << 30
    file_bytes: int = 16 << 30


class CappedPool(Executor):
    """Processes of which each may die or be stopped without harm to the others: its job raises `WorkerLostError`, a fresh process takes its place.

    Workers never hear Ctrl-C: this process does, and stops them.
    """

    def __init__(self, workers: int, caps: Caps) -> None:
        from multiprocessing import get_context, resource_tracker

        from pebble import ProcessPool

        resource_tracker.ensure_running()  # started later, it would unblock Ctrl-C for the worker that follows it
        self._caps = caps
        self._pool = ProcessPool(workers, initializer=_prepare_worker, initargs=(caps,), context=get_context("spawn"))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand `fn` to a worker; its time counts from when the worker begins."""
        outer: Future[T] = Future()
        self._schedule(outer, fn, args, kwargs)
        return outer

    def _schedule(self, outer: Future[T], fn: Callable[..., T], args: Any, kwargs: Any) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the first job starts the workers, which inherit what is blocked
        try:
            inner = self._pool.schedule(_run_with_room, (self._caps.memory_bytes // 2, fn, args, kwargs), timeout=self._caps.seconds)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

        def settle(done: Future[T]) -> None:
            if not done.cancelled() and getattr(done.exception(), "exitcode", None) == NO_ROOM:
                self._schedule(outer, fn, args, kwargs)
            else:
                _hand_over(done, outer, self._lost)

        inner.add_done_callback(settle)

    def _lost(self, error: BaseException) -> BaseException:
        from pebble import ProcessExpired

        if isinstance(error, TimeoutError):
            return WorkerLostError("TIMEOUT", f"reading it takes more than {self._caps.seconds:g} seconds")
        return WorkerLostError("CRASHED", "reading it kills the process") if isinstance(error, ProcessExpired) else error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after their jobs, or at once with `cancel_futures`."""
        if cancel_futures:
            self._pool.stop()  # type: ignore[no-untyped-call]
        else:
            self._pool.close()  # type: ignore[no-untyped-call]
        if wait:
            self._pool.join()


class ClusterPool(Executor):
    """A Dask cluster; a job that takes its workers with it raises `WorkerLostError`. The cluster's own limits hold there (`distributed.worker.memory`)."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand `fn` to the cluster."""
        outer: Future[T] = Future()
        self._executor.submit(fn, *args, **kwargs).add_done_callback(lambda done: _hand_over(done, outer, self._lost))
        return outer

    @staticmethod
    def _lost(error: BaseException) -> BaseException:
        from distributed.scheduler import KilledWorker

        return WorkerLostError("CRASHED", "reading it kills the workers of the cluster") if isinstance(error, KilledWorker) else error


def _hand_over(done: Future[T], outer: Future[T], translate: Callable[[BaseException], BaseException]) -> None:
    """Give the result or the error of one future to another."""
    if done.cancelled():
        outer.cancel()
        outer.set_running_or_notify_cancel()
    elif (error := done.exception()) is not None:
        outer.set_exception(translate(error))
    else:
        outer.set_result(done.result())


def _run_with_room(most_bytes: int, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
    """Run `fn`, unless what this worker still holds from earlier jobs would not leave it half of the cap: then the worker ends, and another one runs it."""
    if held_bytes() > most_bytes:
        os._exit(NO_ROOM)
    return fn(*args, **kwargs)


def held_bytes() -> int:
    """Return the private memory of this process as the cap counts it, also what nothing was written to; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), 0)


def _prepare_worker(caps: Caps) -> None:
    """Keep a worker to one thread, before it imports anything that starts more, and to its caps; and let it end with the process that started it.

    It speaks through its results: what a decoder prints about a hostile file reaches neither the terminal nor a log.
    """
    Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    resource.setrlimit(resource.RLIMIT_DATA, (caps.memory_bytes, caps.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (caps.file_bytes, caps.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone: who would stop it, if it hangs?"""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def open_executor(spec: str, caps: Caps = Caps()) -> Iterator[Executor]:
    """Open the executor that `spec` names: `serial`, `processes:N` or `dask:<scheduler address>`.

    Args:
        spec: which one.
        caps: of each job, for `processes`; `serial` has none, a cluster has its own.

    Raises:
        UsageError: `spec` is none of these.
        ServiceError: the Dask scheduler does not answer.
    """
    kind, _, detail = spec.partition(":")
    if kind == "serial" and not detail:
        with SerialExecutor() as executor:
            yield executor
    elif kind == "processes" and detail.isdigit() and int(detail) > 0:
        pool = CappedPool(int(detail), caps)
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()
    elif kind == "dask" and detail:
        with _open_dask(detail) as executor:
            yield executor
    else:
        raise UsageError(f"run.executor = {spec!r}: use `serial`, `processes:2` or `dask:tcp://host:8786`")


@contextmanager
def _open_dask(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("run.executor = 'dask:…' needs the extra: pip install 'curaloop[dask]'") from error
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise ServiceError("Dask scheduler", address, f"does not answer ({type(error).__name__}); is it running?") from error
    with client, client.get_executor() as executor:
        yield ClusterPool(executor)
