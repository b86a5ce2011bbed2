"""The space that a generator of latents works in: an autoencoder, and what centres and scales its latents.

Each channel of the latents has its own mean and standard deviation, both measured on the train images, so that the network sees values with mean 0
and deviation 1, whatever autoencoder made them. The means of the posterior are stored beside the generator, once for every flip that the recipe
allows: a flipped latent is not the latent of the flipped image.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

from curation.progress import Progress
from synthesis.checkpoint import Tensors, read_about, read_tensors, write_tensors
from synthesis.latents.autoencoder import Autoencoder, decode_latents, describe_autoencoder, encode_means, flipped_axes, rebuild_autoencoder
from synthesis.latents.training import hash_images
from synthesis.network import choose_device
from synthesis.processes import let_first
from synthesis.recipe import AutoencoderSettings, GeneratorSettings

LATENTS_NAME = "latents.safetensors"
AUTOENCODER = "autoencoder"


class LatentSpace(NamedTuple):
    """An autoencoder and the scale of its latents.

    Attributes:
        coder: does not learn any more.
        mean: `(L,)` float32, of the latents of the train images.
        deviation: the same for the standard deviation.
        config: plain JSON values that say which network it is.
        precision: `bf16`, `fp16` or `fp32`.
    """

    coder: Autoencoder
    mean: Any
    deviation: Any
    config: dict[str, Any]
    precision: str

    def pack(self, images: Any) -> Any:
        """Return `(N, L, …)` float32 latents with mean 0 and deviation 1 of `(N, C, …)` uint8 images."""
        return self.scaled(encode_means(self.coder, images, self.precision))

    def unpack(self, latents: Any) -> Any:
        """Return `(N, C, …)` float32 images, about in [-1, 1], of such latents."""
        return decode_latents(self.coder, latents * _along(self.deviation, latents) + _along(self.mean, latents), self.precision)

    def scaled(self, means: Any) -> Any:
        """Return `(N, L, …)` means of the posterior with mean 0 and deviation 1."""
        return (means - _along(self.mean, means)) / _along(self.deviation, means)

    @property
    def weights(self) -> Tensors:
        """All tensors, by name."""
        own: Tensors = {f"{AUTOENCODER}/{name}": tensor.cpu() for name, tensor in self.coder.network.state_dict().items()}
        return own | {"latent_mean": self.mean, "latent_deviation": self.deviation}

    @property
    def about(self) -> dict[str, Any]:
        """What `restore_space` needs beside the weights."""
        return {"config": self.config, "precision": self.precision}


def _along(values: Any, latents: Any) -> Any:
    """Return `(L,)` values so that they meet the channels of `(N, L, …)`."""
    return values.reshape(1, -1, *[1] * (latents.ndim - 2))


def restore_space(about: dict[str, Any], weights: Tensors) -> LatentSpace:
    """Return the space that `about` and `weights` of another one describe."""
    own = {name.removeprefix(f"{AUTOENCODER}/"): tensor for name, tensor in weights.items() if name.startswith(f"{AUTOENCODER}/")}
    coder = rebuild_autoencoder(about["config"], own)
    return LatentSpace(coder, weights["latent_mean"], weights["latent_deviation"], about["config"], about["precision"])


def measure_space(coder: Autoencoder, images: Any, settings: AutoencoderSettings, training: GeneratorSettings, folder: Path, progress: Progress) -> LatentSpace:
    """Return the space of an autoencoder, scaled by the latents of train images; their means stay in `folder`.

    Args:
        coder: trained or pretrained.
        images: `(N, C, …)` uint8.
        settings: of the autoencoder.
        training: of the generator: flips and precision.
        folder: of the generator.
        progress: told when encoding begins and ends.
    """
    import torch

    means = _stored_means(coder, images, training, folder, progress)
    flat = means.transpose(0, 1).flatten(1)
    deviation = flat.std(dim=1).clamp(min=1e-6)
    config = describe_autoencoder(coder, settings, images.ndim - 2, images.shape[1])
    return LatentSpace(coder, flat.mean(dim=1).to(torch.float32), deviation.to(torch.float32), config, training.precision)


def flipped_variants(images: Any, training: GeneratorSettings) -> list[Any]:
    """Return the images, and each way of flipping them that the recipe allows: 1, 2 or 4 tensors `(N, C, …)`."""
    axes = flipped_axes(training)
    chosen = [subset for number in range(len(axes) + 1) for subset in itertools.combinations(axes, number)]
    return [images.flip(subset) if subset else images for subset in chosen]


def latents_of(space: LatentSpace, images: Any, training: GeneratorSettings, folder: Path, progress: Progress) -> Any:
    """Return `(V * N, L, …)` float32 latents of all flips of the images, V = 1, 2 or 4, one flip after the other."""
    return space.scaled(_stored_means(space.coder, images, training, folder, progress))


def _stored_means(coder: Autoencoder, images: Any, training: GeneratorSettings, folder: Path, progress: Progress) -> Any:
    """Return the means of the posterior of all flips of the images, from `folder` when they lie there; of several processes the first one computes them."""
    import torch

    coder.network.to(choose_device(training))
    weights = torch.cat([tensor.flatten().float().cpu() for _, tensor in sorted(coder.network.state_dict().items())])
    about = {
        "images_sha256": hash_images(images),
        "autoencoder_sha256": hash_images(weights),
        **training.model_dump(mode="json", include={"flips", "precision"}),
    }
    path = folder / LATENTS_NAME

    def encode() -> None:
        progress(0, 1, "encoding train images")
        means = torch.cat([encode_means(coder, variant, training.precision) for variant in flipped_variants(images, training)])
        write_tensors({"means": means}, about, path)
        progress(1, 1, "encoding train images")

    let_first(encode, lambda: read_about(path) == about)
    return read_tensors(path)["means"]
