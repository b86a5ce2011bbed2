"""The strip from noise to image ends in the image that is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.progress import silent
from synthesis.engines.engine import Examples, Wanted
from synthesis.engines.pixel import PixelDiffusion
from synthesis.generator import load_generator
from synthesis.recipe import GeneratorSettings, SamplingSettings
from synthesis.strips import SCALE, draw_strips


def test_a_strip_begins_in_noise_and_ends_in_the_image(tmp_path: Path) -> None:
    """The last picture is the one that `sample` gives, of nine wishes as of one; there are as many as steps and noise together, here four."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (8, 16, 16)).astype(np.uint8)
    examples = Examples(images, tuple({"label": "ab"[number % 2]} for number in range(8)), tuple("abcdefgh"), tuple("abcdefgh"))
    settings, sampling = GeneratorSettings(size_px=16, channels=(8, 16), steps=2, batch_size=2), SamplingSettings(steps=3)
    engine = PixelDiffusion(settings, sampling)
    engine.fit(examples, tmp_path, silent)
    wishes = [Wanted({"label": "ab"[seed % 2]}, seed) for seed in range(9)]
    strips = [strip[::SCALE, ::SCALE, 0] for strip in draw_strips(load_generator(tmp_path), wishes, sampling)]
    drawn = engine.sample(wishes, silent)
    assert len({image.tobytes() for image in drawn}) == 9
    for strip, image in zip(strips, drawn, strict=True):
        assert strip.shape == (16, 64)
        np.testing.assert_array_equal(strip[:, -16:], image)
        assert np.abs(strip[:, :16].astype(int) - strip[:, -16:]).mean() > 1
    alone = draw_strips(load_generator(tmp_path), wishes[3:4], sampling)[0][::SCALE, ::SCALE, 0]
    np.testing.assert_array_equal(alone, strips[3])
