"""Drawing images: DPM-Solver++ (Lu et al., 2022), classifier-free guidance in one batched forward a step, one seed an image."""

from __future__ import annotations

from typing import Any

from synthesis.network import SCHEDULE
from synthesis.recipe import SamplingSettings

# The CPU's kernels round differently for different batch sizes (measured: up to 3e-6 in float32, .016 in bfloat16), so the
# network always sees this many images, the last batch filled up with copies. Then an image depends on its seed alone.
FORWARD_IMAGES = 8


def seed_noise(seed: int, shape: tuple[int, ...]) -> Any:
    """Return the standard normal `(C, H, W)` noise that the image of `seed` starts from."""
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def draw_images(network: Any, class_index: int, seeds: list[int], shape: tuple[int, int, int], settings: SamplingSettings, precision: str) -> Any:
    """Return `(N, C, H, W)` uint8 images, one a seed.

    Args:
        network: of `build_network`, in evaluation mode.
        class_index: the wanted class.
        seeds: one an image.
        shape: channels, height, width.
        settings: steps and guidance.
        precision: `bf16` or `fp32`.
    """
    import torch

    drawn = []
    with torch.inference_mode():
        for start in range(0, len(seeds), FORWARD_IMAGES):
            chunk = seeds[start : start + FORWARD_IMAGES]
            filled = chunk + chunk[-1:] * (FORWARD_IMAGES - len(chunk))
            noise = torch.stack([seed_noise(seed, shape) for seed in filled])
            drawn.append(_denoise(network, noise, class_index, settings, precision)[: len(chunk)])
        images = torch.cat(drawn)
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _denoise(network: Any, images: Any, class_index: int, settings: SamplingSettings, precision: str) -> Any:
    """Return `(B, C, H, W)` float32 images made from `(B, C, H, W)` noise. Everything here works on each image by itself."""
    import torch
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(**SCHEDULE, timestep_spacing="trailing", thresholding=True, sample_max_value=1.0)
    scheduler.set_timesteps(settings.steps)
    null_label = network.config.num_class_embeds - 1
    labels = torch.tensor([class_index] * len(images) + [null_label] * len(images))
    for timestep in scheduler.timesteps:
        twice = torch.cat([images, images])
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            wanted, free = network(twice, timestep, labels).sample.float().chunk(2)
        images = scheduler.step(free + settings.guidance_scale * (wanted - free), timestep, images).prev_sample
    return images
