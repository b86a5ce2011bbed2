"""Where an image may be changed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from synthesis.engines.masks import find_lesion, make_mask, random_ellipse, soften


def a_lesion(side: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return skin with a dark spot and a hair at the border, and where the spot is."""
    random = np.random.default_rng(5)
    image = np.full((side, side, 3), (205, 160, 140), np.float64)
    truth = np.zeros((side, side), np.uint8)
    cv2.ellipse(truth, (int(0.45 * side), int(0.55 * side)), (side // 4, side // 6), 30, 0, 360, 1, -1)
    image[truth == 1] = (110, 60, 50)
    cv2.line(image, (0, 2), (side // 6, 0), (60, 50, 40), 2)
    noisy = np.clip(image + random.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    return (noisy if channels == 3 else cv2.cvtColor(noisy, cv2.COLOR_RGB2GRAY)), truth


@pytest.mark.parametrize(("side", "channels"), [(32, 3), (64, 3), (128, 3), (64, 1)])
def test_a_lesion_is_found_by_its_colour(side: int, channels: int) -> None:
    """All of the planted spot is found, and little beside it."""
    image, truth = a_lesion(side, channels)
    found = find_lesion(image)
    assert found is not None
    assert found[truth == 1].mean() > 0.97
    assert found.sum() < 1.8 * truth.sum()


def test_without_a_lesion_an_ellipse_stands_in() -> None:
    """An even image has no lesion; the ellipse comes from the seed, and the whole image is no mask at all."""
    flat = np.full((64, 64, 3), 180, np.uint8)
    assert find_lesion(flat) is None
    assert (make_mask(flat, "lesion", 3) == random_ellipse(64, 3)).all()
    assert (make_mask(flat, "ellipse", 4) != random_ellipse(64, 3)).any()
    assert make_mask(flat, "whole", 0).all()
    shares = [random_ellipse(64, seed).mean() for seed in range(20)]
    assert 0.05 < min(shares) < max(shares) < 0.5


def test_a_soft_rim_lies_inside_the_mask() -> None:
    """The docstring's row; nothing outside is ever touched."""
    row = np.zeros((9, 5), np.uint8)
    row[:, 2:] = 1
    assert soften(row, 2.0)[4].tolist() == [0, 0, 0.5, 1, 1]
    assert soften(row, 0)[4].tolist() == [0, 0, 1, 1, 1]
    assert soften(np.ones((4, 4), np.uint8), 2.0).all()
