"""Memory that a network would take, counted from its shapes without computing anything: for presets that do not run on this machine."""

from __future__ import annotations

from typing import Any, NamedTuple

from synthesis.network import build_network
from synthesis.recipe import GeneratorSettings

WEIGHT_BYTES = 20
"""A float32 weight, its gradient, Adam's two moments and the moving average."""


class Count(NamedTuple):
    """What a training step needs beside the libraries.

    Attributes:
        parameters: number of weights.
        weight_bytes: weights, gradients, moments and average.
        activation_bytes: what the backward pass keeps, all in float32: an upper bound for bf16.
        flops: of one step, forward and backward, at the batch size of the settings.
    """

    parameters: int
    weight_bytes: int
    activation_bytes: int
    flops: float

    @property
    def peak_gb(self) -> float:
        """Weights and activations in GiB."""
        return (self.weight_bytes + self.activation_bytes) / 2**30


def count_step(generator: GeneratorSettings, channels: int, classes: int) -> Count:
    """Return what one training step of a UNet on these settings needs, counted on torch's meta device; latents for the engine `latent`.

    The autoencoder of a latent engine is not counted: it is trained before the UNet and needs memory of its own.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = _shapes_only(generator, channels, classes)
    part = -(-generator.batch_size // generator.accumulation)
    kept: dict[int, Any] = {}
    weights = {id(parameter.untyped_storage()) for parameter in network.parameters()}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage
        return tensor

    size, inputs = network.config.sample_size, network.config.in_channels
    noisy, timesteps = torch.empty(part, inputs, size, size, device="meta"), torch.zeros(part, dtype=torch.long, device="meta")
    codes = torch.zeros(part, 1, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(noisy, timesteps, codes).sample.square().mean()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    activations = sum(storage.nbytes() for name, storage in kept.items() if name not in weights)
    return Count(parameters, WEIGHT_BYTES * parameters, activations, 3.0 * counter.get_total_flops() * generator.accumulation)


def _shapes_only(generator: GeneratorSettings, channels: int, classes: int) -> Any:
    """Return the UNet without memory for its weights."""
    size = generator.size_px
    if generator.engine == "latent":
        size, channels = size >> (len(generator.latent.channels) - 1), generator.latent.latent_channels
    return build_network(channels, classes + 1, generator, size_px=size).to("meta")
