"""Families of images made alike."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.harmonize.orientation import reorient_to_ras
from curation.harmonize.recipes import harmonize, recipe_sha256
from curation.harmonize.resample import resample_volume, resampled_affine
from curation.harmonize.zscore import robust_z
from curation.recipe import ColourSettings, CtSettings, HarmonizeSettings, MrSettings, XraySettings

SETTINGS = HarmonizeSettings(ct=CtSettings(spacing_mm=(2, 1, 1)), xray=XraySettings(size_px=32), colour=ColourSettings(size_px=16))


def a_ramp(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], affine: Any) -> np.ndarray:
    """Return a volume whose value is the position along the patient's axes: x + 2 y + 3 z in mm."""
    d, h, w = np.indices(shape)
    x, y, z = (affine @ np.stack([w.ravel(), h.ravel(), d.ravel(), np.ones(d.size)]))[:3]
    return (x + 2 * y + 3 * z).reshape(shape).astype(np.float32)


@example((1.53125, 1.0, 1.0), (1.5, 0.5, 0.5))  # the same number of slices at another spacing
@given(st.tuples(*[st.floats(0.4, 3)] * 3), st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 2.0])] * 3))
def test_resampling_keeps_every_point_where_it_is(spacing_mm: tuple[float, float, float], target_mm: tuple[float, float, float]) -> None:
    """A ramp in millimetres is the same ramp on the new grid, away from the borders: values and affine move together.

    An average over the area of whole voxels is at most an eighth of a voxel off.
    """
    affine = np.diag([spacing_mm[2], spacing_mm[1], spacing_mm[0], 1.0])
    affine[:3, 3] = (5, -7, 11)
    volume = a_ramp((16, 18, 20), spacing_mm, affine)
    resampled = resample_volume(volume, spacing_mm, target_mm)
    expected = a_ramp(resampled.shape, target_mm, resampled_affine(affine, spacing_mm, target_mm))
    margins = [int(np.ceil(3 * max(1, old / new))) for old, new in zip(spacing_mm, target_mm, strict=True)]
    inner = tuple(slice(margin, size - margin) for size, margin in zip(resampled.shape, margins, strict=True))
    np.testing.assert_allclose(resampled[inner], expected[inner], atol=float(np.dot(spacing_mm, (3, 2, 1))) / 8 + 1e-2)


def test_ct_is_clipped_rounded_and_on_the_target_grid() -> None:
    """Integers are rounded once, never cut off toward zero."""
    volume = np.full((4, 6, 8), -12.75, np.float32)
    volume[0, 0, 0] = 9999
    made = harmonize(Acquired(volume, "CT", "p", (2.0, 1.0, 1.0), np.diag([1.0, 1, 2, 1])), SETTINGS)
    assert made.pixels.dtype == np.int16
    assert made.pixels.shape == (4, 6, 8)
    assert made.pixels[0, 0, 0] == 3071
    assert made.pixels[1, 1, 1] == -13
    assert (made.value_unit, made.suffix, made.spacing_mm) == ("HU", ".nii.gz", (2.0, 1.0, 1.0))


def test_mr_is_turned_to_ras_with_its_affine() -> None:
    """Every voxel keeps its place in the patient; the axes then point right, front, up."""
    affine = np.array([[0.0, 0, -3, 10], [-2, 0, 0, 20], [0, -1, 0, 30], [0, 0, 0, 1]])
    volume = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    turned, moved = reorient_to_ras(volume, affine)
    assert (np.diag(moved)[:3] > 0).all()
    where = np.argwhere(turned == volume[1, 2, 3])[0][::-1]
    np.testing.assert_allclose(moved @ [*where, 1], affine @ [3, 2, 1, 1])


def test_robust_z_has_its_worked_value() -> None:
    """The docstring's example, and no answer for a volume without contrast."""
    z = robust_z(np.array([0, 0, 0, 0, 0, 2, 3, 4, 5, 6], np.float32).reshape(1, 1, 10), 10)
    assert z[0, 0, -1] == pytest.approx(1.5 / (0.7413 * 1.5), abs=1e-4)
    with pytest.raises(ImageError, match="CONSTANT"):
        robust_z(np.ones((2, 2, 2), np.float32), 10)


@given(st.floats(0.1, 50), st.floats(-100, 100))
def test_robust_z_does_not_know_the_scanner_s_scale(scale: float, offset: float) -> None:
    """Any gain and offset of the scanner give the same volume."""
    volume = np.random.default_rng(0).gamma(2, 100, (4, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(robust_z(volume * np.float32(scale) + np.float32(offset), 10), robust_z(volume, 10), atol=2e-2)


@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, "8-bit"), (np.uint16, "16-bit"), (np.float32, "16-bit")])
def test_gray_images_keep_their_depth_and_aspect(dtype: Any, unit: str) -> None:
    """Longest side 32; the spacing grows as the image shrinks."""
    made = harmonize(Acquired(np.full((100, 50), 200, dtype), "DX", "p", (0.5, 0.5)), SETTINGS)
    assert made.pixels.shape == (32, 16)
    assert (made.pixels == 200).all()
    assert (made.value_unit, made.suffix) == (unit, ".png")
    assert made.spacing_mm == pytest.approx((0.5 * 100 / 32, 0.5 * 50 / 16))


def test_colour_images_become_rgb_of_the_target_size() -> None:
    """Also from gray; deeper values are refused."""
    assert harmonize(Acquired(np.zeros((20, 40), np.uint8), "XC", "p"), SETTINGS).pixels.shape == (8, 16, 3)
    with pytest.raises(ImageError, match="DTYPE"):
        harmonize(Acquired(np.zeros((20, 40), np.uint16), "XC", "p"), SETTINGS)


def test_a_volume_without_place_and_an_unknown_modality_are_refused() -> None:
    """Codes say why."""
    with pytest.raises(ImageError, match="ORIENTATION_UNKNOWN"):
        harmonize(Acquired(np.zeros((4, 5, 6), np.int16), "CT", "p"), SETTINGS)
    with pytest.raises(ImageError, match="MODALITY"):
        harmonize(Acquired(np.zeros((5, 6), np.uint8), "SR", "p"), SETTINGS)
    with pytest.raises(ImageError, match="RANGE"):
        harmonize(Acquired(np.full((5, 6), -1, np.int16), "DX", "p"), SETTINGS)


def test_the_hash_of_the_recipe_knows_only_its_own_family() -> None:
    """Another MR setting makes MR again, not CT."""
    other = HarmonizeSettings(mr=MrSettings(clip_z=5))
    assert recipe_sha256("mr", other) != recipe_sha256("mr", HarmonizeSettings())
    assert recipe_sha256("ct", other) == recipe_sha256("ct", HarmonizeSettings())
