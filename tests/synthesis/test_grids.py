"""Pictures of many images."""

from __future__ import annotations

import numpy as np

from synthesis.grids import draw_grid


def test_changed_images_stand_below_their_parents_whatever_their_size() -> None:
    """One row of real images, a line, then rows of parents with what was made of them below; large images in fewer columns, small ones enlarged."""
    real = {"a": [np.full((10, 8), 50, np.uint8)]}
    made, parents = {"a": [np.full((6, 12), 200, np.uint8)] * 17}, {"a": [np.full((6, 12), 100, np.uint8)] * 17}
    picture = draw_grid(real, made, parents)
    assert picture.shape == (8 * (10 + 2 + 2 * (2 * 10 + 1) + 6), 8 * 16 * 12, 3)
    rows = picture[4::8, 48]
    assert [rows[5, 0], rows[10, 0], rows[17, 0], rows[27, 0], rows[32, 0]] == [50, 255, 100, 200, 255]
    assert draw_grid({}, {"b": [np.zeros((256, 256, 3), np.uint8)] * 3}).shape == (256 + 2 + 256 + 6, 8 * 256, 3)


def test_the_nearest_real_image_stands_below_each_drawn_one() -> None:
    """With a thin line below the pair, so that nobody takes the next row for it; with parents, in the middle of three."""
    made, nearest, parents = ({"a": [np.full((8, 8), gray, np.uint8)] * 2} for gray in (200, 90, 120))
    picture = draw_grid({"a": [np.full((8, 8), 50, np.uint8)]}, made, nearest=nearest)
    rows = picture[6::12, 6, 0]
    assert [rows[at] for at in (4, 8, 14, 22, 26, 27)] == [50, 255, 200, 90, 255, 255]
    rows = draw_grid({}, made, parents, nearest)[6::12, 6, 0]
    assert [rows[at] for at in (14, 22, 30)] == [120, 200, 90]
