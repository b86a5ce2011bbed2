"""The recipe of synthesis: what follows from the task."""

from __future__ import annotations

import pytest

from synthesis.recipe import GeneratorSettings, SynthesisSettings


@pytest.mark.parametrize(("task", "flips"), [("colour-2d", ("horizontal",)), ("xray-2d", ()), ("ct-3d", ())])
def test_nothing_but_colour_is_mirrored_unasked(task: str, flips: tuple[str, ...]) -> None:
    """A mirrored chest has its heart on the right; whether the generator's table is there or not."""
    for recipe in ({}, {"generator": {"size_px": 64}}, {"generator": GeneratorSettings(size_px=64)}):
        assert SynthesisSettings.model_validate({"task": task, **recipe}).generator.flips == flips


def test_the_recipe_may_ask_for_mirrored_x_rays() -> None:
    """Knees have two sides that look alike."""
    for generator in ({"flips": ["horizontal"]}, GeneratorSettings(flips=("horizontal",))):
        assert SynthesisSettings.model_validate({"task": "xray-2d", "generator": generator}).generator.flips == ("horizontal",)
