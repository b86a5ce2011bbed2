"""Packing images and volumes into latents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.errors import UsageError
from curation.progress import silent
from synthesis.checkpoint import CHECKPOINT_NAME
from synthesis.latents.autoencoder import Autoencoder, build_autoencoder, decode_latents, encode_means, read_autoencoder, to_signal
from synthesis.latents.space import flipped_variants, latents_of, measure_space, restore_space
from synthesis.latents.training import AUTOENCODER_NAME, normal_divergence, reconstruction_loss, train_autoencoder
from synthesis.recipe import AutoencoderSettings, GeneratorSettings, LatentSettings, VolumeSettings
from tests.synthesis.builders import tiny_generator, training_examples

TINY = LatentSettings(channels=(8, 16), latent_channels=3, steps=8, batch_size=4, learning_rate=3e-3)
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.synthesis.latents.test_autoencoder import TINY, training_bytes
from synthesis.latents.training import train_autoencoder
from tests.synthesis.builders import tiny_generator

def die(done, total, what):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

train_autoencoder(training_bytes(), TINY, tiny_generator(), Path(sys.argv[1]), die)
"""

TOGETHER = """
import sys
from pathlib import Path
from tests.synthesis.latents.test_autoencoder import TINY, training_bytes
from synthesis.latents.training import train_autoencoder
from tests.synthesis.builders import tiny_generator

steps = []
train_autoencoder(training_bytes(), TINY, tiny_generator(), Path(sys.argv[1]), lambda done, *_: steps.append(done))
print(len(steps))
"""


def training_bytes(per_class: int = 6) -> Any:
    """Return `(N, 3, 16, 16)` uint8 phantoms."""
    return torch.from_numpy(np.ascontiguousarray(training_examples(per_class).images.transpose(0, 3, 1, 2)))


def a_coder(settings: AutoencoderSettings = TINY, dimensions: int = 2, channels: int = 3) -> Autoencoder:
    """Return an autoencoder with random weights."""
    return build_autoencoder(channels, settings, 3, dimensions)


def test_an_autoencoder_learns_to_rebuild(tmp_path: Path) -> None:
    """A short training rebuilds images better than their mean does; a finished one is not trained again."""
    images = training_bytes()
    recipe = tiny_generator(precision="fp32", checkpoint_steps=1000)
    settings = TINY.model_copy(update={"steps": 60, "batch_size": 6, "learning_rate": 1e-2})
    coder = train_autoencoder(images, settings, recipe, tmp_path, silent)
    rebuilt = decode_latents(coder, encode_means(coder, images, "fp32"), "fp32")
    real = to_signal(images)
    assert (rebuilt - real).abs().mean() < 0.9 * (real - real.mean(dim=0)).abs().mean()
    calls: list[int] = []
    train_autoencoder(images, settings, recipe, tmp_path, lambda done, total, what: calls.append(done))
    assert calls == []


def test_an_autoencoder_that_was_killed_ends_in_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL after 5 of 8 steps, checkpoint at 3: the same file as without."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "killed")], cwd=root, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / CHECKPOINT_NAME).exists()
    steps: list[int] = []
    train_autoencoder(training_bytes(), TINY, tiny_generator(), tmp_path / "killed", lambda done, total, what: steps.append(done))
    train_autoencoder(training_bytes(), TINY, tiny_generator(), tmp_path / "whole", silent)
    assert steps == [4, 5, 6, 7, 8]
    assert (tmp_path / "killed" / AUTOENCODER_NAME).read_bytes() == (tmp_path / "whole" / AUTOENCODER_NAME).read_bytes()


@pytest.mark.parametrize(("dimensions", "settings", "shape"), [(2, TINY, (3, 16, 16)), (3, VolumeSettings(channels=(8, 8), latent_channels=2), (1, 4, 8, 8))])
def test_latents_are_means_that_depend_on_their_own_image_alone(dimensions: int, settings: AutoencoderSettings, shape: tuple[int, ...]) -> None:
    """Encoded alone or among others, in any number, an image has the same latent, twice the same; sides are halved."""
    coder = a_coder(settings, dimensions, shape[0])
    images = torch.randint(0, 256, (9, *shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    latents = encode_means(coder, images, "bf16")
    assert tuple(latents.shape) == (9, settings.latent_channels, *(side // 2 for side in shape[1:]))
    assert torch.equal(latents, encode_means(coder, images, "bf16"))
    assert torch.equal(latents[4:5], encode_means(coder, images[4:5], "bf16"))
    rebuilt = decode_latents(coder, latents, "bf16")
    assert tuple(rebuilt.shape) == (9, *shape)
    assert torch.equal(rebuilt[7:9], decode_latents(coder, latents[7:9], "bf16"))


def test_the_space_is_scaled_by_what_was_measured_and_comes_back_from_its_file(tmp_path: Path) -> None:
    """Every channel of the train latents has mean 0 and deviation 1; restored, the space unpacks to the same values."""
    images, recipe = training_bytes(), tiny_generator(flips=("horizontal", "vertical"), precision="fp32")
    space = measure_space(a_coder(), images, TINY, recipe, tmp_path, silent)
    latents = latents_of(space, images, recipe, tmp_path, silent)
    assert len(latents) == 4 * len(images)
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents[len(images) : 2 * len(images)], space.pack(images.flip(-1)))
    again = restore_space(space.about, space.weights)
    assert torch.equal(again.unpack(latents[:5]), space.unpack(latents[:5]))
    torch.testing.assert_close(
        space.unpack(latents[:5]), decode_latents(space.coder, encode_means(space.coder, images[:5], "fp32"), "fp32"), atol=1e-4, rtol=1e-3
    )


def test_stored_latents_are_used_again_and_replaced_when_the_images_change(tmp_path: Path) -> None:
    """Encoding is told of once for the same images and network."""
    told: list[str] = []
    coder, recipe = a_coder(), tiny_generator()

    def tell(done: int, total: int, what: str) -> None:
        told.append(what)

    for images in (training_bytes(), training_bytes(), training_bytes(5)):
        measure_space(coder, images, TINY, recipe, tmp_path, tell)
    assert told == ["encoding train images"] * 4


def test_flips_are_those_of_the_recipe() -> None:
    """No flip, one, or both and their combination."""
    images = training_bytes()
    for flips, number in (((), 1), (("horizontal",), 2), (("horizontal", "vertical"), 4)):
        recipe = GeneratorSettings(flips=flips)  # type: ignore[arg-type]
        variants = flipped_variants(images, recipe)
        assert len(variants) == len({variant.numpy().tobytes() for variant in variants}) == number


def test_a_pretrained_autoencoder_is_read_from_safetensors_only(tmp_path: Path) -> None:
    """A folder of diffusers, alone or in a pipeline's `vae`; pickles, other models and names that are nowhere are refused."""
    network = a_coder().network
    network.save_pretrained(tmp_path / "pipeline" / "vae", safe_serialization=True)
    coder = read_autoencoder(str(tmp_path / "pipeline"))
    images = training_bytes()
    assert torch.equal(encode_means(coder, images, "fp32"), encode_means(a_coder(), images, "fp32"))
    network.save_pretrained(tmp_path / "pickled", safe_serialization=False)
    with pytest.raises(UsageError, match="pickled"):
        read_autoencoder(str(tmp_path / "pickled"))
    with pytest.raises(UsageError, match=r"no model 'no such/name at all'.*no such folder either"):
        read_autoencoder("no such/name at all")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"_class_name": "Other"}')
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="not a diffusers"):
        read_autoencoder(str(tmp_path / "other"))


def test_sides_that_cannot_be_halved_are_refused(tmp_path: Path) -> None:
    """The message says which key to change."""
    with pytest.raises(UsageError, match="size_px"):
        train_autoencoder(training_bytes()[..., :13], TINY, tiny_generator(), tmp_path, silent)


def test_the_losses_have_the_values_that_they_state() -> None:
    """A constant offset costs itself alone; mean and variance 1 diverge by 1/2; a blurred edge costs more than the offset that is as large."""
    images = torch.zeros(2, 1, 4, 4)
    images[..., 2:] = 1.0
    assert abs(float(reconstruction_loss(images + 0.1, images)) - 0.1) < 1e-6
    blurred = images.clone()
    blurred[..., 1:3] = torch.tensor([1 / 3, 2 / 3])
    assert float(reconstruction_loss(blurred, images)) > float((blurred - images).abs().mean())
    assert float(normal_divergence(torch.ones(5), torch.zeros(5))) == 0.5


def test_of_several_processes_the_first_one_trains(tmp_path: Path) -> None:
    """The second one takes no step: it waits, and reads what the first one leaves."""
    root = Path(__file__).parents[3]
    started = []
    for rank in ("1", "0"):
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "RANK": rank}
        started.append(subprocess.Popen([sys.executable, "-c", TOGETHER, str(tmp_path)], cwd=root, env=environment, stdout=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=300)[0].split() for process in started]
    assert said == [["0"], [str(TINY.steps)]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [AUTOENCODER_NAME, "loss.csv"]
