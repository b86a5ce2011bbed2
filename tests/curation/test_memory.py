"""Workers keep the memory that they free."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from curation.memory import keep_freed_memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only the GNU C library has it")
def test_arrays_that_are_freed_are_not_given_back_and_asked_for_again() -> None:
    """Page faults of a hundred arrays of 2 MB: those of a few, not of a hundred."""
    import resource

    if not keep_freed_memory():
        pytest.skip("not the GNU C library")
    np.ones(1 << 18).sum()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(1 << 18).sum()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 100 * 512 / 4
