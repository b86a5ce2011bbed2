"""Pictures for the eye."""

from __future__ import annotations

import numpy as np
import pytest

from curation.pixels import decode, encode_nifti, encode_png, read_png_mark
from validation.review.render import choose_window, montage, render, scale


def test_scale_maps_the_window_to_all_grays() -> None:
    """The worked value of the docstring."""
    assert scale(np.array([-160, 40, 240]), -160, 240).tolist() == [0, 128, 255]


@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 40), (32, 32)])
def test_small_images_become_large_enough_to_see(shape: tuple[int, ...]) -> None:
    """The longest side is 512 px, proportions stay."""
    picture = decode(render(encode_png(np.full(shape, 90, np.uint8)), ".png", "XC", None), ".png")
    assert max(picture.shape) == 512
    assert picture.shape[0] / picture.shape[1] == pytest.approx(shape[0] / shape[1], abs=0.01)
    assert picture.ndim == len(shape)


def test_the_mark_of_a_synthetic_image_does_not_reach_the_reader() -> None:
    """The text chunk of the stored file is not in the picture: readers must not know the origin."""
    marked = encode_png(np.zeros((32, 32, 3), np.uint8), {"Synthetic": "yes"})
    assert read_png_mark(render(marked, ".png", "XC", None)) == {}


def test_a_wide_gray_range_is_stretched() -> None:
    """A 16-bit image uses all grays of the screen."""
    ramp = np.linspace(1000, 3000, 600 * 600).reshape(600, 600).astype(np.uint16)
    picture = decode(render(encode_png(ramp), ".png", "DX", None), ".png")
    assert picture.dtype == np.uint8
    assert (picture.min(), picture.max()) == (0, 255)


def test_a_volume_becomes_twelve_slices_in_reading_order() -> None:
    """Tiles get brighter as the slices do, and keep the proportions in millimetres."""
    volume = np.repeat(np.arange(25, dtype=np.uint8)[:, None, None] * 10, 20, axis=1).repeat(10, axis=2)
    picture = montage(volume, [1.0, 1.0, 2.0])
    assert picture.shape == (768, 1024)
    centres = [int(picture[row * 256 + 128, column * 256 + 128]) for row in range(3) for column in range(4)]
    assert centres == sorted(centres)
    assert len(set(centres)) == 12
    assert np.count_nonzero(picture[128, :256]) == pytest.approx(252, abs=2)


def a_body(inside_hu: int, wall_hu: int, wall: int) -> np.ndarray:
    """Return a `(12, 64, 64)` int16 CT phantom: air around a square with a wall and an inside."""
    volume = np.full((12, 64, 64), -1000, np.int16)
    volume[:, 8:56, 8:56] = wall_hu
    volume[:, 8 + wall : 56 - wall, 8 + wall : 56 - wall] = inside_hu
    return volume


@pytest.mark.parametrize(("inside", "wall_hu", "wall", "window"), [(35, 900, 4, "brain"), (60, -80, 4, "soft"), (-800, 40, 8, "lung")])
def test_the_window_fits_what_is_in_the_volume(inside: int, wall_hu: int, wall: int, window: str) -> None:
    """A skull asks for the brain window, much air inside a body for the lung window."""
    assert choose_window(a_body(inside, wall_hu, wall)) == window


def test_the_patients_right_is_on_the_left_of_the_picture() -> None:
    """An image in RAS order is flipped as radiologists read: a bright spot at the patient's right, anterior, appears top left."""
    volume = np.full((12, 32, 32), -3.0, np.float32)
    volume[:, 28:, 28:] = 3.0
    picture = decode(render(encode_nifti(volume, np.eye(4)), ".nii.gz", "MR", [1.0, 1.0, 1.0]), ".png")
    assert picture[10, 10] == 255
    assert picture[245, 245] == 0
