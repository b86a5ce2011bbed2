"""Intensity scales of MR: foreground, Nyúl, WhiteStripe, N4."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import ImageError, UsageError
from curation.harmonize.foreground import find_foreground, otsu_threshold
from curation.harmonize.mr import harmonize_mr
from curation.harmonize.n4 import correct_bias
from curation.harmonize.nyul import PERCENTILES, apply_nyul, fit_nyul, landmarks_of
from curation.harmonize.white_stripe import apply_white_stripe, find_peak
from curation.harmonize.zscore import robust_z, spread_min_max
from curation.recipe import MrSettings

MM = (2.0, 2.0, 2.0)


def a_head(seed: int = 0, gain: float = 1.0, gamma: float = 1.0) -> np.ndarray:
    """Return a `(28, 40, 40)` head: air, a bright scalp, a dark skull, gray and white matter, in a scanner's units."""
    rng = np.random.default_rng(seed)
    d, h, w = np.indices((28, 40, 40))
    radius = np.sqrt(((d - 14) / 13) ** 2 + ((h - 20) / 18) ** 2 + ((w - 20) / 18) ** 2)
    tissue = np.select([radius < 0.4, radius < 0.72, radius < 0.84, radius < 1], [0.9, 0.55, 0.05, 0.8], 0.0)
    return (gain * (tissue**gamma + rng.normal(0, 0.02, tissue.shape))).astype(np.float32)


def test_otsu_has_its_worked_value() -> None:
    """The docstring's example."""
    assert otsu_threshold(np.array([0, 0, 0, 1, 9, 9, 10, 10.0]), bins=10) == pytest.approx(2.0)


def test_foregrounds_are_what_their_names_say() -> None:
    """The body has no holes; the brain has neither scalp nor skull."""
    head = a_head()
    body, brain = find_foreground(head, "body", MM), find_foreground(head, "brain", MM)
    assert body[14, 20, 20]
    assert body[14, 20, 20 + 14]
    assert not body[0, 0, 0]
    assert brain[14, 20, 20]
    assert brain[14, 20, 31]
    assert not brain[14, 20, 36:].any()
    with pytest.raises(ImageError, match="CONSTANT"):
        find_foreground(np.ones((3, 3, 3), np.float32), "mean", MM)


def test_nyul_has_its_worked_value() -> None:
    """The docstring's example; without a volume there is nothing to fit."""
    points = fit_nyul([np.arange(11.0), 2 * np.arange(11.0)])
    assert points == tuple(zip(PERCENTILES, [1.5 * n for n in range(11)], strict=True))
    with pytest.raises(UsageError):
        fit_nyul([])


def test_nyul_brings_two_contrasts_together() -> None:
    """A scanner with another gamma: tissues lie apart on the z scale, together on Nyúl's."""
    volumes = [a_head(0), a_head(1, gain=300, gamma=1.6)]
    masks = [find_foreground(volume, "body", MM) for volume in volumes]
    scaled = [robust_z(volume, 100, mask) for volume, mask in zip(volumes, masks, strict=True)]
    points = fit_nyul(landmarks_of(z[mask]) for z, mask in zip(scaled, masks, strict=True))
    made = [apply_nyul(z, z[mask], points) for z, mask in zip(scaled, masks, strict=True)]

    def apart(pair: list[np.ndarray]) -> float:
        quantiles = [np.percentile(volume[mask], (15, 45, 75, 95)) for volume, mask in zip(pair, masks, strict=True)]
        return float(np.abs(quantiles[0] - quantiles[1]).mean())

    assert apart(made) < 0.35 * apart(scaled)


@given(st.floats(0.1, 50), st.floats(-100, 100))
def test_nyul_does_not_know_the_scanner_s_gain(gain: float, offset: float) -> None:
    """Any gain and offset give the same volume, and the order of values stays."""
    values = np.random.default_rng(0).gamma(2, 100, 4000).astype(np.float32)
    points = fit_nyul([landmarks_of(values), landmarks_of(values**1.1)])
    made = apply_nyul(values, values, points)
    np.testing.assert_allclose(apply_nyul(values * gain + offset, values * gain + offset, points), made, rtol=1e-2, atol=1.0)
    assert (np.diff(made[np.argsort(values)]) >= -1e-3).all()


def test_white_stripe_has_its_worked_value() -> None:
    """The docstring's example; the largest peak is another one; a flat histogram has none."""
    brain = np.concatenate([np.linspace(0, 1, 600), np.linspace(9.9, 10.1, 400)])
    assert apply_white_stripe(np.array([10.0]), brain, "last")[0] == pytest.approx(0, abs=0.5)
    assert find_peak(np.concatenate([brain, np.full(900, 0.5)]), "largest") == pytest.approx(0.5, abs=0.3)
    with pytest.raises(ImageError, match="WHITE_STRIPE"):
        apply_white_stripe(np.ones(5), np.ones(100), "last")


def test_white_matter_is_zero_on_any_scanner() -> None:
    """Two gains, one scale: the centre of the head is white matter, at 0 within two deviations of its noise."""
    for gain in (1.0, 700.0):
        head = a_head(3, gain)
        made = apply_white_stripe(head, head[find_foreground(head, "brain", MM)], "last")
        assert abs(float(np.median(made[13:16, 18:23, 18:23]))) < 2


def test_n4_flattens_a_shading() -> None:
    """A coil that makes one side twice as bright: most of it goes."""
    head = a_head(4, gain=500)
    shading = np.linspace(0.7, 1.4, 40, dtype=np.float32)
    made = correct_bias(head * shading, MM, 2)

    def slope(volume: np.ndarray) -> float:
        left, right = np.median(volume[12:17, 18:23, 9:12]), np.median(volume[12:17, 18:23, 28:31])
        return abs(float(right / left) - 1)

    assert slope(made) < 0.5 * slope(head * shading)
    with pytest.raises(ImageError, match="BIAS_FIELD"):
        correct_bias(head[:2], MM, 2)


def test_min_max_has_its_worked_value() -> None:
    """The docstring's example."""
    np.testing.assert_allclose(spread_min_max(np.array([0.0, 5, 10])), [-3, 1, 5])
    with pytest.raises(ImageError, match="CONSTANT"):
        spread_min_max(np.ones(4))


@pytest.mark.parametrize("intensity", ["robust_z", "white_stripe", "min_max", "nyul"])
def test_every_scale_of_the_recipe_gives_a_volume(intensity: str) -> None:
    """Same grid, float32, no value beyond the clip."""
    settings = MrSettings.model_validate({"intensity": intensity, "foreground": "brain", "clip_z": 8, "nyul": [[1, -2], [50, 0], [99, 2]]})
    made, spacing_mm, _ = harmonize_mr(a_head(), np.diag([2.0, 2, 2, 1]), settings)
    assert (made.shape, made.dtype, spacing_mm) == ((28, 40, 40), np.float32, MM)
    assert np.abs(made).max() <= 8


def test_nyul_without_landmarks_is_no_recipe() -> None:
    """The message names the command that makes them."""
    with pytest.raises(ValueError, match="harmonize --fit"):
        MrSettings(intensity="nyul")
