"""Every engine on a GPU that is pretended: nothing is left on the wrong device, and nothing heavy on the CPU. No real GPU takes part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers  # noqa: F401  # looks for GPUs when it is imported
import monai  # noqa: F401
import numpy as np
import pytest
import torch

from curation.errors import UsageError
from curation.progress import silent
from synthesis.checkpoint import CHECKPOINT_NAME, GENERATOR_NAME, read_about, read_tensors
from synthesis.drawing import describe_machine
from synthesis.engines.engine import Engine, Examples, Wanted
from synthesis.engines.loading import load_engine, open_engine
from synthesis.engines.pixel import PixelDiffusion
from synthesis.network import choose_device, number_type, torch_threads
from synthesis.recipe import SamplingSettings, SynthesisSettings
from tests.pretended_gpu import GPU, pretended_gpu
from tests.synthesis.builders import tiny_generator, training_examples

SAMPLING = SamplingSettings(steps=2)
PACKING = {"channels": (8, 16), "latent_channels": 2, "steps": 2, "batch_size": 4}
ENGINES: dict[str, dict[str, Any]] = {
    "pixel": {"accumulation": 2, "layout": "channels_last", "preview_steps": 2},
    "latent": {"latent": PACKING},
    "volume": {"volume": {**PACKING, "slices": 4}},
    "fill": {"engine": "inpainting"},
    "edit": {"engine": "inpainting", "inpainting": {"method": "edit", "mask": "ellipse"}},
}


def an_engine(name: str, **changes: Any) -> Engine:
    """Return an engine of two steps that has learned nothing."""
    settings = {"engine": name, "steps": 2, **ENGINES[name], **changes}
    return open_engine(SynthesisSettings(generator=tiny_generator(**settings), sampling=SAMPLING))


def some_examples(name: str) -> Examples:
    """Return phantoms, as volumes where the engine takes these."""
    examples = training_examples(4)
    return examples._replace(images=np.repeat(examples.images[:, None, :, :, 0], 4, axis=1)) if name == "volume" else examples


def some_wishes(examples: Examples, *, with_parents: bool) -> list[Wanted]:
    """Return two wishes of the second class, with parents of the first."""
    wishes = [Wanted({"label": examples.labels[-1]}, seed) for seed in (1, 2)]
    return [wish._replace(parent=examples.images[0], parent_id=examples.image_ids[0]) for wish in wishes] if with_parents else wishes


class StopError(Exception):
    """Ends a training in the middle."""


def stop(done: int, total: int, what: str) -> None:
    """End a training of the generator after two steps."""
    if done == 2 and what == "training the generator":
        raise StopError


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_trains_and_draws_on_a_gpu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, loaded and drawn there, no convolution on the CPU; on the CPU the file draws the same, give or take rounding."""
    examples = some_examples(name)
    with pretended_gpu(monkeypatch) as gpu:
        engine = an_engine(name)
        wishes = some_wishes(examples, with_parents=engine.needs_parents)
        engine.fit(examples, tmp_path, silent)
        drawn = engine.sample(wishes, silent)
        assert gpu.heavy_on_gpu > 50
        assert gpu.heavy_on_cpu == 0
    on_cpu = load_engine(tmp_path, SAMPLING, "cpu").sample(wishes, silent)
    assert max(np.abs(one.astype(float) - two).max() for one, two in zip(drawn, on_cpu, strict=True)) <= 8


def test_a_stopped_training_goes_on_on_a_gpu_without_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after 2 of 3 steps it ends in the same weights, with float16 and its scale in place of bfloat16."""
    settings, examples = tiny_generator(steps=3, checkpoint_steps=1, batch_size=2), training_examples(2)
    with pretended_gpu(monkeypatch, has_bfloat16=False):
        assert number_type(GPU, "bf16") == torch.float16
        assert number_type(GPU, "bf16", overflows=True) == torch.float32
        with pytest.raises(StopError):
            PixelDiffusion(settings, SAMPLING).fit(examples, tmp_path / "stopped", stop)
        kept = read_about(tmp_path / "stopped" / CHECKPOINT_NAME) or {}
        for folder in ("stopped", "whole"):
            PixelDiffusion(settings, SAMPLING).fit(examples, tmp_path / folder, silent)
    stopped, whole = (read_tensors(tmp_path / folder / GENERATOR_NAME) for folder in ("stopped", "whole"))
    assert all((stopped[name] == whole[name]).all() for name in whole)
    assert kept["scaler"]["scale"] <= 2.0**16
    assert kept["optimizer_steps"] <= 2


def test_the_recipes_device_is_kept_when_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With device cpu on a machine with a GPU, training, drawing and the record of the machine are all the CPU's."""
    with pretended_gpu(monkeypatch) as gpu:
        engine = an_engine("pixel", device="cpu", steps=1)
        engine.fit(some_examples("pixel"), tmp_path, silent)
        engine.sample(some_wishes(some_examples("pixel"), with_parents=False), silent)
        assert gpu.functions_on_gpu == 0
        assert describe_machine(tiny_generator(device="cpu"))["device"] == "cpu"
        assert describe_machine(tiny_generator())["device"] == "a pretended GPU"


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process of a machine with one GPU says so; with `accelerate launch --cpu` both take the CPU."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pretended_gpu(monkeypatch):
        with pytest.raises(UsageError, match="--num_processes 1"):
            choose_device(tiny_generator())
        monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
        assert choose_device(tiny_generator()).type == "cpu"


def test_a_full_gpu_names_the_keys_that_help() -> None:
    """Torch's error of a GPU without memory becomes a sentence, and the settings of torch come back."""
    before = torch.backends.cudnn.deterministic

    def fill() -> None:
        with torch_threads(1):
            assert torch.backends.cudnn.deterministic
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UsageError, match=r"synthesis\.generator\.accumulation"):
        fill()
    assert torch.backends.cudnn.deterministic == before


def test_the_pretended_gpu_refuses_what_a_gpu_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor left on the CPU, and numpy, raise; a single number and positions on the CPU do not; gradients arrive."""
    with pretended_gpu(monkeypatch):
        there, left = torch.ones(3, requires_grad=True).detach().to(GPU), torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            there + left
        with pytest.raises(RuntimeError, match="same device"):
            torch.where(left > 0, there, there)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert (there * torch.tensor(2.0))[torch.tensor([0])].cpu().tolist() == [2.0]
        layer = torch.nn.Linear(3, 1).to(GPU)
        layer(there).sum().backward()
        assert layer.weight.grad.device == GPU
        assert layer.weight.grad.cpu().tolist() == [[1.0, 1.0, 1.0]]
