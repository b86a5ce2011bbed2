"""Autoencoders: a small network packs an image or a volume into latents, which are cheaper to generate than pixels, and unpacks them.

New ones are built for `training.py`, pretrained ones are read from a folder or a hub. A generator learns from the means of the posterior, never from
samples of it: the noise of a sample can be a quarter of the latents' variance, and cannot be learned.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import UsageError
from curation.hub import fetch_model
from synthesis.checkpoint import Tensors
from synthesis.network import autocast
from synthesis.recipe import AutoencoderSettings, GeneratorSettings

ENCODED_IMAGES = 8
"""Images a forward pass; the last one is filled up with copies, since kernels round differently for different batch sizes."""
FETCHED = ("*.safetensors", "config.json", "vae/*.safetensors", "vae/config.json")
UNWANTED = ("unet/*", "text_encoder*/*", "safety_checker/*", "*.*.safetensors")
"""Of a pipeline the other parts; the same weights again in half precision, as `model.fp16.safetensors`."""


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
        return _wrap_images(_build_2d(image_channels, settings)) if dimensions == 2 else _wrap_volumes(_build_3d(image_channels, settings), settings)


def read_autoencoder(name: str) -> Autoencoder:
    """Return a pretrained 2-D autoencoder, to be used as it is.

    Args:
        name: folder or hub id of a diffusers `AutoencoderKL`, or of a pipeline with one in `vae`. Only safetensors and JSON are read or fetched.

    Raises:
        UsageError: there is none, or it has no safetensors.
        ServiceError: the hub could not be reached and the files are not in the local cache.
    """
    from diffusers import AutoencoderKL

    folder = Path(name).expanduser() if Path(name).expanduser().is_dir() else fetch_model("synthesis.generator.latent.autoencoder", name, FETCHED, UNWANTED)
    folder = folder / "vae" if (folder / "vae" / "config.json").is_file() else folder
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise UsageError("synthesis.generator.latent.autoencoder: no config.json with safetensors beside it; pickled weights are not read, convert them first")
    try:
        return frozen(_wrap_images(AutoencoderKL.from_pretrained(folder, use_safetensors=True, local_files_only=True)))
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UsageError("synthesis.generator.latent.autoencoder is not a diffusers AutoencoderKL: name a folder or hub id that is") from error


def rebuild_autoencoder(config: dict[str, Any], weights: Tensors) -> Autoencoder:
    """Return the autoencoder that `describe_autoencoder` described, with these weights."""
    if config["dimensions"] == 3:
        coder = build_autoencoder(config["image_channels"], AutoencoderSettings(**config["network"]), 0, 3)
    else:
        from diffusers import AutoencoderKL

        coder = _wrap_images(AutoencoderKL.from_config(config["network"]))
    coder.network.load_state_dict(weights)
    return frozen(coder)


def describe_autoencoder(coder: Autoencoder, settings: AutoencoderSettings, dimensions: int, image_channels: int) -> dict[str, Any]:
    """Return what `rebuild_autoencoder` needs beside the weights, as plain JSON values."""
    if dimensions == 3:
        network = settings.model_dump(mode="json", include=set(AutoencoderSettings.model_fields))
    else:
        network = {key: value for key, value in dict(coder.network.config).items() if not key.startswith("_")}
    return {"dimensions": dimensions, "image_channels": image_channels, "network": json.loads(json.dumps(network))}


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


def _wrap_images(network: Any) -> Autoencoder:
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


def frozen(coder: Autoencoder) -> Autoencoder:
    """Return an autoencoder that does not learn any more."""
    coder.network.eval().requires_grad_(requires_grad=False)
    return coder


def check_sides(sides: tuple[int, ...], factor: int) -> None:
    """Raise `UsageError` unless all sides are divisible by `factor`."""
    if any(side % factor for side in sides):
        raise UsageError(
            f"an autoencoder that makes sides {factor} times smaller cannot take {' x '.join(map(str, sides))}: change size_px, slices or channels"
        )


def flipped_axes(training: GeneratorSettings) -> list[int]:
    """Return the axes of a tensor that the recipe allows to flip."""
    return [{"horizontal": -1, "vertical": -2}[name] for name in training.flips]


def to_signal(images: Any) -> Any:
    """Return bytes as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def encode_means(coder: Autoencoder, images: Any, precision: str) -> Any:
    """Return the `(N, L, …)` float32 means of the posterior of `(N, C, …)` uint8 images."""
    return _by_chunk(coder, lambda chunk: coder.moments(to_signal(chunk))[0], images, precision)


def decode_latents(coder: Autoencoder, latents: Any, precision: str) -> Any:
    """Return `(N, C, …)` float32 images, about in [-1, 1], of `(N, L, …)` latents; each depends on its own latent alone."""
    return _by_chunk(coder, coder.decode, latents, precision)


def device_of(coder: Autoencoder) -> Any:
    """Return the torch device that the weights are on."""
    return next(coder.network.parameters()).device


def _by_chunk(coder: Autoencoder, function: Callable[[Any], Any], tensors: Any, precision: str) -> Any:
    """Return what `function` makes of the tensors, always of so many at a time."""
    import torch

    device, made = device_of(coder), []
    with torch.inference_mode(), autocast(device, precision, overflows=True):
        for chunk in tensors.split(ENCODED_IMAGES):
            filled = torch.cat([chunk, chunk[-1:].expand(ENCODED_IMAGES - len(chunk), *chunk.shape[1:])])
            made.append(function(filled.to(device))[: len(chunk)].float().cpu())
    return torch.cat(made)
