"""How the network learns: batches balanced over the classes, v-prediction with min-SNR weights, a moving average of the weights.

Everything random in a step comes from one generator seeded by (seed, step), and the learning rate depends on the step only, so a run that was
killed and goes on from a checkpoint ends in the same bits as one that was not (on a CPU, with the same number of threads).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from synthesis.network import SCHEDULE, TRAIN_TIMESTEPS, autocast, number_type
from synthesis.recipe import GeneratorSettings

MIN_SNR_GAMMA = 5.0
MIN_WEIGHT = 0.25
GRADIENT_NORM = 1.0
AVERAGE_POWER = 17


class Lessons(NamedTuple):
    """What a network learns from.

    Attributes:
        images: `(N, C, H, W)` uint8, or float32 around [-1, 1]; latents of volumes `(N, C, D, H, W)`.
        codes: `(N, K)` int64 of `Vocabulary.encode`; the first column is the label.
        nulls: `(K,)` int64, the null rows.
        context: `(N, E, H, W)` float32 that the network is shown besides, flipped with the images, or None.
    """

    images: Any
    codes: Any
    nulls: Any
    context: Any = None


class Batch(NamedTuple):
    """What one step is made of.

    Attributes:
        clean: `(B, C, H, W)` float32 in [-1, 1].
        noise: the same shape, standard normal.
        timesteps: `(B,)` int64 in 0 … 999.
        codes: `(B, K)` int64, dropped ones replaced by the null rows.
        context: `(B, E, H, W)` float32 that the network is shown besides, or None.
    """

    clean: Any
    noise: Any
    timesteps: Any
    codes: Any
    context: Any = None


def class_weights(labels: Any, balance: float) -> Any:
    """Return `(N,)` probabilities of drawing each image: a class of n images is drawn with a probability in proportion to n^(1 - balance).

    Example:
        Labels 0, 0, 0, 1 with balance 1 give 1/6, 1/6, 1/6, 1/2: both classes are drawn equally often.
    """
    import torch

    counts = torch.bincount(labels).to(torch.float64)[labels]
    weights = counts**-balance
    return weights / weights.sum()


def draw_batch(step: int, lessons: Lessons, weights: Any, settings: GeneratorSettings) -> Batch:
    """Return the batch of `step`, the same whenever and by whichever process it is asked for.

    Labels are dropped together with all other columns, which guidance needs; other columns are dropped by themselves too, so that the network
    also knows images of which they are unknown.

    Args:
        step: number of the optimizer step, from 0.
        lessons: images and codes.
        weights: `(N,)` of `class_weights`.
        settings: batch size, flips, label drop, noise offset, seed.
    """
    import torch

    seed = int.from_bytes(hashlib.sha256(f"{settings.seed}/{step}".encode()).digest()[:7], "big")
    random, size = torch.Generator().manual_seed(seed), settings.batch_size
    chosen = torch.multinomial(weights, size, replacement=True, generator=random)
    clean, context = _as_signal(lessons.images[chosen]), None if lessons.context is None else lessons.context[chosen]
    for axis in (-1, -2):
        flipped = (torch.rand(size, generator=random) < 0.5).view(-1, *[1] * (clean.ndim - 1))
        if {-1: "horizontal", -2: "vertical"}[axis] in settings.flips:
            clean = torch.where(flipped, clean.flip(axis), clean)
            context = None if context is None else torch.where(flipped, context.flip(axis), context)
    noise = torch.randn(clean.shape, generator=random)
    timesteps = torch.randint(TRAIN_TIMESTEPS, (size,), generator=random)
    dropped = torch.rand(size, generator=random) < settings.label_drop
    columns = torch.rand((size, lessons.codes.shape[1]), generator=random) < settings.label_drop
    columns[:, 0] = False
    if settings.noise_offset:
        noise = noise + settings.noise_offset * torch.randn((*clean.shape[:2], *[1] * (clean.ndim - 2)), generator=random)
    return Batch(clean, noise, timesteps, torch.where(dropped[:, None] | columns, lessons.nulls, lessons.codes[chosen]), context)


def _as_signal(images: Any) -> Any:
    """Return images as float32; bytes become values in [-1, 1]."""
    import torch

    return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images.float()


def share_of(batch: Batch, part: int, parts: int) -> Batch:
    """Return part `part` of `parts` equal parts of a batch."""
    return Batch(*(None if values is None else values[part::parts] for values in batch))


def loss_weights(signal_to_noise: Any) -> Any:
    """Return the weight of the squared error of v: the SNR, kept between 1/4 and 5, over SNR + 1.

    The upper bound is min-SNR (Hang et al., 2023), the lower one truncated SNR (Salimans and Ho, 2022): without it the noisiest steps, which
    decide where things are in the image, count for next to nothing, and a short training puts lesions anywhere; with a bound of 1 it leaves grain.

    Example:
        SNR 0 gives 1/4; SNR 1 gives 1/2; SNR 9 gives 5/10.
    """
    return signal_to_noise.clamp(min=MIN_WEIGHT, max=MIN_SNR_GAMMA) / (signal_to_noise + 1)


def steps_in_all(settings: GeneratorSettings) -> int:
    """Return the number of optimizer steps: fewer when a base is there to start from."""
    return settings.steps if settings.base is None else settings.low_shot_steps


def learning_rate(step: int, settings: GeneratorSettings) -> float:
    """Return the rate of a step: a linear rise over the first twentieth (at most 200 steps), then half a cosine down to a hundredth."""
    steps = steps_in_all(settings)
    warmup = max(1, min(200, steps // 20))
    progress = step / max(1, steps)
    return settings.learning_rate * min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def average_decay(step: int, settings: GeneratorSettings) -> float:
    """Return the decay of the moving average: it spans about the last 6 % of the steps so far, but never more than `settings.ema_decay` says.

    A fixed span would hold the poor weights of the beginning in a short training (power-function averages: Karras et al., 2024).
    """
    return min(settings.ema_decay, (1 - 1 / (step + 1)) ** AVERAGE_POWER)


def train_step(network: Any, optimizer: Any, batch: Batch, rate: float, settings: GeneratorSettings, accelerator: Any = None, scaler: Any = None) -> float:
    """Take one optimizer step and return its loss.

    Args:
        network: in training mode.
        optimizer: of its weights.
        batch: of this process.
        rate: learning rate.
        settings: precision, and the number of parts that the batch is computed in.
        accelerator: of accelerate, when several processes train together.
        scaler: of `open_scaler`.
    """
    parts = settings.accumulation
    pieces = (_loss(network, share_of(batch, part, parts), settings.precision) / parts for part in range(parts))
    return descend(pieces, optimizer, rate, accelerator, scaler)


def open_scaler(device: Any, precision: str) -> Any:
    """Return what keeps small gradients of float16 from becoming zero (Micikevicius et al., 2018), or None for other numbers."""
    import torch

    return torch.amp.GradScaler(device.type) if number_type(device, precision) == torch.float16 else None


def descend(pieces: Iterable[Any], optimizer: Any, rate: float, accelerator: Any = None, scaler: Any = None) -> float:
    """Take one optimizer step down a loss and return it.

    Args:
        pieces: what the loss is the sum of, each computed when it is asked for.
        optimizer: of the weights that learn.
        rate: learning rate.
        accelerator: of accelerate, when several processes train together.
        scaler: of `open_scaler`.
    """
    import torch

    loss = 0.0
    for piece in pieces:
        (piece if scaler is None else scaler.scale(piece)).backward()
        loss += float(piece.item())
    if scaler is not None:
        scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([parameter for group in optimizer.param_groups for parameter in group["params"]], GRADIENT_NORM)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step() if scaler is None else scaler.step(optimizer)
    if scaler is not None:
        scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return loss if accelerator is None else float(accelerator.reduce(torch.tensor(loss, device=accelerator.device), "mean").item())


def _loss(network: Any, batch: Batch, precision: str) -> Any:
    """Return the weighted squared error of v, averaged over the batch."""
    import torch
    from diffusers import DDPMScheduler

    scheduler, device = DDPMScheduler(**SCHEDULE), next(network.parameters()).device
    clean, noise, timesteps, codes = (values.to(device) for values in batch[:4])
    noisy = scheduler.add_noise(clean, noise, timesteps)
    wanted = scheduler.get_velocity(clean, noise, timesteps)
    seen = noisy if batch.context is None else torch.cat([noisy, batch.context.to(device)], dim=1)
    with autocast(device, precision):
        predicted = network(seen, timesteps, codes).sample
    power = scheduler.alphas_cumprod.to(device)[timesteps]
    errors = (predicted.float() - wanted).square().flatten(1).mean(dim=1)
    return (loss_weights(power / (1 - power)) * errors).mean()


def update_average(network: Any, average: dict[str, Any], decay: float) -> None:
    """Move the average of the weights towards the weights, in place."""
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            average[name].lerp_(parameter, 1 - decay)
