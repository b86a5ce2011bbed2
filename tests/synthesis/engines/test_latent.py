"""Diffusion in latents of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import silent
from synthesis.checkpoint import read_about, read_tensors
from synthesis.engines.engine import Wanted
from synthesis.engines.latent import LatentDiffusion
from synthesis.engines.loading import load_engine
from synthesis.generator import FROZEN, GENERATOR_NAME
from synthesis.latents.autoencoder import build_autoencoder
from synthesis.recipe import GeneratorSettings, LatentSettings, SamplingSettings
from tests.synthesis.builders import tiny_generator, training_examples

SAMPLING = SamplingSettings(steps=3, batch_size=4)
LATENT = LatentSettings(channels=(8, 16), latent_channels=3, steps=4, batch_size=4)


def a_recipe(**changes: Any) -> GeneratorSettings:
    """Return a tiny generator of latents."""
    return tiny_generator(engine="latent", latent=LATENT, **changes)


def draw(engine: LatentDiffusion, labels: list[str], seeds: list[int]) -> list[Pixels]:
    """Return one image a label and seed."""
    return engine.sample([Wanted({"label": label}, seed) for label, seed in zip(labels, seeds, strict=True)], silent)


def stir(folder: Path) -> None:
    """Give the finished network random weights everywhere; fresh ones end in zeros, which would hide differences."""
    import torch

    from synthesis.checkpoint import write_tensors

    about, tensors = read_about(folder / GENERATOR_NAME), read_tensors(folder / GENERATOR_NAME)
    assert about is not None
    random = torch.Generator().manual_seed(3)
    stirred = {name: value if name.startswith(FROZEN) else torch.randn(value.shape, generator=random) * 0.1 for name, value in tensors.items()}
    write_tensors(stirred, about, folder / GENERATOR_NAME)


def test_one_file_is_all_that_drawing_needs(tmp_path: Path) -> None:
    """Trained, saved elsewhere, loaded by its folder: the same images, at any batch size and in any order; each seed and class its own."""
    engine = LatentDiffusion(a_recipe(), SAMPLING)
    report = engine.fit(training_examples(), tmp_path / "trained", silent)
    assert report.steps == 8
    stir(tmp_path / "trained")
    engine = LatentDiffusion.load(tmp_path / "trained", SAMPLING)
    engine.save(tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [GENERATOR_NAME]
    again = load_engine(tmp_path / "copy", SAMPLING.model_copy(update={"batch_size": 1}))
    assert isinstance(again, LatentDiffusion)
    labels, seeds = ["disc", "stripes", "disc", "disc", "stripes"], [5, 5, 6, 7, 8]
    drawn = draw(engine, labels, seeds)
    assert {image.shape for image in drawn} == {(16, 16, 3)}
    assert {image.dtype for image in drawn} == {np.dtype(np.uint8)}
    backwards = draw(again, labels[::-1], seeds[::-1])[::-1]
    assert all((first == second).all() for first, second in zip(drawn, backwards, strict=True))
    assert len({image.tobytes() for image in drawn}) == 5


def test_a_training_that_was_stopped_goes_on_to_the_same_generator(tmp_path: Path) -> None:
    """Stopped in the autoencoder, then in the network: the same hash as without, and only missing steps are taken."""

    class StopError(Exception):
        """Ends a training in the middle."""

    def stop_in(name: str, step: int) -> Any:
        def progress(done: int, total: int, what: str) -> None:
            if name in what and done == step:
                raise StopError

        return progress

    examples = training_examples()
    whole = LatentDiffusion(a_recipe(), SAMPLING).fit(examples, tmp_path / "whole", silent)
    for name, step in (("autoencoder", 4), ("generator", 5)):
        with pytest.raises(StopError):
            LatentDiffusion(a_recipe(), SAMPLING).fit(examples, tmp_path / "stopped", stop_in(name, step))
    gone_on = LatentDiffusion(a_recipe(), SAMPLING).fit(examples, tmp_path / "stopped", silent)
    assert gone_on.first_step == 3
    assert gone_on.generator_sha256 == whole.generator_sha256


def test_a_pretrained_autoencoder_is_used_as_it_is(tmp_path: Path) -> None:
    """Its weights are in the generator unchanged; it must take as many channels as the images have."""
    network = build_autoencoder(3, LATENT, 7, 2).network
    network.save_pretrained(tmp_path / "coder", safe_serialization=True)
    latent = LATENT.model_copy(update={"autoencoder": str(tmp_path / "coder")})
    recipe = a_recipe(steps=2).model_copy(update={"latent": latent})
    LatentDiffusion(recipe, SAMPLING).fit(training_examples(), tmp_path / "trained", silent)
    kept = read_tensors(tmp_path / "trained" / GENERATOR_NAME)
    assert all((kept[f"{FROZEN}autoencoder/{name}"] == value).all() for name, value in network.state_dict().items())
    assert not (tmp_path / "trained" / "autoencoder").exists()
    about = read_about(tmp_path / "trained" / GENERATOR_NAME)
    assert about is not None
    assert str(tmp_path) not in str(about["latent_space"])
    with pytest.raises(UsageError, match="3 channels, these have 1"):
        LatentDiffusion(recipe, SAMPLING).fit(training_examples(channels=1), tmp_path / "gray", silent)


def test_a_generator_goes_on_from_a_base_in_the_space_of_the_base(tmp_path: Path) -> None:
    """A new class is learned with the base's autoencoder; a base of another engine is refused."""
    examples = training_examples()
    common = examples._replace(images=examples.images[6:], conditions=examples.conditions[6:], image_ids=examples.image_ids[6:], groups=examples.groups[6:])
    LatentDiffusion(a_recipe(steps=2), SAMPLING).fit(common, tmp_path / "base", silent)
    engine = LatentDiffusion(a_recipe(base=tmp_path / "base", low_shot_steps=2), SAMPLING)
    engine.fit(examples, tmp_path / "grown", silent)
    base, grown = (read_tensors(tmp_path / name / GENERATOR_NAME) for name in ("base", "grown"))
    frozen = [name for name in base if name.startswith(FROZEN)]
    assert frozen
    assert all((base[name] == grown[name]).all() for name in frozen)
    assert not (tmp_path / "grown" / "autoencoder").exists()
    assert draw(engine, ["disc"], [1])[0].shape == (16, 16, 3)


def test_previews_are_pictures_of_decoded_images(tmp_path: Path) -> None:
    """Every two steps a PNG with samples of both classes."""
    from curation.pixels import decode

    LatentDiffusion(a_recipe(steps=2, preview_steps=2), SAMPLING).fit(training_examples(2), tmp_path, silent)
    picture = decode((tmp_path / "preview-000002.png").read_bytes(), ".png")
    assert picture.shape == (2 * 16, 16 * 16, 3)


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    """Another size, sides that the network cannot halve, drawing before learning."""
    with pytest.raises(UsageError, match="32 px"):
        LatentDiffusion(a_recipe(size_px=32), SAMPLING).fit(training_examples(), tmp_path, silent)
    deep = a_recipe().model_copy(update={"channels": (8, 8, 8, 8, 8)})
    with pytest.raises(UsageError, match="size_px"):
        LatentDiffusion(deep, SAMPLING).fit(training_examples(), tmp_path, silent)
    with pytest.raises(UsageError, match="learned nothing"):
        draw(LatentDiffusion(a_recipe(), SAMPLING), ["disc"], [1])
