"""Running jobs on an executor that a hostile input may kill: the rest of the work goes on, and the killer is named."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    executor: Executor, function: Callable[[Job], Result], jobs: Sequence[Job], split: Callable[[Job], list[Job]], crashed: Callable[[Job], Result]
) -> Iterator[Result]:
    """Yield the result of every job, in any order.

    When a worker process dies, the jobs that were lost run again, each in a process of its own; a job that kills that one too is split, and what
    cannot be split is given to `crashed`.

    Args:
        executor: where jobs run.
        function: what is done; it must not raise on bad input.
        jobs: arguments of `function`.
        split: returns the parts of a job; one part when it cannot be split.
        crashed: makes the result of a job that kills its process.
    """
    running: dict[Future[Result], Job] = {}
    lost: list[Job] = []
    for job in jobs:
        try:
            running[executor.submit(function, job)] = job
        except BrokenExecutor:
            lost.append(job)
    for future in as_completed(running):
        try:
            yield future.result()
        except BrokenExecutor:
            lost.append(running[future])
    for job in lost:
        yield from _run_alone(function, job, split, crashed)


def _run_alone(function: Callable[[Job], Result], job: Job, split: Callable[[Job], list[Job]], crashed: Callable[[Job], Result]) -> Iterator[Result]:
    """Run one job in a fresh process; when it dies, its parts."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()  # a process that cannot even start is no fault of the job
        try:
            yield pool.submit(function, job).result()
            return
        except BrokenExecutor:
            parts = split(job)
    if len(parts) < 2:
        yield crashed(job)
        return
    for part in parts:
        yield from _run_alone(function, part, split, crashed)
