"""The denoising network of volumes: MONAI's 3-D UNet behind the call that training and sampling make of the 2-D one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from synthesis.recipe import GeneratorSettings


class Denoised(NamedTuple):
    """What the network says: `(B, C, D, H, W)`."""

    sample: Any


def build_volume_network(channels: int, table_rows: int, settings: GeneratorSettings) -> Any:
    """Return a new 3-D UNet, initialised from `settings.seed`; as class labels it takes the `(B, K)` codes of `Vocabulary.encode`.

    As in 2-D, attention stands in the middle block only, and the table of conditions is called `class_embedding`.

    Args:
        channels: of the latents.
        table_rows: rows of the table of conditions.
        settings: width.
    """
    import torch
    from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

    class VolumeUNet(DiffusionModelUNet):
        """Takes one timestep for all volumes too, and says what it predicts under the name `sample`."""

        def forward(self, x: Any, timesteps: Any, class_labels: Any) -> Any:  # type: ignore[override]  # as the 2-D network is called
            told = torch.as_tensor(timesteps, device=x.device).expand(len(x))
            return Denoised(super().forward(x, told, class_labels=class_labels))

    levels = len(settings.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = VolumeUNet(
            spatial_dims=3,
            in_channels=channels,
            out_channels=channels,
            num_res_blocks=(1,) * levels,
            channels=settings.channels,
            attention_levels=(False,) * levels,
            norm_num_groups=math.gcd(16, *settings.channels),
            num_head_channels=math.gcd(32, settings.channels[-1]),
            num_class_embeds=table_rows,
        )
    table: Any = torch.nn.EmbeddingBag.from_pretrained(network.class_embedding.weight.detach(), freeze=False, mode="sum")
    network.class_embedding = table
    return network
