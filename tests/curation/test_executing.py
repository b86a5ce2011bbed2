"""Jobs on a pool whose workers may die."""

import os
from concurrent.futures import ProcessPoolExecutor

from curation.executing import run_jobs


def double(numbers: tuple[int, ...]) -> list[int]:
    """Return twice the numbers; 13 kills the process."""
    if 13 in numbers:
        os._exit(1)
    return [2 * number for number in numbers]


def split(numbers: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return one job a number."""
    return [(number,) for number in numbers]


def name_killer(numbers: tuple[int, ...]) -> list[int]:
    """Return the killer with a minus sign."""
    return [-number for number in numbers]


def test_a_job_that_kills_its_process_is_named_and_all_others_are_done() -> None:
    """Also those that shared its chunk, and those that waited when the pool broke."""
    jobs = [(1, 2), (3, 13, 5), (6,), (7, 8)]
    with ProcessPoolExecutor(2) as executor:
        done = [number for result in run_jobs(executor, double, jobs, split, name_killer) for number in result]
    assert sorted(done) == [-13, 2, 4, 6, 10, 12, 14, 16]
