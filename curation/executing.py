"""Running jobs on an executor that a hostile input may rob of a worker: the rest of the work goes on, and the killer is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import TypeVar

from curation.errors import WorkerLostError

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    executor: Executor,
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    split: Callable[[Job], list[Job]],
    crashed: Callable[[Job, WorkerLostError], Result],
) -> Iterator[Result]:
    """Yield the result of every job, in any order.

    A job whose worker dies or takes too long is split, and its parts run again; what cannot be split is given to `crashed`.

    Args:
        executor: where jobs run; it raises `WorkerLostError` for a job that lost its worker, and goes on with the others.
        function: what is done; it must not raise on bad input.
        jobs: arguments of `function`.
        split: returns the parts of a job; one part when it cannot be split.
        crashed: makes the result of a job that lost its worker.
    """
    running: dict[Future[Result], Job] = {executor.submit(function, job): job for job in jobs}
    while running:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            try:
                yield future.result()
                continue
            except WorkerLostError as error:
                lost = error
            parts = split(job)
            if len(parts) < 2:
                yield crashed(job, lost)
            running |= {executor.submit(function, part): part for part in parts if len(parts) > 1}
