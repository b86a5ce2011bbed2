"""A diffusion network in a folder of its own: trained there, stopped and gone on with, finished, loaded. Engines say what its images are.

To go on after a crash, call `train_generator` again with the same arguments. The folder holds `generator.safetensors` (averaged weights
and what they are), `loss.csv`, grids of samples while it learned, and while training lasts `checkpoint.safetensors`.

Started by `accelerate launch` (or torchrun) the processes share every batch: each computes its part, the gradients are averaged, the first
process writes. `batch_size` stays the size of the whole batch, so the number of processes changes rounding only.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import UsageError
from curation.manifest import write_bytes
from curation.pixels import Pixels, encode_png
from curation.progress import Progress, silent
from synthesis.checkpoint import CHECKPOINT_NAME, GENERATOR_NAME, LOSS_NAME, Tensors, is_same, read_about, read_finished, read_losses, read_tensors
from synthesis.conditions import LABEL, Vocabulary, grow_table
from synthesis.engines.engine import GeneratorReport
from synthesis.learning import Training, learn
from synthesis.network import build_network, choose_device
from synthesis.processes import count_processes
from synthesis.recipe import Device, GeneratorSettings
from synthesis.training import Lessons, average_decay, class_weights, draw_batch, learning_rate, open_scaler, share_of, steps_in_all, train_step
from synthesis.volume_network import build_volume_network

TABLE_NAME = "class_embedding.weight"
FROZEN = "frozen/"
NOT_LEARNED = {"checkpoint_steps", "preview_steps", "base", "device"}
"""Settings that do not change what is learned."""
OF_ENGINES = {"lora", "latent", "volume", "inpainting"}
OF_BASE = {"low_shot_steps", "low_shot_trains"}


@dataclass(frozen=True)
class Course:
    """One training: what is learned, by which network, and what else belongs to the finished generator.

    Attributes:
        lessons: images and codes.
        vocabulary: what the codes mean.
        settings: network and training.
        more: facts of the engine, kept with the weights.
        frozen: weights of the engine that do not learn here (an autoencoder), kept with the others.
        preview: network to a picture `(H, W, 3)` uint8, drawn every `preview_steps`.
    """

    lessons: Lessons
    vocabulary: Vocabulary
    settings: GeneratorSettings
    more: dict[str, Any] = field(default_factory=dict)
    frozen: Tensors = field(default_factory=dict)
    preview: Callable[[Any], Pixels] | None = None


class Trained(NamedTuple):
    """A finished generator.

    Attributes:
        network: with averaged weights, in evaluation mode, on the device.
        vocabulary: what its codes mean.
        settings: that it was trained with.
        about: all that its file says about it.
        frozen: further weights of the engine.
    """

    network: Any
    vocabulary: Vocabulary
    settings: GeneratorSettings
    about: dict[str, Any]
    frozen: Tensors


class _Base(NamedTuple):
    """What a training starts from."""

    tensors: Tensors
    about: dict[str, Any]
    vocabulary: Vocabulary
    sha256: str


def learned_settings(settings: GeneratorSettings) -> dict[str, Any]:
    """Return the settings that decide what is learned; where things lie and how often they are saved is no part of it."""
    unused = NOT_LEARNED | (OF_ENGINES - {settings.engine}) | (OF_BASE if settings.base is None else set())
    return settings.model_dump(mode="json", exclude=unused)


def train_generator(course: Course, folder: Path, progress: Progress | None = None) -> GeneratorReport:
    """Train a generator in `folder`, go on with one that was stopped, or return the finished one.

    Args:
        course: what is learned.
        folder: of this generator; what lies there from other images or settings is replaced.
        progress: told of every step.

    Raises:
        UsageError: base and settings do not fit, the batch cannot be shared, or training diverged.
    """
    began, settings = time.monotonic(), course.settings
    base = None if settings.base is None else read_base(settings.base)
    first_step = _train(course, _describe(course, base), base, folder, progress or silent)
    return report_training(folder, steps_in_all(settings), first_step, began)


def report_training(folder: Path, steps: int, first_step: int, began: float) -> GeneratorReport:
    """Return what a training did that left a finished generator in `folder`; `began` is in the seconds of `time.monotonic`."""
    losses = read_losses(folder)
    return GeneratorReport(
        folder=str(folder),
        generator_sha256=generator_sha256(folder) or "",
        parameters=read_finished(folder)["parameters"],
        steps=steps,
        first_step=first_step,
        final_loss=sum(losses[-50:]) / len(losses[-50:]),
        seconds=time.monotonic() - began,
        loss_curve=str(folder / LOSS_NAME),
    )


def read_base(folder: Path) -> _Base:
    """Return the averaged weights of a finished generator, or of one that is still being trained, and what they are.

    Raises:
        UsageError: there is none.
    """
    for path, prefix in ((folder / GENERATOR_NAME, ""), (folder / CHECKPOINT_NAME, "average/")):
        about = read_about(path)
        if about is not None:
            found = {name.removeprefix(prefix): tensor for name, tensor in read_tensors(path).items() if name.startswith(prefix)}
            return _Base(found, about, _vocabulary_of(about), hashlib.sha256(path.read_bytes()).hexdigest())
    raise UsageError("synthesis.generator.base names a folder without a generator: name one that holds generator.safetensors")


def _vocabulary_of(about: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary of a generator; the first format knew labels only."""
    values = about.get("vocabulary") or {LABEL: about["classes"]}
    return Vocabulary({name: tuple(values[name]) for name in about.get("columns", [LABEL])})


def _describe(course: Course, base: _Base | None) -> dict[str, Any]:
    """Return what a generator is, apart from its weights."""
    lessons = course.lessons
    arrays = [array.numpy() for array in (lessons.images, lessons.codes, lessons.context) if array is not None]
    digest = hashlib.sha256()
    for array in [*arrays, *(tensor.numpy() for _, tensor in sorted(course.frozen.items()))]:
        digest.update(array.tobytes())
    return {
        "format": 2,
        "engine": course.settings.engine,
        "columns": list(course.vocabulary.values),
        "vocabulary": {name: list(values) for name, values in course.vocabulary.values.items()},
        "channels": lessons.images.shape[1],
        "size_px": lessons.images.shape[-1],
        "context_channels": 0 if lessons.context is None else lessons.context.shape[1],
        "settings": learned_settings(course.settings),
        "images_sha256": digest.hexdigest(),
        "base_sha256": None if base is None else base.sha256,
    } | course.more


def _build(about: dict[str, Any], vocabulary: Vocabulary, settings: GeneratorSettings) -> Any:
    if about.get("dimensions") == 3:
        return build_volume_network(about["channels"], vocabulary.rows, settings)
    size_px = about.get("size_px", settings.size_px)
    return build_network(about["channels"], vocabulary.rows, settings, size_px, about.get("context_channels", 0))


def _start(course: Course, about: dict[str, Any], base: _Base | None) -> Any:
    """Return the network before its first step: new, or the base's with a table of conditions that holds the new ones too.

    Raises:
        UsageError: the base is another kind of network.
    """
    network = _build(about, course.vocabulary, course.settings)
    if base is not None:
        if (side := base.about.get("size_px", about["size_px"])) != about["size_px"]:
            raise UsageError(f"the network of synthesis.generator.base sees {side} px, the recipe's {about['size_px']}: copy size_px from the base's recipe")
        tensors = base.tensors | {TABLE_NAME: grow_table(base.tensors[TABLE_NAME], base.vocabulary, course.vocabulary)}
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        if {name: tuple(tensors[name].shape) if name in tensors else () for name in shapes} != shapes:
            raise UsageError("synthesis.generator.base is of other channels than the recipe's generator: copy size_px and channels from the base's recipe")
        network.load_state_dict({name: tensors[name] for name in shapes})
        if course.settings.low_shot_trains == "conditions":
            network.requires_grad_(requires_grad=False)
            network.class_embedding.requires_grad_(requires_grad=True)
    return network.to(choose_device(course.settings)).train()


def _open_accelerator(settings: GeneratorSettings) -> Any:
    """Return an `Accelerator` when several processes train together, else None; the precision is the recipe's, whatever accelerate was set up for.

    Raises:
        UsageError: accelerate is set up to cut the network into parts.
    """
    if count_processes() == 1:
        return None
    from accelerate import Accelerator

    for plan in ("DEEPSPEED", "FSDP", "MEGATRON_LM", "PARALLELISM_CONFIG"):
        if os.environ.get(f"ACCELERATE_USE_{plan}", "").lower() in ("true", "1"):
            raise UsageError(f"accelerate is set up for {plan}, which cuts networks into parts; these fit on one GPU: start with accelerate launch --multi_gpu")
    return Accelerator(cpu=choose_device(settings).type == "cpu", mixed_precision="no")


def _train(course: Course, about: dict[str, Any], base: _Base | None, folder: Path, progress: Progress) -> int:
    """Return the step that this call began with; afterwards the finished generator lies in `folder`."""
    settings, steps = course.settings, steps_in_all(course.settings)
    if is_same(read_about(folder / GENERATOR_NAME), about):
        return steps
    network, accelerator = _start(course, about, base), _open_accelerator(settings)
    first_step = learn(_training(course, about, network, accelerator, folder), folder / GENERATOR_NAME, progress)
    if accelerator is not None:
        accelerator.wait_for_everyone()
    return first_step


def _training(course: Course, about: dict[str, Any], network: Any, accelerator: Any, folder: Path) -> Training:
    """Return how the network of a course learns, alone or with the other processes of the accelerator."""
    import torch

    settings, part, parts = course.settings, *_share(course.settings, accelerator)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate, weight_decay=0.01, fused=True)
    weights = class_weights(course.lessons.codes[:, 0], settings.balance)
    wrapped = network if accelerator is None else accelerator.prepare(network)
    scaler = open_scaler(choose_device(settings), settings.precision)

    def take_step(step: int) -> float:
        batch = share_of(draw_batch(step, course.lessons, weights, settings), part, parts)
        return train_step(wrapped, optimizer, batch, learning_rate(step, settings), settings, accelerator, scaler)

    return Training(
        what="generator",
        network=network,
        optimizer=optimizer,
        take_step=take_step,
        decay=lambda step: average_decay(step, settings),
        steps=steps_in_all(settings),
        checkpoint_steps=settings.checkpoint_steps,
        about=about,
        rate_key="synthesis.generator.learning_rate",
        scaler=scaler,
        frozen={FROZEN + name: tensor for name, tensor in course.frozen.items()},
        watch=lambda average, done: _leave_preview(course, about, average, done, folder),
    )


def _share(settings: GeneratorSettings, accelerator: Any) -> tuple[int, int]:
    """Return which part of every batch this process computes, and how many there are.

    Raises:
        UsageError: the batch does not divide.
    """
    part, parts = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    if settings.batch_size % (parts * settings.accumulation):
        raise UsageError(
            f"synthesis.generator.batch_size {settings.batch_size} cannot be shared by {parts} processes in {settings.accumulation} parts each: "
            f"make it a multiple of {parts * settings.accumulation}"
        )
    return part, parts


def _leave_preview(course: Course, about: dict[str, Any], average: Tensors, done: int, folder: Path) -> None:
    """Write, when it is time, a grid of samples."""
    settings = course.settings
    if course.preview is not None and settings.preview_steps and done % settings.preview_steps == 0:
        averaged = _build(about, course.vocabulary, settings).eval()
        averaged.load_state_dict(average)
        picture = course.preview(averaged.to(choose_device(settings)))
        write_bytes(encode_png(picture), folder / f"preview-{done:06d}.png")


def generator_sha256(folder: Path) -> str | None:
    """Return the hash of the finished generator in `folder`, None when there is none."""
    path = folder / GENERATOR_NAME
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def load_generator(folder: Path, device: Device = "auto") -> Trained:
    """Return the finished generator of a folder, on `device`, which is no part of what it is.

    Raises:
        UsageError: there is none.
    """
    about = read_finished(folder)
    vocabulary, settings = _vocabulary_of(about), GeneratorSettings(**about["settings"] | {"device": device})
    tensors = read_tensors(folder / GENERATOR_NAME)
    network = _build(about, vocabulary, settings).eval()
    network.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith(FROZEN)})
    frozen = {name.removeprefix(FROZEN): tensor for name, tensor in tensors.items() if name.startswith(FROZEN)}
    return Trained(network.to(choose_device(settings)), vocabulary, settings, about, frozen)
