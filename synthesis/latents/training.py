"""How an autoencoder learns: the absolute error of values and of differences between neighbours, and a weak pull towards a normal distribution.

Without the differences edges blur (Mathieu et al., 2016); the pull is that of a variational autoencoder (Kingma and Welling, 2014). Everything random
in a step comes from one generator seeded by (seed, step), as when a generator is trained, so a training that was killed ends in the same bits.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from curation.progress import Progress
from synthesis.checkpoint import is_same, read_about, read_tensors
from synthesis.latents.autoencoder import Autoencoder, build_autoencoder, check_sides, device_of, flipped_axes, frozen, to_signal
from synthesis.learning import Training, learn
from synthesis.network import autocast, choose_device
from synthesis.processes import let_first
from synthesis.recipe import AutoencoderSettings, GeneratorSettings
from synthesis.training import AVERAGE_POWER, descend

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

    def train() -> None:
        learn(_training(coder, images, about, settings, training), finished, progress)

    let_first(train, lambda: is_same(read_about(finished), about))
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


def _training(coder: Autoencoder, images: Any, about: dict[str, Any], settings: AutoencoderSettings, training: GeneratorSettings) -> Training:
    """Return how the autoencoder learns."""
    import torch

    network = coder.network.to(choose_device(training)).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True)

    def take_step(step: int) -> float:
        return descend([_loss(coder, _draw_batch(step, images, settings, training), settings, training.precision)], optimizer, _rate(step, settings))

    return Training(
        what="autoencoder",
        network=network,
        optimizer=optimizer,
        take_step=take_step,
        decay=lambda step: min(LONGEST_AVERAGE, (1 - 1 / (step + 1)) ** AVERAGE_POWER),
        steps=settings.steps,
        checkpoint_steps=training.checkpoint_steps,
        about=about,
        rate_key=f"synthesis.generator.{'volume' if images.ndim == 5 else 'latent'}.learning_rate",
    )


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


def _loss(coder: Autoencoder, drawn: tuple[Any, Any], settings: AutoencoderSettings, precision: str) -> Any:
    """Return the loss of what `_draw_batch` drew."""
    import torch

    device, random = device_of(coder), drawn[1]
    batch = drawn[0].to(device)
    with autocast(device, precision, overflows=True):
        mean, log_variance = (moment.float() for moment in coder.moments(batch))
        spread = log_variance.clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        latents = mean + torch.exp(0.5 * spread) * torch.randn(mean.shape, generator=random).to(device)
        rebuilt = coder.decode(latents).float()
    return reconstruction_loss(rebuilt, batch) + settings.kl_weight * normal_divergence(mean, spread)


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
