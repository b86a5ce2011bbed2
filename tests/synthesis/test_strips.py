"""The strip from noise to image ends in the image that is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.progress import silent
from synthesis.engines.engine import Examples, Wanted
from synthesis.engines.pixel import PixelDiffusion
from synthesis.generator import load_generator
from synthesis.recipe import GeneratorSettings, SamplingSettings
from synthesis.strips import SCALE, draw_strip


def test_a_strip_begins_in_noise_and_ends_in_the_image(tmp_path: Path) -> None:
    """The last picture is the one that `sample` gives; there are as many as steps and noise together, here four."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (8, 16, 16)).astype(np.uint8)
    examples = Examples(images, tuple({"label": "ab"[number % 2]} for number in range(8)), tuple("abcdefgh"), tuple("abcdefgh"))
    settings, sampling = GeneratorSettings(size_px=16, channels=(8, 16), steps=2, batch_size=2), SamplingSettings(steps=3)
    engine = PixelDiffusion(settings, sampling)
    engine.fit(examples, tmp_path, silent)
    wish = Wanted({"label": "b"}, 7)
    strip = draw_strip(load_generator(tmp_path), wish, sampling)[::SCALE, ::SCALE, 0]
    assert strip.shape == (16, 64)
    np.testing.assert_array_equal(strip[:, -16:], engine.sample([wish], silent)[0])
    assert np.abs(strip[:, :16].astype(int) - strip[:, -16:]).mean() > 1
