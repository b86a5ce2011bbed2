"""Drawing images: DPM-Solver++ (Lu et al., 2022), classifier-free guidance in one batched forward a step, one seed an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synthesis.network import SCHEDULE, autocast
from synthesis.recipe import SamplingSettings

# The CPU's kernels round differently for different batch sizes (measured: up to 3e-6 in float32, .016 in bfloat16), so the
# network always sees this many images, the last batch filled up with copies. Then an image depends on its seed alone.
FORWARD_IMAGES = 8


def seed_noise(seed: int, shape: tuple[int, ...]) -> Any:
    """Return the standard normal `(C, H, W)` noise that the image of `seed` starts from."""
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def draw_images(
    network: Any,
    codes: Any,
    nulls: Any,
    seeds: list[int],
    shape: tuple[int, ...],
    settings: SamplingSettings,
    precision: str,
    context: Any = None,
    *,
    bounded: bool = True,
) -> Any:
    """Return `(N, C, H, W)` float32 images, one a seed, on the CPU; trained on values in [-1, 1], they are that too, give or take a little.

    Args:
        network: of `build_network`, in evaluation mode.
        codes: `(N, K)` int64 of `Vocabulary.encode`.
        nulls: `(K,)` int64, the null rows.
        seeds: one an image.
        shape: channels, height, width; of latents of volumes channels, depth, height, width.
        settings: steps and guidance.
        precision: `bf16`, `fp16` or `fp32`.
        context: `(N, E, H, W)` float32 that the network is shown beside the noisy image.
        bounded: the images lie in [-1, 1]; not so latents.
    """
    import torch

    codes, drawn, numbers = torch.as_tensor(codes), [], list(range(len(seeds)))
    with torch.inference_mode():
        for start in range(0, len(seeds), FORWARD_IMAGES):
            chunk = numbers[start : start + FORWARD_IMAGES]
            filled = chunk + chunk[-1:] * (FORWARD_IMAGES - len(chunk))
            noise = torch.stack([seed_noise(seeds[number], shape) for number in filled])
            shown = None if context is None else context[filled]
            drawn.append(denoise(network, noise, codes[filled], nulls, settings, precision, shown, bounded=bounded)[: len(chunk)].cpu())
    return torch.cat(drawn) if drawn else torch.empty((0, *shape))


def to_bytes(images: Any) -> Any:
    """Return images in [-1, 1] as uint8."""
    import torch

    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def denoise(
    network: Any,
    images: Any,
    codes: Any,
    nulls: Any,
    settings: SamplingSettings,
    precision: str,
    context: Any = None,
    *,
    bounded: bool = True,
    watch: Callable[[Any], None] | None = None,
) -> Any:
    """Return `(B, C, H, W)` float32 images made from `(B, C, H, W)` noise. Everything here works on each image by itself.

    Args:
        network: of `build_network`.
        images: noise.
        codes: `(B, K)` int64.
        nulls: `(K,)` int64.
        settings: steps and guidance.
        precision: `bf16`, `fp16` or `fp32`.
        context: `(B, E, H, W)`, or None.
        bounded: the images lie in [-1, 1], so every estimate of them is kept there (dynamic thresholding; not for latents).
        watch: shown the images after each step.
    """
    import torch
    from diffusers import DPMSolverMultistepScheduler

    device = next(network.parameters()).device
    scheduler = DPMSolverMultistepScheduler(**SCHEDULE, timestep_spacing="trailing", thresholding=bounded, sample_max_value=1.0)
    scheduler.set_timesteps(settings.steps)
    free_codes = torch.as_tensor(nulls).expand(len(images), -1)
    both = torch.cat([torch.as_tensor(codes), free_codes]).to(device)
    images, shown = images.to(device), None if context is None else torch.cat([context, context]).to(device)
    for timestep in scheduler.timesteps:
        twice = torch.cat([images, images])
        seen = twice if shown is None else torch.cat([twice, shown], dim=1)
        with autocast(device, precision):
            wanted, free = network(seen, timestep, both).sample.float().chunk(2)
        images = scheduler.step(free + settings.guidance_scale * (wanted - free), timestep, images).prev_sample
        if watch is not None:
            watch(images)
    return images
