"""X-rays and CT windows: borders, local contrast, HU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.harmonize.clahe import equalize_locally
from curation.harmonize.crop import Box, find_box
from curation.harmonize.recipes import harmonize, recipe_sha256
from curation.harmonize.resample import resample_volume
from curation.harmonize.windows import check_hu, window_range
from curation.recipe import CtSettings, HarmonizeSettings, XraySettings


def an_xray(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, frame: float = 0.0) -> np.ndarray:
    """Return a `(100, 80)` uint8 chest with a frame of one value."""
    image = np.random.default_rng(0).integers(60, 220, (100, 80)).astype(np.uint8)
    image[:top] = frame
    image[100 - bottom :] = frame
    image[:, :left] = frame
    image[:, 80 - right :] = frame
    return image


@given(st.integers(0, 18), st.integers(0, 18), st.integers(0, 14), st.integers(0, 14), st.sampled_from([0, 255]))
def test_a_frame_of_one_value_is_cut_off_to_the_line(top: int, bottom: int, left: int, right: int, frame: int) -> None:
    """Black or white, on any side; an image without a frame stays whole."""
    assert find_box(an_xray(top, bottom, left, right, frame), "border") == Box(top, 100 - bottom, left, 80 - right)


def test_collimation_goes_when_asked_for() -> None:
    """Dark but noisy lines are no frame of one value; `collimation` cuts them off."""
    image = an_xray()
    image[:12] = np.random.default_rng(1).integers(0, 8, (12, 80))
    assert find_box(image, "border") == Box(0, 100, 0, 80)
    assert find_box(image, "collimation") == Box(12, 100, 0, 80)


def test_an_image_that_would_lose_too_much_stays() -> None:
    """A dark image is not all collimator."""
    image = an_xray(top=60)
    assert find_box(image, "border") == Box(0, 100, 0, 80)
    assert find_box(np.zeros((10, 10), np.uint8), "border") == Box(0, 10, 0, 10)


def test_a_label_map_is_cropped_with_its_image() -> None:
    """The marked place keeps its mark, and the spacing is that of the part that is left."""
    image, mask = an_xray(top=20), np.zeros((100, 80), np.uint8)
    mask[20:40, :20] = 1
    settings = HarmonizeSettings(xray=XraySettings(size_px=40, crop="border"))
    made = harmonize(Acquired(image, "DX", "p", (1.0, 1.0), label_map=mask), settings)
    assert made.pixels.shape == (40, 40)
    assert made.label_map is not None
    assert made.label_map[:10, :10].all()
    assert made.label_map.sum() == 100
    assert made.spacing_mm == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_clahe_draws_out_local_contrast(dtype: type) -> None:
    """A faint pattern becomes stronger; type and shape stay."""
    image = (100 + 4 * (np.indices((64, 64)).sum(0) % 2)).astype(dtype)
    made = equalize_locally(image, 40.0)
    assert (made.dtype, made.shape) == (image.dtype, image.shape)
    assert made.std() > image.std()


def test_windows_have_their_worked_values() -> None:
    """The docstring's example."""
    assert window_range("brain") == (0.0, 80.0)


def test_a_window_of_the_recipe_clips_the_volume() -> None:
    """HU stay HU."""
    volume = np.linspace(-1000, 1000, 60).reshape(3, 4, 5)
    made = harmonize(Acquired(volume, "CT", "p", (1.0, 1.0, 1.0), np.eye(4)), HarmonizeSettings(ct=CtSettings(window="brain")))
    assert (made.pixels.min(), made.pixels.max(), made.value_unit) == (0, 80, "HU")


def test_a_ct_is_turned_to_ras_on_request_with_its_label_map() -> None:
    """A volume whose columns run to the left: the marked corner keeps its place in the patient."""
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    volume, mask = np.full((3, 4, 5), -1000.0), np.zeros((3, 4, 5), np.uint8)
    volume[0, 0, 0], mask[0, 0, 0] = 500, 7
    made = harmonize(
        Acquired(volume, "CT", "p", (2.0, 1.0, 1.0), affine, label_map=mask), HarmonizeSettings(ct=CtSettings(spacing_mm=(2, 1, 1), orientation="ras"))
    )
    assert made.affine is not None
    assert (np.diag(made.affine)[:3] > 0).all()
    assert made.pixels[0, 3, 4] == 500
    assert made.label_map is not None
    assert made.label_map[0, 3, 4] == 7
    np.testing.assert_allclose(made.affine @ [4, 3, 0, 1], affine @ [0, 0, 0, 1])


@pytest.mark.parametrize("values", [(0.0, 4095.0), (-9000.0, 100.0), (float("nan"), 1.0)])
def test_values_that_are_no_hounsfield_units_are_refused_on_request(values: tuple[float, float]) -> None:
    """No air, beyond what a CT stores, no number."""
    with pytest.raises(ImageError, match="VALUE_RANGE"):
        check_hu(np.array(values))
    check_hu(np.array([-1000.0, 3000.0]))


def test_cubic_is_sharper_than_linear_and_never_used_downwards() -> None:
    """An edge overshoots upwards; downwards both average areas."""
    edge = np.zeros((4, 4, 8), np.float32)
    edge[..., 4:] = 100
    linear, cubic = (resample_volume(edge, (1, 1, 2), (1, 1, 0.5), kind) for kind in ("linear", "cubic"))
    assert linear.max() <= 100
    assert cubic.max() > 100
    np.testing.assert_array_equal(resample_volume(edge, (1, 1, 0.5), (1, 1, 1), "cubic"), resample_volume(edge, (1, 1, 0.5), (1, 1, 1)))
    settings = CtSettings(spacing_mm=(1, 1, 0.5), upsampling="cubic", clip_hu=(0, 100))
    made = harmonize(Acquired(edge, "CT", "p", (1.0, 1.0, 2.0), np.diag([2.0, 1, 1, 1])), HarmonizeSettings(ct=settings))
    assert made.pixels.max() == 100


def test_new_keys_at_their_defaults_make_nothing_again() -> None:
    """The hashes of settings as they were before these keys; a key that is set changes its own family only."""
    assert CtSettings().sha256().startswith("e0c431c0d93c")
    assert XraySettings().sha256().startswith("79f90207920a")
    other = HarmonizeSettings(xray=XraySettings(clahe=2))
    assert recipe_sha256("xray", other) != recipe_sha256("xray", HarmonizeSettings())
    assert recipe_sha256("mr", other) == recipe_sha256("mr", HarmonizeSettings())
