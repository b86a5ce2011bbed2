"""Training a generator, and drawing from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from curation.errors import IntegrityError, UsageError
from curation.progress import Progress, silent
from synthesis.checkpoint import CHECKPOINT_NAME, GENERATOR_NAME, write_tensors
from synthesis.engines.engine import Examples, GeneratorReport, Wanted
from synthesis.engines.pixel import PixelDiffusion
from synthesis.generator import generator_sha256
from synthesis.network import build_network
from synthesis.recipe import GeneratorSettings, SamplingSettings
from tests.synthesis.builders import CLASSES, tiny_generator, training_examples

KILLED = """
import os, signal, sys
from pathlib import Path
from synthesis.engines.pixel import PixelDiffusion
from synthesis.recipe import SamplingSettings
from tests.synthesis.builders import tiny_generator, training_examples

def die(done, total, what):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

PixelDiffusion(tiny_generator(), SamplingSettings()).fit(training_examples(), Path(sys.argv[1]), die)
"""


class StopError(Exception):
    """Ends a training in the middle."""


def stop_at(step: int) -> Any:
    """Return a progress callback that ends the training after `step` steps."""

    def progress(done: int, total: int, what: str) -> None:
        if done == step:
            raise StopError

    return progress


def fit(folder: Path, settings: GeneratorSettings | None = None, examples: Examples | None = None, progress: Progress = silent) -> GeneratorReport:
    """Train a pixel generator of the phantoms."""
    return PixelDiffusion(settings or tiny_generator(), SamplingSettings()).fit(examples or training_examples(), folder, progress)


def draw(folder: Path, label: str, seeds: list[int], **sampling: Any) -> npt.NDArray[np.uint8]:
    """Return the stacked images of one class."""
    engine = PixelDiffusion.load(folder, SamplingSettings(**sampling))
    return np.stack(engine.sample([Wanted({"label": label}, seed) for seed in seeds], silent))


def noisy_generator(folder: Path, channels: int = 3) -> Path:
    """Write a generator with random weights everywhere; fresh networks begin with zeros in places, which would hide differences."""
    settings = tiny_generator()
    network = build_network(channels, 3, settings)
    random = torch.Generator().manual_seed(3)
    weights = {name: torch.randn(value.shape, generator=random) * 0.08 for name, value in network.state_dict().items()}
    about = {"classes": list(CLASSES), "channels": channels, "settings": settings.model_dump(mode="json")}
    write_tensors(weights, about, folder / GENERATOR_NAME)
    return folder


def test_a_training_that_was_killed_ends_in_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL after 5 of 8 steps, checkpoint at 3: the same weights, hash and loss curve as without."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "killed")], cwd=root, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / CHECKPOINT_NAME).exists()
    assert generator_sha256(tmp_path / "killed") is None
    resumed, whole = fit(tmp_path / "killed"), fit(tmp_path / "whole")
    assert (resumed.first_step, whole.first_step) == (3, 0)
    assert resumed.generator_sha256 == whole.generator_sha256
    assert Path(resumed.loss_curve).read_text() == Path(whole.loss_curve).read_text()
    assert not (tmp_path / "killed" / CHECKPOINT_NAME).exists()


def test_a_finished_generator_is_used_again(tmp_path: Path) -> None:
    """The second call trains nothing; how often it is saved does not matter."""
    first = fit(tmp_path)
    again = fit(tmp_path, tiny_generator(checkpoint_steps=5), progress=stop_at(1))
    assert (again.first_step, again.generator_sha256, again.final_loss) == (8, first.generator_sha256, first.final_loss)


@pytest.mark.parametrize("change", ["images", "settings"])
def test_other_images_or_settings_begin_a_new_training(tmp_path: Path, change: str) -> None:
    """A checkpoint of something else is not gone on from."""
    with pytest.raises(StopError):
        fit(tmp_path, progress=stop_at(5))
    per_class, settings = (7, tiny_generator()) if change == "images" else (6, tiny_generator(seed=1))
    assert fit(tmp_path, settings, training_examples(per_class)).first_step == 0


def test_training_learns_the_mean_colour(tmp_path: Path) -> None:
    """A short training on gray images of one level per class draws those levels, in the right order."""
    levels = np.repeat(np.array([51, 191], np.uint8), 4)
    images = np.broadcast_to(levels[:, None, None], (8, 16, 16)).copy()
    examples = training_examples(4)._replace(images=images)
    report = fit(tmp_path, tiny_generator(steps=80, batch_size=8, learning_rate=4e-3, precision="fp32"), examples)
    dark, bright = (draw(tmp_path, label, [1, 2, 3, 4], steps=8, guidance_scale=1.0).mean() for label in CLASSES)
    curve = [float(line.split(",")[1]) for line in Path(report.loss_curve).read_text().splitlines()[1:]]
    assert np.mean(curve[-10:]) < 0.6 * np.mean(curve[:10])
    assert bright - dark > 50


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_depends_on_its_seed_alone(tmp_path: Path, channels: int) -> None:
    """The same seeds give the same pixels at batch sizes 1, 3 and 8, and in any order."""
    folder, seeds = noisy_generator(tmp_path, channels), [*range(40, 49)]
    drawn = {size: draw(folder, "stripes", seeds, steps=4, batch_size=size) for size in (1, 3, 8)}
    backwards = draw(folder, "stripes", seeds[::-1], steps=4, batch_size=8)
    assert drawn[1].shape == ((9, 16, 16) if channels == 1 else (9, 16, 16, 3))
    assert drawn[1].dtype == np.uint8
    assert (drawn[1] == drawn[3]).all()
    assert (drawn[1] == drawn[8]).all()
    assert (drawn[1] == backwards[::-1]).all()
    assert len({image.tobytes() for image in drawn[1]}) == 9


def test_the_class_changes_the_image(tmp_path: Path) -> None:
    """The same seed of another class is another image."""
    folder = noisy_generator(tmp_path)
    first, second = (draw(folder, label, [7], steps=4) for label in CLASSES)
    assert (first != second).any()


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    """Sizes that do not fit, a generator that is not there, an unknown class, a batch that does not divide, a broken file."""
    with pytest.raises(UsageError, match="32 px"):
        fit(tmp_path, tiny_generator(size_px=32))
    with pytest.raises(UsageError, match="no finished generator"):
        draw(tmp_path, "disc", [1])
    with pytest.raises(UsageError, match="never saw label 'third'"):
        draw(noisy_generator(tmp_path), "third", [1])
    with pytest.raises(UsageError, match="multiple of 3"):
        fit(tmp_path, tiny_generator(accumulation=3))
    (tmp_path / GENERATOR_NAME).write_bytes(b"no tensors")
    with pytest.raises(IntegrityError):
        draw(tmp_path, "disc", [1])
