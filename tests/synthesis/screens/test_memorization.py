"""The memorization screen catches planted near-copies and lets real images of unseen patients through."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from synthesis.screens.alignment import nearest_blend
from synthesis.screens.distances import detail, measure, standardise
from synthesis.screens.memorization import fit_memorization, measure_power
from synthesis.screens.planting import COPY_KINDS, plant_copies
from tests.synthesis.builders import a_phantom, embed_phantoms
from tests.synthesis.screens.builders import GROUPS, LABELS, SIZE, TRAIN, UNSEEN, called, features_of, the_screen

COPIED = TRAIN[:12] + TRAIN[60:72]
COPIES = plant_copies(COPIED, GROUPS[:24])
LEAST = {"turned": 0.6, "cropped 10 %": 0.7, "blended": 0.6}


@pytest.mark.parametrize("kind", COPY_KINDS)
def test_planted_copies_are_caught(kind: str) -> None:
    """Nearly all of what leaves the pixels in place; most crops, turned copies and mixes of two patients."""
    screen, images = the_screen(), COPIES[kind]
    assert (called(screen, images[:12], "disc") + called(screen, images[12:], "stripes")) / 2 >= LEAST.get(kind, 0.9)


def test_real_images_of_unseen_patients_are_let_through() -> None:
    """About the quantile: 5 % of 120, and room for three standard errors of the null and of the count."""
    shares = [called(the_screen(), UNSEEN[:60], "disc"), called(the_screen(), UNSEEN[60:], "stripes")]
    assert np.mean(shares) <= 0.05 + 3 * np.sqrt(2 * 0.05 * 0.95 / 120)


def test_a_larger_quantile_calls_more() -> None:
    """The recipe's number means something."""
    assert called(the_screen(0.5), UNSEEN[:60], "disc") > called(the_screen(0.05), UNSEEN[:60], "disc")


def test_the_quantile_is_that_of_the_null() -> None:
    """Of the train images themselves, each measured against the other patients, 10 % of a class lie under its threshold when the quantile is 10 %."""
    screen = the_screen(0.1)
    close = measure(TRAIN, features_of(TRAIN), screen.references, GROUPS).distances
    scores = (close / screen.scales).min(axis=1)
    assert (scores[:60] < screen.thresholds["disc"] - 1e-6).sum() in (4, 5)  # two images may be each other's nearest


def test_a_small_class_is_never_judged_more_harshly_than_all() -> None:
    """Nine images have no 5 % quantile: the class takes its smallest score, or the threshold of all classes where that is lower."""
    few = [*TRAIN[:9], *TRAIN[60:]]
    groups = GROUPS[: len(few)]
    screen = fit_memorization(few, features_of(few), groups, ["disc"] * 9 + ["stripes"] * 60, 0.05)
    scores = (measure(few, features_of(few), screen.references, groups).distances / screen.scales).min(axis=1)
    assert screen.thresholds["disc"] == pytest.approx(min(float(scores[:9].min()), screen.thresholds[""]))
    judged = screen.judge(few[:1], features_of(few[:1]), ["disc"])[0]
    assert judged["pixel_threshold"] == pytest.approx(max(0.05, float(screen.scales[1] * screen.thresholds["disc"])), rel=1e-4)


def test_a_patient_is_not_compared_with_itself() -> None:
    """Two equal images of one patient do not shrink the threshold; of two patients they do, down to the floor at most."""
    twice, labels = TRAIN[:40] * 2, LABELS[:40] * 2
    features = embed_phantoms(twice)
    alone = fit_memorization(TRAIN[:40], features[:40], GROUPS[:40], LABELS[:40], 0.05)
    together = fit_memorization(twice, features, GROUPS[:40] * 2, labels, 0.05)
    assert together.scales == pytest.approx(alone.scales, rel=0.35)
    apart = fit_memorization(twice, features, [str(number) for number in range(80)], labels, 0.05)
    assert apart.scales[1] == pytest.approx(0.05)
    assert called(apart, TRAIN[:40], "disc") == 1.0


def test_the_nearest_train_image_is_named() -> None:
    """A copy points at what it was copied from, a turned one too."""
    for kind in ("noisy", "cropped 5 %"):
        copies = plant_copies(TRAIN[5:9], GROUPS[5:9])[kind]
        assert [result["nearest"] for result in the_screen().judge(copies, embed_phantoms(copies), ["disc"] * 4)] == [5, 6, 7, 8]


def test_a_crop_is_seen_by_its_part() -> None:
    """Under more thresholds of the aligned distance than of the pixel distance."""
    found = the_screen().judge(COPIES["cropped 10 %"][:12], features_of(COPIES["cropped 10 %"][:12]), ["disc"] * 12)
    aligned, pixel = (np.mean([one[f"{name}_distance"] < one[f"{name}_threshold"] for one in found]) for name in ("aligned", "pixel"))
    assert aligned > pixel


def test_a_mix_of_two_images_is_explained_by_them() -> None:
    """Half of each: nothing is left. One image alone is no mix, and an unrelated one is not explained."""
    random = np.random.default_rng(0)
    textures = [cv2.GaussianBlur(random.integers(0, 255, (32, 32)).astype(np.uint8), (0, 0), 1.0) for _ in range(8)]
    bands = np.stack([detail(texture) for texture in textures])
    mixed = detail(((textures[2].astype(int) + textures[5]) // 2).astype(np.uint8))
    distance, nearest = nearest_blend(mixed, bands)
    assert distance < 0.02
    assert nearest in (2, 5)
    assert nearest_blend(mixed, np.delete(bands, (2, 5), axis=0))[0] > 0.5
    assert nearest_blend(mixed, bands[:1])[0] == np.inf


def test_standardised_pixels_do_not_see_brightness_and_contrast() -> None:
    """The distance of an image to a brighter, flatter self is near 0; of unrelated noise near sqrt(2)."""
    image = TRAIN[0]
    changed = np.clip(0.8 * image.astype(np.float32) + 20, 0, 255).astype(np.uint8)
    random = np.random.default_rng(0)
    one, other = (standardise(random.integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)) for _ in range(2))
    assert np.sqrt(np.mean((standardise(image) - standardise(changed)) ** 2)) < 0.05
    assert np.sqrt(np.mean((one - other) ** 2)) == pytest.approx(np.sqrt(2), abs=0.1)


def test_a_flat_candidate_is_no_error() -> None:
    """A black image has no contrast to divide by, and is nobody's copy."""
    judged = the_screen().judge([np.zeros((SIZE, SIZE, 3), np.uint8)], np.zeros((1, features_of(TRAIN[:1]).shape[1]), np.float32), ["disc"])
    assert judged[0]["passed"]


def test_power_is_counted_by_kind_with_its_interval() -> None:
    """Copies are counted, val patients beside them; without copies the power is unknown, not zero."""
    copies = {kind: (images[:12], features_of(images[:12])) for kind, images in COPIES.items() if kind in ("copy", "noisy")}
    power = measure_power(the_screen(), "disc", copies, (UNSEEN[:60], features_of(UNSEEN[:60])))
    assert power is not None
    assert (power.all_kinds.of, power.by_kind["copy"].share, power.threshold) == (24, 1.0, round(the_screen().thresholds["disc"], 4))
    assert power.all_kinds.low < power.all_kinds.share <= power.all_kinds.high
    assert power.false_alarms is not None
    assert power.false_alarms.of == 60
    assert measure_power(the_screen(), "disc", {}, ([], features_of(TRAIN[:1])[:0])) is None


def test_power_can_be_low() -> None:
    """Real images of unseen patients, offered as planted copies, are hardly caught: the count says so."""
    power = measure_power(the_screen(), "disc", {"no copies": (UNSEEN[:30], features_of(UNSEEN[:30]))}, (UNSEEN[:2], features_of(UNSEEN[:2])))
    assert power is not None
    assert power.all_kinds.share < 0.3


def test_gray_images_are_compared_too() -> None:
    """X-rays have one channel."""
    gray = [a_phantom("disc", number, SIZE, channels=1) for number in range(30)]
    features = np.stack([image.reshape(-1) for image in gray]).astype(np.float32)
    screen = fit_memorization(gray, features, [str(number) for number in range(30)], ["disc"] * 30, 0.05)
    assert screen.called(gray[:5], features[:5], "disc") == [True] * 5
