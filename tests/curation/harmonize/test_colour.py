"""Colour images: lamps and stains."""

from __future__ import annotations

import numpy as np
import pytest

from curation.errors import ImageError, UsageError
from curation.harmonize.colour import harmonize_colour
from curation.harmonize.constancy import shades_of_gray
from curation.harmonize.stain_macenko import LIGHT, REFERENCE, Stains, apply_macenko, average_stains, fit_stains
from curation.harmonize.stain_reinhard import apply_reinhard, average_tones, fit_tone, from_lab, to_lab
from curation.recipe import ColourSettings


def a_slide(stains: Stains = REFERENCE, seed: int = 0) -> np.ndarray:
    """Return a `(96, 96, 3)` uint8 section: nuclei in haematoxylin, the rest in eosin, a margin of glass."""
    rng = np.random.default_rng(seed)
    blue = rng.gamma(1.2, 0.4, (96, 96))
    pink = rng.gamma(2.0, 0.25, (96, 96))
    amounts = np.stack([blue, pink]) * (stains.strengths / REFERENCE.strengths)[:, None, None]
    amounts[:, :, :10] = 0
    density = np.einsum("cs,shw->hwc", stains.vectors, amounts)
    return np.clip(LIGHT * np.exp(-density) - 1, 0, 255).astype(np.uint8)


OTHER_LAB = Stains(
    np.array([[0.65, 0.30], [0.70, 0.85], [0.29, 0.43]]) / np.linalg.norm([[0.65, 0.30], [0.70, 0.85], [0.29, 0.43]], axis=0), np.array([1.2, 1.6])
)


def test_shades_of_gray_has_its_worked_value() -> None:
    """The docstring's example; black stays black."""
    assert (shades_of_gray(np.full((4, 4, 3), (200, 100, 100), np.uint8)) == 141).all()
    assert (shades_of_gray(np.zeros((4, 4, 3), np.uint8)) == 0).all()


def test_two_lamps_give_one_image() -> None:
    """The same skin under a yellow and a blue lamp."""
    skin = np.random.default_rng(0).integers(60, 160, (32, 32, 3)).astype(np.float32)
    yellow, blue = ((skin * lamp).astype(np.uint8) for lamp in ((1.2, 1.0, 0.7), (0.8, 0.9, 1.3)))
    before, after = np.abs(yellow.astype(int) - blue).mean(), np.abs(shades_of_gray(yellow).astype(int) - shades_of_gray(blue)).mean()
    assert after < 0.15 * before


def test_macenko_finds_the_stains_that_were_used() -> None:
    """Each vector within a few degrees, haematoxylin first."""
    found = fit_stains(a_slide(OTHER_LAB))
    angles = np.degrees(np.arccos(np.clip((found.vectors * OTHER_LAB.vectors).sum(0), -1, 1)))
    assert (angles < 6).all()


def test_macenko_brings_another_laboratory_to_the_reference() -> None:
    """Worked value: a slide in the reference's own stains comes back; one of another laboratory comes much closer to it."""
    own, other = a_slide(), a_slide(OTHER_LAB)
    reference = fit_stains(own)
    assert np.abs(apply_macenko(own, reference).astype(int) - own).max() <= 3
    before, after = (np.abs(image.astype(int) - own).mean() for image in (other, apply_macenko(other, reference)))
    assert after < 0.4 * before


def test_an_image_without_tissue_is_refused() -> None:
    """Glass has no stain."""
    with pytest.raises(ImageError, match="NO_TISSUE"):
        apply_macenko(np.full((20, 20, 3), 240, np.uint8))


def test_reinhard_has_its_worked_values() -> None:
    """White and black in lαβ; own tone, own image; the way there and back."""
    corners = to_lab(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
    np.testing.assert_allclose(corners[0], [[-0.0022, 0.0018, 0.0002], [9.6023, 0.0018, 0.0002]], atol=1e-4)
    image = a_slide()
    assert np.abs(from_lab(to_lab(image)).astype(int) - image).max() <= 1
    assert np.abs(apply_reinhard(image, fit_tone(image)).astype(int) - image).max() <= 1


def test_reinhard_gives_the_reference_s_tone() -> None:
    """Mean and deviation of each channel are those of the reference, but for what is cut off at black and white."""
    reference, other = fit_tone(a_slide()), a_slide(OTHER_LAB)
    made = fit_tone(apply_reinhard(other, reference))
    np.testing.assert_allclose(made.mean, reference.mean, atol=0.05)
    np.testing.assert_allclose(made.deviation, reference.deviation, atol=0.05)


def test_references_are_averages_of_train_images() -> None:
    """Vectors keep length 1; nothing to average is an error."""
    average = average_stains([fit_stains(a_slide(seed=seed)) for seed in range(3)])
    np.testing.assert_allclose(np.linalg.norm(average.vectors, axis=0), 1)
    with pytest.raises(UsageError):
        average_stains([])
    with pytest.raises(UsageError):
        average_tones([])


def test_the_recipe_applies_them() -> None:
    """Each option changes the image; Reinhard without a reference is no recipe."""
    image = a_slide(OTHER_LAB)
    plain = harmonize_colour(image, ColourSettings(size_px=96))
    np.testing.assert_array_equal(plain, image)
    tone = fit_tone(a_slide())
    reference = tuple(float(number) for number in (*tone.mean, *tone.deviation))
    for settings in (
        ColourSettings(size_px=96, constancy="shades_of_gray"),
        ColourSettings(size_px=96, stain="macenko"),
        ColourSettings(size_px=96, stain="reinhard", stain_reference=reference),
    ):
        assert (harmonize_colour(image, settings) != image).any()
    with pytest.raises(ValueError, match="harmonize --fit"):
        ColourSettings(stain="reinhard")
