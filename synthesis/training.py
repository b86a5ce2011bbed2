"""How the network learns: batches balanced over the classes, v-prediction with min-SNR weights, a moving average of the weights.

Everything random in a step comes from one generator seeded by (seed, step), and the learning rate depends on the step only, so a run that was
killed and goes on from a checkpoint ends in the same bits as one that was not (on a CPU, with the same number of threads).
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

from synthesis.network import SCHEDULE, TRAIN_TIMESTEPS
from synthesis.recipe import GeneratorSettings

MIN_SNR_GAMMA = 5.0
MIN_WEIGHT = 0.25
GRADIENT_NORM = 1.0
AVERAGE_POWER = 17


class Batch(NamedTuple):
    """What one step is made of.

    Attributes:
        clean: `(B, C, H, W)` float32 in [-1, 1].
        noise: the same shape, standard normal.
        timesteps: `(B,)` int64 in 0 … 999.
        labels: `(B,)` int64, dropped ones replaced by the null label.
    """

    clean: Any
    noise: Any
    timesteps: Any
    labels: Any


def class_weights(labels: Any, balance: float) -> Any:
    """Return `(N,)` probabilities of drawing each image: a class of n images is drawn with a probability in proportion to n^(1 - balance).

    Example:
        Labels 0, 0, 0, 1 with balance 1 give 1/6, 1/6, 1/6, 1/2: both classes are drawn equally often.
    """
    import torch

    counts = torch.bincount(labels).to(torch.float64)[labels]
    weights = counts**-balance
    return weights / weights.sum()


def draw_batch(step: int, images: Any, labels: Any, weights: Any, null_label: int, settings: GeneratorSettings) -> Batch:
    """Return the batch of `step`, the same whenever it is asked for.

    Args:
        step: number of the optimizer step, from 0.
        images: `(N, C, H, W)` float32 in [-1, 1].
        labels: `(N,)` int64.
        weights: `(N,)` of `class_weights`.
        null_label: stands for a dropped label.
        settings: batch size, flips, label drop, seed.
    """
    import torch

    seed = int.from_bytes(hashlib.sha256(f"{settings.seed}/{step}".encode()).digest()[:7], "big")
    random, size = torch.Generator().manual_seed(seed), settings.batch_size
    chosen = torch.multinomial(weights, size, replacement=True, generator=random)
    clean = images[chosen]
    for axis in (-1, -2):
        flipped = torch.rand(size, generator=random) < 0.5
        if {-1: "horizontal", -2: "vertical"}[axis] in settings.flips:
            clean = torch.where(flipped[:, None, None, None], clean.flip(axis), clean)
    noise = torch.randn(clean.shape, generator=random)
    timesteps = torch.randint(TRAIN_TIMESTEPS, (size,), generator=random)
    dropped = torch.rand(size, generator=random) < settings.label_drop
    return Batch(clean, noise, timesteps, torch.where(dropped, torch.tensor(null_label), labels[chosen]))


def loss_weights(signal_to_noise: Any) -> Any:
    """Return the weight of the squared error of v: the SNR, kept between 1/4 and 5, over SNR + 1.

    The upper bound is min-SNR (Hang et al., 2023), the lower one truncated SNR (Salimans and Ho, 2022): without it the noisiest steps, which
    decide where things are in the image, count for next to nothing, and a short training puts lesions anywhere; with a bound of 1 it leaves grain.

    Example:
        SNR 0 gives 1/4; SNR 1 gives 1/2; SNR 9 gives 5/10.
    """
    return signal_to_noise.clamp(min=MIN_WEIGHT, max=MIN_SNR_GAMMA) / (signal_to_noise + 1)


def learning_rate(step: int, settings: GeneratorSettings) -> float:
    """Return the rate of a step: a linear rise over the first twentieth (at most 200 steps), then half a cosine down to a hundredth."""
    warmup = max(1, min(200, settings.steps // 20))
    progress = step / max(1, settings.steps)
    return settings.learning_rate * min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def average_decay(step: int, settings: GeneratorSettings) -> float:
    """Return the decay of the moving average: it spans about the last 6 % of the steps so far, but never more than `settings.ema_decay` says.

    A fixed span would hold the poor weights of the beginning in a short training (power-function averages: Karras et al., 2024).
    """
    return min(settings.ema_decay, (1 - 1 / (step + 1)) ** AVERAGE_POWER)


def train_step(network: Any, optimizer: Any, batch: Batch, rate: float, precision: str) -> float:
    """Take one optimizer step and return its loss."""
    import torch
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(**SCHEDULE)
    noisy = scheduler.add_noise(batch.clean, batch.noise, batch.timesteps)
    wanted = scheduler.get_velocity(batch.clean, batch.noise, batch.timesteps)
    with torch.autocast(noisy.device.type, torch.bfloat16, enabled=precision == "bf16"):
        predicted = network(noisy, batch.timesteps, batch.labels).sample
    power = scheduler.alphas_cumprod[batch.timesteps]
    errors = (predicted.float() - wanted).square().mean(dim=(1, 2, 3))
    loss = (loss_weights(power / (1 - power)) * errors).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.item())


def update_average(network: Any, average: dict[str, Any], decay: float) -> None:
    """Move the average of the weights towards the weights, in place."""
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            average[name].lerp_(parameter, 1 - decay)
