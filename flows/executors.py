"""Where the work of a stage runs: in this process, in a pool of processes, or on a Dask cluster.

Every stage takes a `concurrent.futures.Executor`; the recipe's `run.executor` chooses it. Workers get paths and rows
and give back paths and rows, never pixel arrays.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from curation.errors import ServiceError, UsageError

P = ParamSpec("P")
T = TypeVar("T")

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "POLARS_MAX_THREADS")


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


class QuietPool(ProcessPoolExecutor):
    """A pool whose workers never hear Ctrl-C: this process does, lets them end their job, and nobody prints a traceback."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand `fn` to a worker; workers are started here, and inherit what is blocked."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def use_one_thread() -> None:
    """Keep a worker process to one thread, before it imports anything that starts more."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))


@contextmanager
def open_executor(spec: str) -> Iterator[Executor]:
    """Open the executor that `spec` names: `serial`, `processes:N` or `dask:<scheduler address>`.

    Raises:
        UsageError: `spec` is none of these.
        ServiceError: the Dask scheduler does not answer.
    """
    kind, _, detail = spec.partition(":")
    if kind == "serial" and not detail:
        with SerialExecutor() as executor:
            yield executor
    elif kind == "processes" and detail.isdigit() and int(detail) > 0:
        from multiprocessing import get_context

        with QuietPool(int(detail), mp_context=get_context("spawn"), initializer=use_one_thread) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
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
        yield executor
