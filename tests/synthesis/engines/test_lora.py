"""Adapting a pretrained pipeline: a tiny random Stable Diffusion stands for the real one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.errors import UsageError
from curation.progress import silent
from synthesis.checkpoint import CHECKPOINT_NAME, GENERATOR_NAME, read_tensors
from synthesis.engines.engine import Examples, Wanted
from synthesis.engines.loading import load_engine
from synthesis.engines.lora import LoraDiffusion
from synthesis.pretrained import check_pipeline, find_pipeline, hash_pipeline, open_pipeline, write_prompt
from synthesis.recipe import GeneratorSettings, LoraSettings, SamplingSettings
from tests.pretended_gpu import pretended_gpu
from tests.synthesis.builders import CLASSES, a_phantom, tiny_generator

SAMPLING = SamplingSettings(steps=3)


class StopError(Exception):
    """Ends a training in the middle."""


def stop_after(step: int) -> Any:
    """Return a progress that ends the training after so many steps."""

    def progress(done: int, total: int, what: str) -> None:
        if done == step and what == "training the generator":
            raise StopError

    return progress


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Stable Diffusion pipeline with random weights, a few thousand of them."""
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("pretrained")
    letters = [chr(97 + number) for number in range(26)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=24,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16, attention_head_dim=4, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(8, 16), norm_num_groups=4, sample_size=16, **blocks),
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=24),
        unet=unet,
        scheduler=DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "pipe", safe_serialization=True)
    return folder / "pipe"


def settings(pipeline: Path, **changes: Any) -> GeneratorSettings:
    """Return settings that adapt the tiny pipeline in a second."""
    lora = LoraSettings(pipeline=str(pipeline), rank=2, prompt=changes.pop("prompt", "a {label}"))
    return tiny_generator(**{"engine": "lora", "lora": lora, "learning_rate": 1e-2, "steps": 5, "checkpoint_steps": 2, **changes})


def examples(channels: int = 3) -> Examples:
    """Return four phantoms of each class."""
    labels = [label for label in CLASSES for _ in range(4)]
    images = np.stack([a_phantom(label, number, channels=channels) for number, label in enumerate(labels)])
    names = tuple(f"{number:032x}" for number in range(len(labels)))
    return Examples(images, tuple({"label": label} for label in labels), names, names)


def test_a_stopped_adaptation_ends_in_the_same_bits(tmp_path: Path, pipeline: Path) -> None:
    """Stopped after 3 of 5 steps, checkpoint at 2: the same matrices as without; nothing but these is kept."""
    with pytest.raises(StopError):
        LoraDiffusion(settings(pipeline), SAMPLING).fit(examples(), tmp_path / "stopped", stop_after(3))
    assert (tmp_path / "stopped" / CHECKPOINT_NAME).exists()
    resumed = LoraDiffusion(settings(pipeline), SAMPLING).fit(examples(), tmp_path / "stopped", silent)
    whole = LoraDiffusion(settings(pipeline), SAMPLING).fit(examples(), tmp_path / "whole", silent)
    again = LoraDiffusion(settings(pipeline), SAMPLING).fit(examples(), tmp_path / "whole", stop_after(1))
    assert (resumed.first_step, whole.first_step, again.first_step) == (2, 0, 5)
    assert resumed.generator_sha256 == whole.generator_sha256 == again.generator_sha256
    weights = read_tensors(tmp_path / "whole" / GENERATOR_NAME)
    assert all("lora_" in name for name in weights)
    assert sum(value.numel() for value in weights.values()) == whole.parameters
    assert any(value.abs().max() > 0 for name, value in weights.items() if "lora_B" in name)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_depends_on_its_wish_and_on_what_was_learned(tmp_path: Path, pipeline: Path, channels: int) -> None:
    """The same seeds give the same pixels one at a time and from the folder; another class or no adaptation gives others."""
    engine = LoraDiffusion(settings(pipeline, learning_rate=0.5), SAMPLING)
    engine.fit(examples(channels), tmp_path / "made", silent)
    wishes = [Wanted({"label": label}, seed) for seed in (3, 4, 5) for label in CLASSES][:5]
    drawn = engine.sample(wishes, silent)
    engine.save(tmp_path / "saved")
    loaded = load_engine(tmp_path / "saved", SAMPLING)
    assert drawn[0].shape == ((16, 16) if channels == 1 else (16, 16, 3))
    assert drawn[0].dtype == np.uint8
    assert all((loaded.sample([wish], silent)[0] == image).all() for wish, image in zip(wishes, drawn, strict=True))
    assert (drawn[0] != drawn[1]).any()
    plain = LoraDiffusion(settings(pipeline, steps=1, learning_rate=1e-9), SAMPLING)
    plain.fit(examples(channels), tmp_path / "plain", silent)
    assert any((one != two).any() for one, two in zip(drawn, plain.sample(wishes, silent), strict=True))


def test_prompts_leave_out_what_is_unknown() -> None:
    """A part between commas goes with its unknown key."""
    template = "a mole of type {label}, sex {sex}, seen closely"
    assert write_prompt(template, {"label": "nv", "sex": "F"}) == "a mole of type nv, sex F, seen closely"
    assert write_prompt(template, {"label": "nv"}) == "a mole of type nv, seen closely"


def changed_copy(pipeline: Path, folder: Path, **changes: Any) -> Path:
    """Return a copy of the pipeline whose index says something else."""
    shutil.copytree(pipeline, folder)
    index = json.loads((folder / "model_index.json").read_text()) | changes
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_code_and_pickles_of_a_pipeline_are_refused(tmp_path: Path, pipeline: Path) -> None:
    """Parts of other libraries, other classes, weights without safetensors, no pipeline at all: nothing of them is opened."""
    check_pipeline(pipeline)
    with pytest.raises(UsageError, match="code of its own"):
        check_pipeline(changed_copy(pipeline, tmp_path / "code", unet=["my_network", "Net"]))
    with pytest.raises(UsageError, match="adapted are pipelines"):
        check_pipeline(changed_copy(pipeline, tmp_path / "class", _class_name=["pipeline", "Own"]))
    for name, suffix in (("pickled", ".bin"), ("half", ".fp16.safetensors")):
        weights = changed_copy(pipeline, tmp_path / name) / "unet" / "diffusion_pytorch_model.safetensors"
        weights.rename(weights.with_suffix(suffix))
        with pytest.raises(UsageError, match=r"unet has no safetensors.*safe_serialization=True"):
            check_pipeline(tmp_path / name)
    with pytest.raises(UsageError, match="no model_index"):
        find_pipeline(str(tmp_path), "main")
    with pytest.raises(UsageError, match="is empty"):
        find_pipeline("", "main")


def test_a_pipeline_that_is_not_whole_is_refused(tmp_path: Path, pipeline: Path) -> None:
    """A part that the index does not name or that lies nowhere, a broken index, weights that are cut off: each sentence says what to bring."""
    with pytest.raises(UsageError, match="has no text_encoder, which is needed: bring a whole copy"):
        check_pipeline(changed_copy(pipeline, tmp_path / "unnamed", text_encoder=[None, None]))
    shutil.rmtree(changed_copy(pipeline, tmp_path / "lost") / "tokenizer")
    with pytest.raises(UsageError, match="has no tokenizer"):
        check_pipeline(tmp_path / "lost")
    (changed_copy(pipeline, tmp_path / "broken") / "model_index.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        check_pipeline(tmp_path / "broken")
    weights = changed_copy(pipeline, tmp_path / "cut") / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(UsageError, match="cut off or of another pipeline"):
        open_pipeline(tmp_path / "cut", "cpu")


def test_a_copy_in_half_precision_beside_it_changes_no_hash(tmp_path: Path, pipeline: Path) -> None:
    """The hash is of what is used, so a cache that holds more is still the same pipeline."""
    unet = changed_copy(pipeline, tmp_path / "more") / "unet"
    (unet / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
    assert hash_pipeline(tmp_path / "more") == hash_pipeline(pipeline)


def test_prompts_that_the_text_encoder_cannot_tell_apart_are_refused(tmp_path: Path, pipeline: Path) -> None:
    """Its 24 tokens are used up before the label."""
    with pytest.raises(UsageError, match=r"stripes' for .*disc': make synthesis\.generator\.lora\.prompt shorter"):
        LoraDiffusion(settings(pipeline, prompt="a very long way to say what the image shows {label}"), SAMPLING).fit(examples(), tmp_path, silent)


def test_several_processes_are_refused(tmp_path: Path, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would all write one file; the sentence says what to run instead."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="in one process"):
        LoraDiffusion(settings(pipeline), SAMPLING).fit(examples(), tmp_path, silent)


def test_wrong_use_is_refused(tmp_path: Path, pipeline: Path) -> None:
    """A key that is no condition, images of another size, a class that was never seen, a pipeline that changed."""
    with pytest.raises(UsageError, match="'sex'"):
        LoraDiffusion(settings(pipeline, prompt="a {label}, {sex}"), SAMPLING).fit(examples(), tmp_path, silent)
    with pytest.raises(UsageError, match="32 px"):
        LoraDiffusion(settings(pipeline, size_px=32), SAMPLING).fit(examples(), tmp_path, silent)
    with pytest.raises(UsageError, match="learned nothing"):
        LoraDiffusion(settings(pipeline), SAMPLING).sample([Wanted({"label": "disc"}, 0)], silent)
    copy = tmp_path / "copy"
    shutil.copytree(pipeline, copy)
    engine = LoraDiffusion(settings(copy, steps=1), SAMPLING)
    engine.fit(examples(), tmp_path / "made", silent)
    with pytest.raises(UsageError, match="never saw"):
        engine.sample([Wanted({"label": "ring"}, 0)], silent)
    (copy / "unet" / "config.json").write_text((copy / "unet" / "config.json").read_text() + "\n")
    with pytest.raises(UsageError, match="bring that one back"):
        load_engine(tmp_path / "made")


def test_a_pipeline_is_adapted_and_draws_on_a_gpu(tmp_path: Path, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a pretended GPU nothing is left on the wrong device, and no convolution on the CPU; the CPU draws the same, give or take rounding."""
    wishes = [Wanted({"label": CLASSES[0]}, seed) for seed in (1, 2)]
    with pretended_gpu(monkeypatch) as gpu:
        with pytest.raises(StopError):
            LoraDiffusion(settings(pipeline, steps=2, checkpoint_steps=1), SAMPLING).fit(examples(), tmp_path, stop_after(1))
        engine = LoraDiffusion(settings(pipeline, steps=2, checkpoint_steps=1), SAMPLING)
        assert engine.fit(examples(), tmp_path, silent).first_step == 1
        drawn = engine.sample(wishes, silent)
        assert gpu.heavy_on_gpu > 50
        assert gpu.heavy_on_cpu == 0
    on_cpu = load_engine(tmp_path, SAMPLING, "cpu").sample(wishes, silent)
    assert max(np.abs(one.astype(float) - two).max() for one, two in zip(drawn, on_cpu, strict=True)) <= 8
