"""The record that every check returns. A failed check is a value; only the gate raises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 20


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: short name, the same in every version.
        description: one sentence that says what must hold and what was looked at.
        passed: whether it holds.
        failures: one sentence a violation, naming image_ids and pseudonyms only; at most `SHOWN` and how many more.
        checked: how many things were looked at.
        is_broken: the check itself crashed, so nobody knows whether it holds. The gate refuses then too.
    """

    name: str
    description: str
    passed: bool
    failures: tuple[str, ...]
    checked: int
    is_broken: bool = False


def conclude(name: str, description: str, failures: Iterable[str], checked: int) -> CheckResult:
    """Return the result of a check that looked at `checked` things and found `failures`."""
    found = tuple(failures)
    shown = found if len(found) <= SHOWN else (*found[:SHOWN], f"and {len(found) - SHOWN} more")
    return CheckResult(name, description, not found, shown, checked)
