"""The one gate: checks return results, this raises."""

from __future__ import annotations

from collections.abc import Iterable

from curation.errors import GateError
from validation.checks import CheckResult


def open_gate(results: Iterable[CheckResult], gate: str = "release") -> None:
    """Return when every check passed and none is broken.

    Raises:
        GateError: with one sentence a failed or broken check.
    """
    refusals = tuple(_sentence(result) for result in results if result.is_broken or not result.passed)
    if refusals:
        raise GateError(gate, refusals)


def _sentence(result: CheckResult) -> str:
    state = "the check itself is broken" if result.is_broken else "does not hold"
    reasons = "; ".join(result.failures[:5]) + (f"; and {len(result.failures) - 5} more" if len(result.failures) > 5 else "")
    return f"{result.name}: {state}: {reasons}"
