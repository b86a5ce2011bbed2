"""The targets of `make bench-synth` can be missed."""

from __future__ import annotations

from benchmarks.synth_speed.__main__ import compare_threads


def test_a_wrong_number_of_threads_misses_the_target() -> None:
    """The choice was made from other steps than those that judge it, so it can turn out wrong."""
    slow, fast = compare_threads({"chosen": 1.0, "1": 0.4, "2": 0.2}), compare_threads({"chosen": 2.0, "1": 0.4, "2": 0.2})
    assert (slow.value, slow.is_met) == (2.0, False)
    assert (fast.value, fast.is_met) == (1.0, True)
    assert compare_threads({"chosen": 1.0, "1": 0.24, "2": 0.2}).is_met
