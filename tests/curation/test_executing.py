"""Jobs on workers that may die, hang or grow: the killer is named, and everything else is done."""

import os
import time

import numpy as np
import pytest

from curation.errors import WorkerLostError
from curation.executing import run_jobs
from flows.executors import Caps, open_executor


def double(numbers: tuple[int, ...]) -> list[str]:
    """Return twice the numbers; 13 kills the process, 17 hangs in C where no Python signal handler runs, 19 takes all memory."""
    if 13 in numbers:
        os._exit(1)
    if 17 in numbers:
        time.sleep(600)
    if 19 in numbers:
        try:
            np.ones(1 << 34, np.uint8)
        except MemoryError:
            return ["no memory"]
    return [str(2 * number) for number in numbers]


def split(numbers: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return one job a number."""
    return [(number,) for number in numbers]


def name_killer(numbers: tuple[int, ...], lost: WorkerLostError) -> list[str]:
    """Return the killer with its code."""
    return [f"{lost.code} {number}" for number in numbers]


@pytest.mark.parametrize(("killer", "answer"), [(13, "CRASHED 13"), (17, "TIMEOUT 17"), (19, "no memory")])
def test_a_job_that_takes_its_worker_is_named_and_all_others_are_done(killer: int, answer: str) -> None:
    """Also those that shared its chunk, and those that waited behind it."""
    jobs = [(1, 2), (3, killer), (6,), (7, 8)]
    with open_executor("processes:2", Caps(seconds=5, memory_bytes=2 << 30)) as executor:
        done = {number for result in run_jobs(executor, double, jobs, split, name_killer) for number in result}
    assert done - {"6"} == {answer, "2", "4", "12", "14", "16"}
