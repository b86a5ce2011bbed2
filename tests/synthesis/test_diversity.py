"""Two images are as alike as MS-SSIM says, and a set that repeats itself shows it."""

from __future__ import annotations

import numpy as np
import pytest

from synthesis.diversity import mean_similarity, ms_ssim
from tests.synthesis.builders import a_phantom


def test_the_worked_values_hold() -> None:
    """An image with itself: 1; a black with a white one of one scale: C1 / (255² + C1)."""
    image = a_phantom("disc", 1, size_px=64)
    assert ms_ssim(image, image) == pytest.approx(1.0)
    black, white = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    assert ms_ssim(black, white) == pytest.approx(6.5025 / (255**2 + 6.5025), rel=1e-4)


def test_more_noise_makes_two_images_less_alike() -> None:
    """And the order of the two does not matter."""
    image = a_phantom("stripes", 2, size_px=64).astype(np.float64)
    noise = np.random.default_rng(0).normal(size=image.shape)
    noisy = [np.clip(image + sigma * noise, 0, 255).astype(np.uint8) for sigma in (2, 20, 120)]
    whole = image.astype(np.uint8)
    values = [ms_ssim(whole, other) for other in noisy]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.95 > 0.85 > values[2]
    assert ms_ssim(noisy[1], whole) == pytest.approx(values[1])


def test_a_set_that_repeats_itself_is_more_alike() -> None:
    """One image with a little noise, eight times, against eight images; pairs of one group do not count."""
    varied = [a_phantom("disc", number, size_px=32) for number in range(8)]
    random = np.random.default_rng(0)
    collapsed = [np.clip(varied[0] + random.normal(0, 2, varied[0].shape), 0, 255).astype(np.uint8) for _ in range(8)]
    apart = [str(number) for number in range(8)]
    repeated, various = mean_similarity(collapsed, apart), mean_similarity(varied, apart)
    assert repeated is not None
    assert various is not None
    assert repeated > 0.9 > various
    assert mean_similarity(varied, ["one patient"] * 8) is None
    assert mean_similarity([], []) is None


def test_images_of_two_sizes_are_compared_by_their_middle() -> None:
    """An image with a margin beside the same image without one: only the middle counts."""
    image = a_phantom("disc", 3, size_px=32)
    wide = np.pad(image, ((0, 0), (8, 8), (0, 0)))
    assert mean_similarity([image, wide], ["one", "two"]) == 1.0
