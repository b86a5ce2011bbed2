"""Whether an autoencoder keeps more than shrinking does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.progress import silent
from synthesis.engines.latent import LatentDiffusion
from synthesis.latents.rebuilding import (
    REBUILDING_NAME,
    Rebuilding,
    likeness_db,
    measure_rebuilding,
    shrink_and_enlarge,
    steps_of_autoencoder,
    warn_of_rebuilding,
)
from synthesis.latents.training import train_autoencoder
from synthesis.recipe import GeneratorSettings, LatentSettings, SamplingSettings
from tests.synthesis.builders import tiny_generator, training_examples

CODER = LatentSettings(channels=(16, 16), latent_channels=4, batch_size=16, learning_rate=1e-2)


def some_boards(number: int, seed: int) -> Any:
    """Return `(N, 1, 8, 8)` uint8 boards of one-pixel fields, dark and bright grays by chance: simple, and gone once they are shrunk."""
    random = np.random.default_rng(seed)
    fields = np.indices((8, 8)).sum(axis=0) % 2
    grays = np.stack([random.integers(0, 80, number), random.integers(176, 256, number)], axis=1)
    return torch.from_numpy(grays[:, fields][:, None].astype(np.uint8))


@pytest.mark.parametrize(("steps", "is_worse"), [(2, True), (60, False)])
def test_too_few_steps_warn_and_enough_do_not(tmp_path: Path, steps: int, is_worse: bool) -> None:
    """The same images, network and held-out boards; only the steps differ."""
    settings = CODER.model_copy(update={"steps": steps})
    coder = train_autoencoder(some_boards(64, 0), settings, tiny_generator(precision="fp32", checkpoint_steps=1000), tmp_path, silent)
    found = measure_rebuilding(coder, some_boards(40, 1), "fp32")
    assert found is not None
    assert (found.images, found.factor, found.is_worse) == (40, 2, is_worse)
    warning = warn_of_rebuilding(found, "latent", steps)
    assert bool(warning) is is_worse
    if is_worse:
        assert f"(synthesis.generator.latent.steps, {steps} now), or draw without one (synthesis.generator.engine = 'pixel')" in warning


def test_likeness_has_the_values_that_it_states() -> None:
    """.2 too bright: 20 dB; equal: 58.9; what lies outside of [-1, 1] is cut off; the mean is over images."""
    images = torch.zeros(2, 1, 4, 4)
    assert likeness_db(images + 0.2, images) == pytest.approx(20.0, abs=1e-4)
    assert likeness_db(images, images) == pytest.approx(58.92, abs=0.01)
    assert likeness_db(images + 5, images + 1) == pytest.approx(58.92, abs=0.01)
    assert likeness_db(torch.stack([images[0], images[0] + 0.2]), images) == pytest.approx((58.92 + 20) / 2, abs=0.01)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 4, 8, 8)])
def test_shrinking_keeps_what_is_flat_and_loses_what_is_fine(shape: tuple[int, ...]) -> None:
    """Images and volumes keep their shape; a one-pixel board becomes its mean."""
    flat = torch.full(shape, 0.3)
    torch.testing.assert_close(shrink_and_enlarge(flat, 2), flat)
    board = (torch.from_numpy(np.indices(shape[2:]).sum(axis=0) % 2) * 2.0 - 1).expand(shape).float()
    torch.testing.assert_close(shrink_and_enlarge(board, 2), torch.zeros(shape), atol=1e-6, rtol=0)


def test_at_most_64_images_are_rebuilt_and_none_say_nothing(tmp_path: Path) -> None:
    """Without held-out images nobody knows, and nothing is said."""
    coder = train_autoencoder(some_boards(4, 0), CODER.model_copy(update={"steps": 1}), tiny_generator(), tmp_path, silent)
    found = measure_rebuilding(coder, some_boards(130, 1), "fp32")
    assert found is not None
    assert found.images == 44
    assert measure_rebuilding(coder, some_boards(0, 1), "fp32") is None
    assert warn_of_rebuilding(None, "latent", 1) == ""


def test_what_to_do_depends_on_who_trained_it() -> None:
    """One that others trained cannot be trained for longer; volumes have no other engine."""
    poor = Rebuilding(9, 20.0, 31.0, 4)
    assert "take another one (synthesis.generator.latent), or draw without one" in warn_of_rebuilding(poor, "latent", None)
    said = warn_of_rebuilding(poor, "volume", 1500)
    assert "20.0 dB) than shrinking them 4 times and enlarging them again (31.0 dB)" in said
    assert said.endswith("train it for longer (synthesis.generator.volume.steps, 1,500 now)")
    assert steps_of_autoencoder(GeneratorSettings(engine="latent")) == 1500
    assert steps_of_autoencoder(GeneratorSettings(engine="latent", latent=LatentSettings(autoencoder="somewhere"))) is None
    assert steps_of_autoencoder(GeneratorSettings(engine="latent", base=Path("base"))) is None


def test_a_generator_leaves_both_figures_beside_it(tmp_path: Path) -> None:
    """Told of, reported and written before the network is trained; held-out images change no bit of what is learned."""
    latent = LatentSettings(channels=(8, 16), latent_channels=3, steps=2, batch_size=4)
    recipe, sampling, examples = tiny_generator(engine="latent", latent=latent, steps=2), SamplingSettings(steps=2), training_examples()
    told: list[str] = []
    held_out = examples._replace(held_out=training_examples(3).images)
    report = LatentDiffusion(recipe, sampling).fit(held_out, tmp_path / "measured", lambda done, total, what: told.append(what))
    plain = LatentDiffusion(recipe, sampling).fit(examples, tmp_path / "plain", silent)
    assert report.rebuilding is not None
    assert report.rebuilding.is_worse
    assert json.loads((tmp_path / "measured" / REBUILDING_NAME).read_text()) == vars(report.rebuilding)
    (said,) = (what for what in told if "the autoencoder keeps" in what)
    assert told.index(said) < told.index("training the generator")
    assert plain.rebuilding is None
    assert plain.generator_sha256 == report.generator_sha256
