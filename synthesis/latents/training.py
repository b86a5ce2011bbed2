"""How an autoencoder learns: the absolute error of values and of differences between neighbours, and a weak pull towards a normal distribution.

Without the differences edges blur (Mathieu et al., 2016); the pull is that of a variational autoencoder (Kingma and Welling, 2014). Everything random
in a step comes from one generator seeded by (seed, step), as when a generator is trained, so a training that was killed ends in the same bits.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from curation.errors import UsageError
from curation.progress import Progress
from synthesis.checkpoint import Tensors, finish_training, is_same, read_about, read_tensors, restore_checkpoint, save_checkpoint
from synthesis.latents.autoencoder import Autoencoder, build_autoencoder, check_sides, device_of, flipped_axes, frozen, to_signal
from synthesis.network import choose_device
from synthesis.processes import let_first
from synthesis.recipe import AutoencoderSettings, GeneratorSettings
from synthesis.training import AVERAGE_POWER, update_average

AUTOENCODER_NAME = "autoencoder.safetensors"
LARGEST_LOG_VARIANCE = 20.0
LONGEST_AVERAGE = 0.999


def train_autoencoder(images: Any, settings: AutoencoderSettings, training: GeneratorSettings, folder: Path, progress: Progress) -> Autoencoder:
    """Train an autoencoder in `folder`, go on with one that was stopped, or read the finished one.

    Of several processes the first one trains it, the others wait.

    Args:
        images: `(N, C, H, W)` or `(N, C, D, H, W)` uint8, sides divisible by the network's factor.
        settings: network and training.
        training: of the generator; its flips, precision, seed and steps between checkpoints hold here too.
        folder: of this autoencoder alone.
        progress: told of every step.

    Raises:
        UsageError: the sides cannot be halved as often as the settings ask, or training diverged.
    """
    coder = build_autoencoder(images.shape[1], settings, training.seed, images.ndim - 2)
    check_sides(tuple(images.shape[2:]), coder.factor)
    about = _describe(images, settings, training)
    finished = folder / AUTOENCODER_NAME
    let_first(lambda: _train(coder, images, about, settings, training, folder, progress), lambda: is_same(read_about(finished), about))
    coder.network.load_state_dict(read_tensors(finished))
    return frozen(coder)


def _describe(images: Any, settings: AutoencoderSettings, training: GeneratorSettings) -> dict[str, Any]:
    """Return what an autoencoder is, apart from its weights."""
    learned = settings.model_dump(mode="json", include=set(AutoencoderSettings.model_fields))
    shared = training.model_dump(mode="json", include={"flips", "precision", "seed"})
    return {"autoencoder": learned, **shared, "shape": list(images.shape[1:]), "images_sha256": hash_images(images)}


def hash_images(images: Any) -> str:
    """Return the SHA-256 of the values of a tensor."""
    return hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()


def _train(
    coder: Autoencoder, images: Any, about: dict[str, Any], settings: AutoencoderSettings, training: GeneratorSettings, folder: Path, progress: Progress
) -> None:
    """Train, leave the averaged weights in `folder`, drop the checkpoint."""
    import torch

    network = coder.network.to(choose_device(training)).train()
    average: Tensors = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True)
    losses = restore_checkpoint(folder, about, network, average, optimizer)
    for step in range(len(losses), settings.steps):
        optimizer.param_groups[0]["lr"] = _rate(step, settings)
        losses.append(_train_step(coder, optimizer, _draw_batch(step, images, settings, training), settings, training.precision))
        if losses[-1] != losses[-1]:
            raise UsageError(f"training the autoencoder diverged at step {step}: lower its learning_rate, or set precision to fp32")
        update_average(network, average, min(LONGEST_AVERAGE, (1 - 1 / (step + 1)) ** AVERAGE_POWER))
        if len(losses) % training.checkpoint_steps == 0 and len(losses) < settings.steps:
            save_checkpoint(network, average, optimizer, about, losses, folder)
        progress(len(losses), settings.steps, "training the autoencoder")
    finish_training(average, about, losses, folder / AUTOENCODER_NAME)


def _draw_batch(step: int, images: Any, settings: AutoencoderSettings, training: GeneratorSettings) -> tuple[Any, Any]:
    """Return the batch of `step`, `(B, C, …)` float32 in [-1, 1], and the random generator that drew it; both always the same."""
    import torch

    seed = int.from_bytes(hashlib.sha256(f"autoencoder/{training.seed}/{step}".encode()).digest()[:7], "big")
    random = torch.Generator().manual_seed(seed)
    batch = to_signal(images[torch.randint(len(images), (settings.batch_size,), generator=random)])
    for axis in flipped_axes(training):
        flipped = torch.rand(settings.batch_size, generator=random) < 0.5
        batch[flipped] = batch[flipped].flip(axis)
    return batch, random


def _train_step(coder: Autoencoder, optimizer: Any, drawn: tuple[Any, Any], settings: AutoencoderSettings, precision: str) -> float:
    """Take one optimizer step and return its loss."""
    import torch

    device, random = device_of(coder), drawn[1]
    batch = drawn[0].to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        mean, log_variance = (moment.float() for moment in coder.moments(batch))
        spread = log_variance.clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        latents = mean + torch.exp(0.5 * spread) * torch.randn(mean.shape, generator=random).to(device)
        rebuilt = coder.decode(latents).float()
    loss = reconstruction_loss(rebuilt, batch) + settings.kl_weight * normal_divergence(mean, spread)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(coder.network.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.item())


def _rate(step: int, settings: AutoencoderSettings) -> float:
    """Return the learning rate of a step: a linear rise over at most 100 steps, then half a cosine down to a hundredth."""
    warmup = max(1, min(100, settings.steps // 20))
    return settings.learning_rate * min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / settings.steps)))


def reconstruction_loss(rebuilt: Any, images: Any) -> Any:
    """Return the mean absolute error plus, for every axis of space, that of the differences of neighbours; `(B, C, …)` both.

    Example:
        An image that is .1 too bright everywhere: .1, since its differences are right.
    """
    loss = (rebuilt - images).abs().mean()
    for axis in range(2, images.ndim):
        loss = loss + (rebuilt.diff(dim=axis) - images.diff(dim=axis)).abs().mean()
    return loss


def normal_divergence(mean: Any, log_variance: Any) -> Any:
    """Return the mean Kullback-Leibler divergence of the latents from a standard normal distribution.

    Example:
        Mean 1 and variance 1 give 1/2.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
