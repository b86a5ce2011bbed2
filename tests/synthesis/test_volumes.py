"""Volumes on their way to a generator and back."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from curation.errors import UsageError
from synthesis.volumes import as_picture, centred_affine, middle_spacing_mm, restore_values, shrink_volume


def test_a_volume_is_averaged_onto_the_grid() -> None:
    """Each voxel is the mean of what it covers, on the fixed range of its unit; what lies outside is cut off."""
    volume = np.zeros((4, 6, 8), np.int16)
    volume[:2] = 512
    volume[2:] = 3000
    small = shrink_volume(volume, "HU", (2, 3, 4))
    assert small.shape == (2, 3, 4)
    assert small.dtype == np.uint8
    assert set(small[0].ravel().tolist()) == {round((512 + 1024) * 255 / 2560)}
    assert set(small[1].ravel().tolist()) == {255}
    assert shrink_volume(volume.astype(np.float32), "z", (8, 12, 16)).shape == (8, 12, 16)


def test_gray_levels_become_values_of_the_unit() -> None:
    """There and back within half a step; whole Hounsfield units, not only those of 256 steps."""
    levels = np.array([0.0, 102.3, 255.0])
    assert restore_values(levels, "HU").tolist() == [-1024, 3, 1536]
    assert restore_values(levels, "HU").dtype == np.int16
    assert restore_values(levels, "z").dtype == np.float32
    values = np.linspace(-900, 1500, 60).reshape(3, 4, 5).astype(np.int16)
    back = restore_values(shrink_volume(values, "HU", (3, 4, 5)), "HU")
    assert np.abs(back - values).max() <= 6
    with pytest.raises(UsageError, match="harmonize"):
        restore_values(levels, "counts")


def test_air_and_fat_of_an_mr_volume_are_not_cut_off() -> None:
    """Robust z-scores from the air around the body to bright fat come back within half a step."""
    values = np.linspace(-3.6, 9.0, 60, dtype=np.float32).reshape(3, 4, 5)
    assert np.abs(restore_values(shrink_volume(values, "z", (3, 4, 5)), "z") - values).max() <= 0.03


def test_what_was_generated_has_the_median_extent_of_the_train_volumes() -> None:
    """Three volumes of 100, 120 and 200 mm: 120 mm over 4 slices are 30 mm each."""
    rows = pl.DataFrame(
        {"slices": [10, 12, 20, 5], "rows": [10] * 4, "columns": [20] * 4, "spacing_mm": [[10.0, 2.0, 1.0], [10.0, 2.0, 1.0], [10.0, 2.0, 1.0], None]},
        schema_overrides={"spacing_mm": pl.List(pl.Float64)},
    )
    assert middle_spacing_mm(rows, (4, 10, 10)) == [30.0, 2.0, 2.0]
    assert middle_spacing_mm(rows.tail(1), (4, 10, 10)) == [1.0, 1.0, 1.0]


def test_the_middle_of_a_volume_is_the_origin() -> None:
    """The affine takes the middle voxel to zero, columns to the right, rows to the front, slices upwards."""
    affine = centred_affine([3.0, 2.0, 1.0], (5, 7, 9))
    assert (affine @ [4, 3, 2, 1]).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert np.diag(affine).tolist() == [1.0, 2.0, 3.0, 1.0]


def test_a_picture_shows_slices_of_which_the_mirror_image_is_that_of_the_volume() -> None:
    """Four slices below each other."""
    volume = np.random.default_rng(0).uniform(0, 255, (8, 5, 6)).astype(np.float32)
    picture = as_picture(volume)
    assert picture.shape == (20, 6)
    assert picture.dtype == np.uint8
    assert (picture[:, ::-1] == as_picture(volume[:, :, ::-1])).all()
    assert (picture[:5] == np.rint(volume[1]).astype(np.uint8)).all()
