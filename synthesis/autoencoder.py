"""Autoencoders: a small network packs an image or a volume into latents, which are cheaper to generate than pixels, and unpacks them.

Trained here with the absolute error of values and of differences between neighbours (Mathieu et al., 2016: without the second, edges blur) and a
weak pull of the latents towards a normal distribution (Kingma and Welling, 2014), or read from a folder or a hub. A generator learns from the
means of the posterior, never from samples of it: the noise of a sample can be a quarter of the latents' variance, and cannot be learned.

Everything random in a step comes from one generator seeded by (seed, step), as when a generator is trained, so a killed training ends in the same bits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import UsageError
from curation.manifest import write_bytes
from curation.progress import Progress
from synthesis.checkpoint import CHECKPOINT_NAME, Tensors, pack_state, read_about, read_tensors, unpack_state, write_tensors
from synthesis.recipe import AutoencoderSettings

AUTOENCODER_NAME = "autoencoder.safetensors"
LOSS_NAME = "loss.csv"
ENCODED_IMAGES = 8
"""Images a forward pass; the last one is filled up with copies, since kernels round differently for different batch sizes."""
LARGEST_LOG_VARIANCE = 20.0


class Autoencoder(NamedTuple):
    """A network with its two directions.

    Attributes:
        network: module with all weights.
        moments: `(B, C, …)` float32 in [-1, 1] to mean and logarithm of the variance of its latents, both `(B, L, …)`.
        decode: `(B, L, …)` latents to `(B, C, …)`.
        factor: how many times smaller every side of a latent is.
        latent_channels: L.
    """

    network: Any
    moments: Callable[[Any], tuple[Any, Any]]
    decode: Callable[[Any], Any]
    factor: int
    latent_channels: int


def build_autoencoder(image_channels: int, settings: AutoencoderSettings, seed: int, dimensions: int) -> Autoencoder:
    """Return a new autoencoder, initialised from `seed`: diffusers' AutoencoderKL for images, MONAI's for volumes.

    Neither has attention: at these sizes it costs more than it gives.

    Args:
        image_channels: C, 1 for gray and volumes, 3 for RGB.
        settings: width, number of latent channels.
        seed: of the weights.
        dimensions: 2 for images, 3 for volumes.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return wrap_images(_build_2d(image_channels, settings)) if dimensions == 2 else _wrap_volumes(_build_3d(image_channels, settings), settings)


def _build_2d(image_channels: int, settings: AutoencoderSettings) -> Any:
    from diffusers import AutoencoderKL

    levels = len(settings.channels)
    return AutoencoderKL(
        in_channels=image_channels,
        out_channels=image_channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=settings.channels,
        layers_per_block=1,
        latent_channels=settings.latent_channels,
        norm_num_groups=math.gcd(16, *settings.channels),
        mid_block_add_attention=False,
    )


def _build_3d(image_channels: int, settings: AutoencoderSettings) -> Any:
    from monai.networks.nets.autoencoderkl import AutoencoderKL

    levels = len(settings.channels)
    return AutoencoderKL(
        spatial_dims=3,
        in_channels=image_channels,
        out_channels=image_channels,
        num_res_blocks=(1,) * levels,
        channels=settings.channels,
        attention_levels=(False,) * levels,
        latent_channels=settings.latent_channels,
        norm_num_groups=math.gcd(16, *settings.channels),
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    )


def wrap_images(network: Any) -> Autoencoder:
    """Return a diffusers `AutoencoderKL` with its two directions."""

    def moments(images: Any) -> tuple[Any, Any]:
        found = network.encode(images).latent_dist
        return found.mean, found.logvar

    factor = 2 ** (len(network.config.block_out_channels) - 1)
    return Autoencoder(network, moments, lambda latents: network.decode(latents).sample, factor, network.config.latent_channels)


def _wrap_volumes(network: Any, settings: AutoencoderSettings) -> Autoencoder:
    """Return a MONAI `AutoencoderKL` with its two directions."""

    def moments(volumes: Any) -> tuple[Any, Any]:
        mean, deviation = network.encode(volumes)
        return mean, 2 * deviation.clamp(min=1e-12).log()

    return Autoencoder(network, moments, network.decode, 2 ** (len(settings.channels) - 1), settings.latent_channels)


def train_autoencoder(
    images: Any, settings: AutoencoderSettings, seed: int, precision: str, checkpoint_steps: int, folder: Path, progress: Progress
) -> Autoencoder:
    """Train an autoencoder in `folder`, go on with one that was stopped, or read the finished one.

    Args:
        images: `(N, C, H, W)` or `(N, C, D, H, W)` float32 in [-1, 1], sides divisible by the network's factor.
        settings: network and training.
        seed: of weights and batches.
        precision: `bf16` or `fp32`.
        checkpoint_steps: steps between checkpoints.
        folder: of this autoencoder alone.
        progress: told of every step.

    Raises:
        UsageError: the sides cannot be halved as often as the settings ask, or training diverged.
    """
    coder = build_autoencoder(images.shape[1], settings, seed, images.ndim - 2)
    check_sides(tuple(images.shape[2:]), coder.factor)
    about = _describe(images, settings, seed, precision)
    if not _is_same(read_about(folder / AUTOENCODER_NAME), about):
        _train(coder, images, about, settings, checkpoint_steps, folder, progress)
    coder.network.load_state_dict(read_tensors(folder / AUTOENCODER_NAME))
    coder.network.eval().requires_grad_(False)
    return coder


def check_sides(sides: tuple[int, ...], factor: int) -> None:
    """Raise `UsageError` unless all sides are divisible by `factor`."""
    if any(side % factor for side in sides):
        raise UsageError(
            f"an autoencoder that makes sides {factor} times smaller cannot take {' x '.join(map(str, sides))}: change size_px, slices or channels"
        )


def _describe(images: Any, settings: AutoencoderSettings, seed: int, precision: str) -> dict[str, Any]:
    """Return what an autoencoder is, apart from its weights."""
    learned = settings.model_dump(mode="json", include=set(AutoencoderSettings.model_fields))
    digest = hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()
    return {"autoencoder": learned, "seed": seed, "precision": precision, "shape": list(images.shape[1:]), "images_sha256": digest}


def _is_same(found: dict[str, Any] | None, about: dict[str, Any]) -> bool:
    return found is not None and all(found.get(key) == value for key, value in about.items())


def _train(
    coder: Autoencoder, images: Any, about: dict[str, Any], settings: AutoencoderSettings, checkpoint_steps: int, folder: Path, progress: Progress
) -> None:
    """Train, leave the averaged weights in `folder`, drop the checkpoint."""
    import torch

    network = coder.network.train()
    average: Tensors = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True)
    losses: list[float] = []
    found = read_about(folder / CHECKPOINT_NAME)
    if found is not None and _is_same(found, about):
        losses = found["losses"]
        unpack_state(read_tensors(folder / CHECKPOINT_NAME), len(losses), network, average, optimizer)
    for step in range(len(losses), settings.steps):
        losses.append(_train_step(coder, optimizer, images, step, about, settings))
        if losses[-1] != losses[-1]:
            raise UsageError(f"training the autoencoder diverged at step {step}: lower its learning_rate, or set precision to fp32")
        _follow(network, average, min(0.999, (1 - 1 / (step + 1)) ** 17))
        if len(losses) % checkpoint_steps == 0 and len(losses) < settings.steps:
            write_tensors(pack_state(network, average, optimizer), about | {"losses": losses}, folder / CHECKPOINT_NAME)
        progress(len(losses), settings.steps, "training the autoencoder")
    write_bytes(("step,loss\n" + "".join(f"{step},{loss!r}\n" for step, loss in enumerate(losses))).encode(), folder / LOSS_NAME)
    write_tensors(average, about, folder / AUTOENCODER_NAME)
    (folder / CHECKPOINT_NAME).unlink(missing_ok=True)


def _follow(network: Any, average: Tensors, decay: float) -> None:
    """Move the average of the weights towards the weights, in place."""
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            average[name].lerp_(parameter, 1 - decay)


def _train_step(coder: Autoencoder, optimizer: Any, images: Any, step: int, about: dict[str, Any], settings: AutoencoderSettings) -> float:
    """Take one optimizer step and return its loss."""
    import torch

    seed = int.from_bytes(hashlib.sha256(f"autoencoder/{about['seed']}/{step}".encode()).digest()[:7], "big")
    random = torch.Generator().manual_seed(seed)
    batch = images[torch.randint(len(images), (settings.batch_size,), generator=random)]
    with torch.autocast("cpu", torch.bfloat16, enabled=about["precision"] == "bf16"):
        mean, log_variance = (moment.float() for moment in coder.moments(batch))
        spread = log_variance.clamp(-30.0, LARGEST_LOG_VARIANCE)
        latents = mean + torch.exp(0.5 * spread) * torch.randn(mean.shape, generator=random)
        rebuilt = coder.decode(latents).float()
    loss = reconstruction_loss(rebuilt, batch) + settings.kl_weight * normal_divergence(mean, spread)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(coder.network.parameters(), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = _rate(step, settings)
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


def encode_means(coder: Autoencoder, images: Any, precision: str) -> Any:
    """Return the `(N, L, …)` float32 means of the posterior of `(N, C, …)` images in [-1, 1]."""
    return _by_chunk(lambda chunk: coder.moments(chunk)[0], images, precision)


def decode_latents(coder: Autoencoder, latents: Any, precision: str) -> Any:
    """Return `(N, C, …)` float32 images of `(N, L, …)` latents; each depends on its own latent alone."""
    return _by_chunk(coder.decode, latents, precision)


def _by_chunk(function: Callable[[Any], Any], tensors: Any, precision: str) -> Any:
    """Return what `function` makes of the tensors, always of so many at a time."""
    import torch

    made = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for chunk in tensors.split(ENCODED_IMAGES):
            filled = torch.cat([chunk, chunk[-1:].expand(ENCODED_IMAGES - len(chunk), *chunk.shape[1:])])
            made.append(function(filled)[: len(chunk)].float())
    return torch.cat(made)
