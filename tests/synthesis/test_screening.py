"""A round of candidates goes through every screen, and each says what it is worth."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from curation.errors import UsageError
from curation.pixels import Pixels
from synthesis.recipe import ScreenSettings
from synthesis.screening import Shown, screen
from synthesis.screens.planting import COPY_KINDS, plant_artefacts
from tests.synthesis.builders import CLASSES, a_phantom, embed_phantoms


def shown(first: int, last: int, classes: tuple[str, ...] = CLASSES) -> Shown:
    """Return phantoms of some patients of each class."""
    named = [(label, number) for label in classes for number in range(first, last)]
    names = [f"{label} {number}" for label, number in named]
    return Shown([a_phantom(label, number, 32) for label, number in named], [{"label": label} for label, _ in named], names, names)


TRAIN, HELD_OUT = shown(0, 24), shown(100, 112)
FRESH = shown(200, 210, ("disc",))


def drawn(images: list[Pixels], groups: list[str] | None = None) -> Shown:
    """Return images as candidates for discs of two sites."""
    asked = [{"label": "disc", "site": "north" if place % 2 else "south"} for place in range(len(images))]
    return Shown(images, asked, [f"synthetic {place}" for place in range(len(images))] if groups is None else groups)


def screened(candidates: Shown, **changes: Any) -> tuple[list[dict[str, Any]], Any]:
    """Screen with few planted copies."""
    return screen(TRAIN, HELD_OUT, candidates, embed_phantoms, ScreenSettings(**{"planted_images": 6, "least_power": 0.5, **changes}))


def test_a_copy_is_stopped_and_a_fresh_image_is_not() -> None:
    """Three copies of train discs among ten discs of unseen patients; the row names the copied image and the screen's worth."""
    results, power = screened(drawn([*FRESH.images, *TRAIN.images[:3]]))
    stopped = [not result["memorization"]["passed"] for result in results]
    assert all(stopped[10:])
    assert sum(stopped[:10]) <= 2
    assert [result["memorization"]["nearest"] for result in results[10:]] == list(TRAIN.image_ids[:3])
    own = results[0]["memorization"]
    assert own["power"] == own["power_class"] == power.power > 0.5
    assert own["power_class_low"] < own["power_class"]
    assert set(power.power_by_kind) == set(power.memorization[0].by_kind)
    assert power.agreement_by_condition["site=north"].of == 6
    assert json.loads(json.dumps(asdict(power)))["memorization"][0]["label"] == "disc"


def test_an_edited_image_is_not_its_parents_copy() -> None:
    """It is made from its parent openly: it is measured against every other patient; without the parent's name it is a copy."""
    edited = [TRAIN.images[0]]
    assert not screened(drawn(edited))[0][0]["memorization"]["passed"]
    assert screened(drawn(edited, [TRAIN.groups[0]]))[0][0]["memorization"]["passed"]


def test_images_of_different_shapes_are_screened_as_they_are() -> None:
    """A margin above or beside every other image: copies are found all the same, planted ones too."""

    def padded(part: Shown) -> Shown:
        width = [((4, 4), (0, 0), (0, 0)) if place % 2 else ((0, 0), (4, 4), (0, 0)) for place in range(len(part.images))]
        return part._replace(images=[np.pad(image, own, mode="reflect") for image, own in zip(part.images, width, strict=True)])

    asked = padded(drawn([*FRESH.images[:4], *TRAIN.images[:2]]))
    results, power = screen(padded(TRAIN), padded(HELD_OUT), asked, embed_phantoms, ScreenSettings(planted_images=6, least_power=0.5))
    assert not any(result["memorization"]["passed"] for result in results[4:])
    assert power.power > 0.5
    assert set(power.power_by_kind) == set(COPY_KINDS)


def test_a_screen_of_unknown_power_lets_nobody_pass() -> None:
    """Nothing was planted: the images may be fresh, but nobody knows."""
    results, power = screened(drawn(list(FRESH.images[:2])), planted_images=0, least_power=0.8)
    assert [result["memorization"]["passed"] for result in results] == [False, False]
    assert not any(result["memorization"]["is_near_copy"] for result in results)
    assert (power.power, results[0]["memorization"]["power_class"], power.shortcut_power) == (None, None, None)


def test_a_blunt_screen_lets_nobody_pass() -> None:
    """Every train image lies there twice, under two patients: so alike are patients then that turned copies are missed, and the power says so."""
    twins = TRAIN._replace(
        images=[*TRAIN.images, *TRAIN.images],
        conditions=[*TRAIN.conditions, *TRAIN.conditions],
        groups=[*TRAIN.groups, *(f"twin of {group}" for group in TRAIN.groups)],
        image_ids=[*TRAIN.image_ids, *(f"twin of {image_id}" for image_id in TRAIN.image_ids)],
    )
    settings = ScreenSettings(planted_images=6, least_power=0.95)
    results, power = screen(twins, HELD_OUT, drawn(list(FRESH.images[:2])), embed_phantoms, settings)
    assert power.power < 0.95
    assert [(result["memorization"]["passed"], result["memorization"]["is_near_copy"]) for result in results] == [(False, False)] * 2


def test_a_source_that_can_be_told_is_shown_and_stops_when_the_recipe_says_so() -> None:
    """Framed images of unseen patients: the border names itself, the recipe decides."""
    framed = drawn(plant_artefacts(FRESH.images)["frame"])
    told, power = screened(framed, planted_images=12)
    assert [(result["shortcut"]["passed"], result["shortcut"]["is_told_apart"]) for result in told] == [(True, True)] * 10
    assert "border" in power.shortcut[0].reasons
    assert power.shortcut_power.by_kind["frame"].share == 1.0
    stopped, _ = screened(framed, shortcut_stops=True)
    assert not any(result["shortcut"]["passed"] for result in stopped)


def test_a_class_without_a_train_image_is_refused() -> None:
    """There is nothing to compare it with."""
    strange = Shown([np.zeros((32, 32, 3), np.uint8)], [{"label": "unheard of"}], ["one"])
    with pytest.raises(UsageError, match="unheard of"):
        screened(strange)
