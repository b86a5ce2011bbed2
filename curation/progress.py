"""How a stage tells what it is doing: a plain callback, so that it runs under a terminal, a flow or a test."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what is being done)."""


def silent(done: int, total: int, what: str) -> None:
    """Tell nobody."""
