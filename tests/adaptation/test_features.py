"""Pixels of every kind become planes that an encoder can see."""

from __future__ import annotations

import numpy as np
import pytest

from adaptation.features import planes_of
from curation.pixels import Pixels

RNG = np.random.default_rng(0)
KINDS: dict[str, tuple[Pixels, int]] = {
    "gray 8-bit": (RNG.integers(0, 255, (40, 30)).astype(np.uint8), 1),
    "gray 16-bit": (RNG.integers(1000, 1400, (40, 30)).astype(np.uint16), 1),
    "colour": (RNG.integers(0, 255, (40, 30, 3)).astype(np.uint8), 1),
    "CT volume": (RNG.integers(-1000, 1000, (12, 40, 30)).astype(np.int16), 5),
    "MR volume": (RNG.normal(0, 1, (12, 40, 30)).astype(np.float32), 5),
    "MR volume three columns wide": (RNG.normal(0, 1, (12, 40, 3)).astype(np.float32), 5),
    "one slice": (RNG.integers(-1000, 1000, (1, 40, 30)).astype(np.int16), 5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_planes_with_contrast(kind: str) -> None:
    """Planes are square 8-bit RGB, and what was visible stays visible."""
    pixels, count = KINDS[kind]
    planes = planes_of(pixels, 64)
    assert planes.shape == (count, 64, 64, 3)
    assert planes.dtype == np.uint8
    assert planes.std(axis=(1, 2, 3)).min() > 10


def test_shape_is_kept_on_black() -> None:
    """A wide image gets bars above and below, and is not stretched."""
    plane = planes_of(np.full((20, 40), 200, np.uint8), 64)[0]
    assert (plane[:16] == 0).all()
    assert (plane[48:] == 0).all()
    assert (plane[16:48] == 200).all()


def test_the_three_windows_of_ct_show_air_tissue_and_bone_apart() -> None:
    """Lung shows in the lung window only; dense bone saturates soft tissue and not bone."""
    lung, tissue, bone = (planes_of(np.full((1, 8, 8), hu, np.int16), 8)[0, 4, 4] for hu in (-700, 60, 900))
    assert lung[0] > 100 > lung[1]
    assert 100 < tissue[1] < 200
    assert bone[1] == 255 > bone[2]


def test_pet_is_shown_by_its_own_range() -> None:
    """Uptake values are never negative and have no fixed scale; the hottest slice is bright, and the unit does not matter."""
    volume = np.random.default_rng(0).gamma(1.0, 1.0, (12, 20, 20)).astype(np.float32)
    planes = planes_of(volume, 32)
    assert planes.max() == 255
    np.testing.assert_array_equal(planes, planes_of(volume * 4000, 32))
