"""A generator: trained once in a folder of its own, then asked for images by class and seed.

To go on after a crash, call `train_generator` again with the same arguments. The folder holds `generator.safetensors` (averaged weights
and what they are), `loss.csv`, and while training lasts `checkpoint.safetensors`.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import UsageError
from curation.manifest import write_bytes
from curation.progress import Progress, silent
from synthesis.checkpoint import CHECKPOINT_NAME, GENERATOR_NAME, Tensors, pack_state, read_about, read_tensors, unpack_state, write_tensors
from synthesis.network import build_network
from synthesis.recipe import GeneratorSettings, SamplingSettings
from synthesis.sampling import draw_images
from synthesis.training import average_decay, class_weights, draw_batch, learning_rate, train_step, update_average

LOSS_NAME = "loss.csv"


@dataclass(frozen=True)
class GeneratorReport:
    """What training a generator did.

    Attributes:
        folder: where it lies.
        generator_sha256: hash of `generator.safetensors`: weights, classes, settings.
        parameters: number of weights.
        steps: optimizer steps in all.
        first_step: step that this call began with: 0, the last checkpoint's, or `steps` when the generator was finished before.
        final_loss: mean loss of the last 50 steps.
        seconds: of this call.
        loss_curve: CSV with step and loss.
    """

    folder: str
    generator_sha256: str
    parameters: int
    steps: int
    first_step: int
    final_loss: float
    seconds: float
    loss_curve: str


def train_generator(
    images: Any, labels: Any, classes: tuple[str, ...], settings: GeneratorSettings, folder: Path, progress: Progress | None = None
) -> GeneratorReport:
    """Train a generator in `folder`, go on with one that was stopped, or return the finished one.

    Args:
        images: `(N, C, H, W)` float32 in [-1, 1], square with side `settings.size_px`; C is 1 or 3.
        labels: `(N,)` int64, positions in `classes`; each class has at least one image.
        classes: names of the labels.
        settings: network and training.
        folder: of this generator; what lies there from other images or settings is replaced.
        progress: told of every step.

    Raises:
        UsageError: images and settings do not fit, or training diverged.
    """
    import torch

    began = time.monotonic()
    images, labels = torch.as_tensor(images, dtype=torch.float32), torch.as_tensor(labels, dtype=torch.int64)
    _check(images, labels, classes, settings)
    about = _describe(images, labels, classes, settings)
    losses, first_step = _train(images, labels, about, settings, folder, progress or silent)
    finished = folder / GENERATOR_NAME
    known = read_about(finished) or about
    return GeneratorReport(
        folder=str(folder),
        generator_sha256=generator_sha256(folder) or "",
        parameters=known["parameters"],
        steps=settings.steps,
        first_step=first_step,
        final_loss=sum(losses[-50:]) / len(losses[-50:]),
        seconds=time.monotonic() - began,
        loss_curve=str(folder / LOSS_NAME),
    )


def _check(images: Any, labels: Any, classes: tuple[str, ...], settings: GeneratorSettings) -> None:
    """Raise `UsageError` unless the arguments fit each other."""
    if images.shape[2:] != (settings.size_px, settings.size_px) or images.shape[1] not in (1, 3) or len(images) != len(labels):
        raise UsageError(f"a generator of {settings.size_px} px cannot be trained on images of shape {tuple(images.shape)} with {len(labels)} labels")
    if sorted(set(labels.tolist())) != list(range(len(classes))):
        raise UsageError("every class of a generator needs at least one train image")


def _describe(images: Any, labels: Any, classes: tuple[str, ...], settings: GeneratorSettings) -> dict[str, Any]:
    """Return what a generator is, apart from its weights. How often it is saved is no part of it."""
    digest = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes())
    return {
        "format": 1,
        "classes": list(classes),
        "channels": images.shape[1],
        "settings": settings.model_dump(mode="json", exclude={"checkpoint_steps"}),
        "images_sha256": digest.hexdigest(),
    }


def _is_same(found: dict[str, Any] | None, about: dict[str, Any]) -> bool:
    return found is not None and all(found.get(key) == value for key, value in about.items())


def _train(images: Any, labels: Any, about: dict[str, Any], settings: GeneratorSettings, folder: Path, progress: Progress) -> tuple[list[float], int]:
    """Return the loss of every step and the step that this call began with; afterwards the finished generator lies in `folder`."""
    import torch

    if _is_same(read_about(folder / GENERATOR_NAME), about):
        return [float(line.split(",")[1]) for line in (folder / LOSS_NAME).read_text().splitlines()[1:]], settings.steps
    network = build_network(about["channels"], len(about["classes"]), settings).train()
    average: Tensors = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True)
    losses = _restore(folder / CHECKPOINT_NAME, about, network, average, optimizer)
    first_step, weights = len(losses), class_weights(labels, settings.balance)
    for step in range(first_step, settings.steps):
        batch = draw_batch(step, images, labels, weights, len(about["classes"]), settings)
        losses.append(train_step(network, optimizer, batch, learning_rate(step, settings), settings.precision))
        if losses[-1] != losses[-1]:
            raise UsageError(f"training the generator diverged at step {step}: lower synthesis.generator.learning_rate, or set precision to fp32")
        update_average(network, average, average_decay(step, settings))
        if len(losses) % settings.checkpoint_steps == 0 and len(losses) < settings.steps:
            write_tensors(pack_state(network, average, optimizer), about | {"losses": losses}, folder / CHECKPOINT_NAME)
        progress(len(losses), settings.steps, "training the generator")
    _finish(average, about, losses, folder)
    return losses, first_step


def _restore(path: Path, about: dict[str, Any], network: Any, average: Tensors, optimizer: Any) -> list[float]:
    """Put the checkpoint at `path` back, if it is one of this training, and return the losses until then."""
    found = read_about(path)
    if found is None or not _is_same(found, about):
        return []
    losses: list[float] = found["losses"]
    unpack_state(read_tensors(path), len(losses), network, average, optimizer)
    return losses


def _finish(average: Tensors, about: dict[str, Any], losses: list[float], folder: Path) -> None:
    """Write the loss curve, then the averaged weights (their file says that training is over), then drop the checkpoint."""
    curve = "step,loss\n" + "".join(f"{step},{loss!r}\n" for step, loss in enumerate(losses))
    write_bytes(curve.encode(), folder / LOSS_NAME)
    write_tensors(average, about | {"parameters": sum(tensor.numel() for tensor in average.values())}, folder / GENERATOR_NAME)
    (folder / CHECKPOINT_NAME).unlink(missing_ok=True)


def generator_sha256(folder: Path) -> str | None:
    """Return the hash of the finished generator in `folder`, None when there is none."""
    path = folder / GENERATOR_NAME
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def sample(folder: Path, class_index: int, seeds: list[int], settings: SamplingSettings, progress: Progress | None = None) -> Any:
    """Return `(N, C, H, W)` uint8 images of a finished generator, one a seed; the same seed gives the same pixels at any batch size.

    Args:
        folder: of the generator.
        class_index: position of the wanted label in the generator's classes.
        seeds: one an image.
        settings: steps, guidance, batch size.
        progress: told of every batch.

    Raises:
        UsageError: there is no finished generator, or no such class.
    """
    import torch

    about = read_about(folder / GENERATOR_NAME)
    if about is None or not 0 <= class_index < len(about["classes"]):
        raise UsageError(f"no finished generator with class {class_index} in {folder}")
    trained = GeneratorSettings(**about["settings"])
    network = build_network(about["channels"], len(about["classes"]), trained).eval()
    network.load_state_dict(read_tensors(folder / GENERATOR_NAME))
    shape, drawn = (about["channels"], trained.size_px, trained.size_px), []
    for start in range(0, len(seeds), settings.batch_size):
        drawn.append(draw_images(network, class_index, seeds[start : start + settings.batch_size], shape, settings, trained.precision))
        (progress or silent)(min(start + settings.batch_size, len(seeds)), len(seeds), "sampling candidates")
    return torch.cat(drawn).numpy() if drawn else torch.empty((0, *shape), dtype=torch.uint8).numpy()
