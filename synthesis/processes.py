"""Several processes that train together, as `accelerate launch` starts them: who writes, and who waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

WAIT_S = 0.5


def count_processes() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Say whether this process writes: the only one, or the first of those that train together."""
    return int(os.environ.get("RANK", "0")) == 0


def let_first(work: Callable[[], None], is_done: Callable[[], bool]) -> None:
    """Do what is not done yet in the first process only; the others wait for it, however long it takes (the launcher ends them when it fails).

    Args:
        work: makes `is_done` true, for all processes: it leaves files.
        is_done: looked at every half second by those that wait.
    """
    if is_first_process():
        if not is_done():
            work()
        return
    while not is_done():
        time.sleep(WAIT_S)
