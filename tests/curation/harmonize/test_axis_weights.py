"""Resampling one axis by a sparse matrix."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.harmonize.axis_weights import axis_weights
from curation.harmonize.resample import resample_rounded, resample_volume


@given(st.integers(1, 60), st.floats(0.1, 4.0), st.sampled_from(["linear", "cubic"]))
def test_every_new_line_is_a_mean_of_old_ones(lines: int, factor: float, upwards: str) -> None:
    """Weights sum to one, so that a constant image stays as it is."""
    size = max(1, round(lines * factor))
    weights = axis_weights(lines, size, factor, upwards)  # type: ignore[arg-type]
    assert weights.shape == (size, lines)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("size", "method", "upwards"), [(37, cv2.INTER_AREA, "linear"), (100, cv2.INTER_LINEAR, "linear"), (100, cv2.INTER_CUBIC, "cubic")])
def test_the_values_are_those_of_opencv(size: int, method: int, upwards: str) -> None:
    """Area averages downwards, linear and cubic interpolation upwards."""
    image = np.random.default_rng(0).normal(0, 300, (50, 4)).astype(np.float32)
    ours = axis_weights(50, size, size / 50, upwards) @ image  # type: ignore[arg-type]
    assert np.allclose(ours, cv2.resize(image, (4, size), interpolation=method), atol=2e-3)


def test_two_lines_become_one_by_their_shares() -> None:
    """3 lines of 1 mm on a grid of 1.5 mm: the middle one is halved."""
    assert np.allclose(axis_weights(3, 2, 2 / 3).toarray(), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


def test_rounded_volumes_equal_rounded_float_ones() -> None:
    """Cutting before, rounding half to even after, and nothing in between."""
    volume = np.random.default_rng(1).normal(0, 900, (12, 20, 17)).astype(np.int16)
    spacing, target = (1.25, 0.7, 0.8), (1.0, 1.0, 1.0)
    whole = resample_volume(np.clip(volume, -1024, 1000), spacing, target)
    assert np.array_equal(resample_rounded(volume, spacing, target, np.int16, (-1024, 1000)), np.rint(whole).astype(np.int16))
