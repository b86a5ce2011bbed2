"""The denoising network: diffusers' UNet, told the class by an embedding, and the noise schedule that it is trained and sampled with.

One class more than there are labels: the last one means "no label", which classifier-free guidance needs (Ho and Salimans, 2022).
The network predicts v (Salimans and Ho, 2022) under the cosine schedule (Nichol and Dhariwal, 2021). At its last step that schedule
keeps 2.4e-9 of the signal's power, so it ends in pure noise as it is: a zero-SNR rescale would change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from synthesis.recipe import GeneratorSettings

TRAIN_TIMESTEPS = 1000
SCHEDULE: dict[str, Any] = {"num_train_timesteps": TRAIN_TIMESTEPS, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}


def build_network(channels: int, classes: int, settings: GeneratorSettings) -> Any:
    """Return a new `UNet2DModel`, initialised from `settings.seed`.

    Attention stands in the middle block only: elsewhere it costs more than it gives at these sizes. The layout stays channels-first:
    channels-last makes the convolutions faster and the group norms so much slower that a step takes a quarter longer (measured on a CPU).

    Args:
        channels: 1 for gray, 3 for RGB.
        classes: number of labels; class `classes` is the null label.
        settings: width and image size.
    """
    import torch
    from diffusers import UNet2DModel

    levels = len(settings.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return UNet2DModel(
            sample_size=settings.size_px,
            in_channels=channels,
            out_channels=channels,
            num_class_embeds=classes + 1,
            layers_per_block=1,
            block_out_channels=settings.channels,
            norm_num_groups=math.gcd(16, *settings.channels),
            attention_head_dim=math.gcd(32, settings.channels[-1]),
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
        )


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads while the block runs: two on busy cores were five times slower than one, and the number changes a generator's bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
