"""Each screen catches what it is there for, and lets real images of unseen patients through."""

from __future__ import annotations

import numpy as np
import pytest

from curation.pixels import Pixels
from synthesis.screens import MemorizationScreen, fit_agreement, fit_memorization, nearest_by_pixel, plant_copies, standardise
from tests.synthesis.builders import CLASSES, a_phantom, embed_phantoms

SIZE = 32
TRAIN = [a_phantom(label, number, SIZE) for label in CLASSES for number in range(60)]
UNSEEN = [a_phantom(label, number, SIZE) for label in CLASSES for number in range(100, 160)]
LABELS = [label for label in CLASSES for _ in range(60)]


def the_screen(quantile: float = 0.05) -> MemorizationScreen:
    """Return the memorization screen of the train phantoms, one image a patient."""
    return fit_memorization(TRAIN, embed_phantoms(TRAIN), [f"patient {number}" for number in range(len(TRAIN))], quantile)


def flagged(screen: MemorizationScreen, images: list[Pixels]) -> float:
    """Return the share of images that are called near-copies."""
    return screen.flagged(images, embed_phantoms(images))


@pytest.mark.parametrize("kind", ["copy", "mirrored", "brighter", "flatter", "noisy"])
def test_planted_copies_are_caught(kind: str) -> None:
    """Copies, mirror images, small changes of intensity and noise: nearly all."""
    assert flagged(the_screen(), plant_copies(TRAIN)[kind]) >= 0.95


def test_real_images_of_unseen_patients_are_let_through() -> None:
    """At most about the quantile: 5 % of 120, and room for three standard errors."""
    assert flagged(the_screen(), UNSEEN) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_a_larger_quantile_calls_more() -> None:
    """The recipe's number means something."""
    assert flagged(the_screen(0.5), UNSEEN) > flagged(the_screen(0.05), UNSEEN)


def test_each_distance_gets_half_of_the_quantile() -> None:
    """Of the train images themselves, each measured against the other patients, 5 % lie at or below either threshold when the quantile is 10 %."""
    screen, features = the_screen(0.1), embed_phantoms(TRAIN)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    near = np.where(np.eye(len(TRAIN), dtype=bool), np.inf, 1 - unit @ unit.T).min(axis=1)
    assert (near < screen.feature_threshold - 1e-6).sum() == int(0.05 * (len(TRAIN) - 1))
    assert (near < screen.feature_threshold + 1e-6).sum() in (6, 7)  # two images may be each other's nearest


def test_a_patient_is_not_compared_with_itself() -> None:
    """Two equal images of one patient do not shrink the threshold; of two patients they do, down to the floor at most."""
    twice = TRAIN + TRAIN
    features, own = embed_phantoms(twice), [f"patient {number}" for number in range(len(TRAIN))] * 2
    assert fit_memorization(twice, features, own, 0.05).pixel_threshold == pytest.approx(the_screen().pixel_threshold, rel=0.2)
    apart = fit_memorization(twice, features, [str(number) for number in range(len(twice))], 0.05)
    assert 0 < apart.pixel_threshold < 0.1
    assert flagged(apart, TRAIN) == 1.0


def test_the_nearest_train_image_is_named() -> None:
    """A copy points at what it was copied from."""
    copies = plant_copies(TRAIN[5:9])["noisy"]
    assert [result["nearest"] for result in the_screen().judge(copies, embed_phantoms(copies))] == [5, 6, 7, 8]


def test_standardised_pixels_do_not_see_brightness_and_contrast() -> None:
    """The distance of an image to a brighter, flatter self is near 0; of unrelated noise near sqrt(2)."""
    image = TRAIN[0]
    changed = np.clip(0.8 * image.astype(np.float32) + 20, 0, 255).astype(np.uint8)
    random = np.random.default_rng(0)
    noise = [random.integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8) for _ in range(2)]
    assert nearest_by_pixel([changed], standardise(image)[None])[0].distance < 0.05
    assert nearest_by_pixel([noise[0]], standardise(noise[1])[None])[0].distance == pytest.approx(np.sqrt(2), abs=0.1)


def test_a_flat_image_is_no_error() -> None:
    """A black candidate has no contrast to divide by."""
    assert np.isfinite(standardise(np.zeros((16, 16), np.uint8))).all()


def test_a_candidate_of_another_class_is_caught() -> None:
    """Real unseen stripes offered as discs are stopped, real unseen discs pass."""
    screen, features = fit_agreement(embed_phantoms(TRAIN), LABELS), embed_phantoms(UNSEEN)
    probabilities = screen.probability(features, ["disc"] * len(UNSEEN))
    assert (probabilities[:60] >= 0.2).mean() >= 0.9
    assert (probabilities[60:] < 0.2).mean() >= 0.9


def test_probabilities_of_all_classes_add_up() -> None:
    """The wanted class is looked up by name."""
    screen, features = fit_agreement(embed_phantoms(TRAIN), LABELS), embed_phantoms(UNSEEN)
    both = [screen.probability(features, [label] * len(UNSEEN)) for label in CLASSES]
    assert np.allclose(sum(both), 1)
