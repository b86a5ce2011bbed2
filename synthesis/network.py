"""The denoising network: diffusers' UNet, told the condition by a sum of embeddings, and the noise schedule that it is trained and sampled with.

`conditions.Vocabulary` says what each row of the table of embeddings means; null rows serve classifier-free guidance (Ho and Salimans, 2022).
The network predicts v (Salimans and Ho, 2022) under the cosine schedule (Nichol and Dhariwal, 2021). At its last step that schedule
keeps 2.4e-9 of the signal's power, so it ends in pure noise as it is: a zero-SNR rescale would change nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from curation.errors import UsageError
from synthesis.recipe import GeneratorSettings

TRAIN_TIMESTEPS = 1000
SCHEDULE: dict[str, Any] = {"num_train_timesteps": TRAIN_TIMESTEPS, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
TOO_LARGE = (
    "the GPU has too little free memory: compute a batch in more parts (synthesis.generator.accumulation), or lower synthesis.generator.batch_size, of an "
    "autoencoder synthesis.generator.latent.batch_size or volume.batch_size, or take a smaller size_px or synthesis.plan.preset"
)


def build_network(channels: int, table_rows: int, settings: GeneratorSettings, size_px: int | None = None, context_channels: int = 0) -> Any:
    """Return a new `UNet2DModel`, initialised from `settings.seed`; as class labels it takes the `(B, K)` codes of `Vocabulary.encode`.

    With one column of conditions the weights have the names and shapes of diffusers' own class embedding. Attention stands in the middle block
    only: elsewhere it costs more than it gives at these sizes. Which layout is faster has to be measured: channels-last helps the convolutions and
    slows the group norms down (measured on a CPU: a step took a quarter longer at 32 px).

    Args:
        channels: of the images: 1 for gray, 3 for RGB, more for latents.
        table_rows: rows of the table of conditions.
        settings: width, image size, layout in memory.
        size_px: side of what the network sees, where it is not the image (latents).
        context_channels: further channels that the network is shown and does not predict.
    """
    import torch
    from diffusers import UNet2DModel

    levels = len(settings.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = UNet2DModel(
            sample_size=size_px or settings.size_px,
            in_channels=channels + context_channels,
            out_channels=channels,
            num_class_embeds=table_rows,
            layers_per_block=1,
            block_out_channels=settings.channels,
            norm_num_groups=math.gcd(16, *settings.channels),
            attention_head_dim=math.gcd(32, settings.channels[-1]),
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
        )
    network.class_embedding = torch.nn.EmbeddingBag.from_pretrained(network.class_embedding.weight.detach(), freeze=False, mode="sum")
    return network.to(memory_format=torch.channels_last) if settings.layout == "channels_last" else network


def check_levels(settings: GeneratorSettings) -> None:
    """See that every level of the networks halves whole pixels, before anything is trained; what a pretrained network needs is seen when it is read.

    Raises:
        UsageError: it does not.
    """
    sides, halvings = {"size_px": settings.size_px}, len(settings.channels) - 1
    names = "synthesis.generator.channels"
    if settings.engine == "lora" or (settings.engine == "latent" and settings.latent.autoencoder):
        return
    if settings.engine in ("latent", "volume"):
        packing = settings.latent if settings.engine == "latent" else settings.volume
        halvings, names = halvings + len(packing.channels) - 1, f"{names} and synthesis.generator.{settings.engine}.channels"
    if settings.engine == "volume":
        sides["volume.slices"] = settings.volume.slices
    for name, side in sides.items():
        if side % 2**halvings:
            raise UsageError(f"synthesis.generator.{name} is {side} and must be a multiple of {2**halvings}: the levels of {names} halve it {halvings} times")


def choose_device(settings: GeneratorSettings) -> Any:
    """Return the torch device that the recipe asks for; with several processes, this one's GPU. `accelerate launch --cpu` makes `auto` a CPU.

    Raises:
        UsageError: the recipe asks for a GPU and there is none, or more processes were started than there are GPUs.
    """
    import torch

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("synthesis.generator.device is cuda and torch finds no GPU: set it to auto or cpu")
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1", "yes"))
    if on_cpu or not torch.cuda.is_available():
        return torch.device("cpu")
    number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= gpus:
        raise UsageError(
            f"process {number + 1} of this machine has no GPU of its own, torch finds {gpus}: start as many with accelerate launch --num_processes {gpus}"
        )
    return torch.device("cuda", number)


def number_type(device: Any, precision: str, *, overflows: bool = False) -> Any:
    """Return the torch type that networks compute in: what the recipe asks for, but float16 where a GPU must imitate bfloat16 (before Ampere).

    Args:
        device: of torch.
        precision: `bf16`, `fp16` or `fp32`.
        overflows: a network that leaves the range of float16, as many autoencoders do, computes in float32 instead of it.
    """
    import torch

    if precision == "fp32":
        return torch.float32
    is_imitated = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not is_imitated:
        return torch.bfloat16
    return torch.float32 if overflows else torch.float16


def autocast(device: Any, precision: str, *, overflows: bool = False) -> Any:
    """Return a block in which networks compute in `number_type`."""
    import torch

    number = number_type(device, precision, overflows=overflows)
    is_short = number != torch.float32
    return torch.autocast(device.type, number if is_short else torch.bfloat16, enabled=is_short)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads while the block runs: two on busy cores were five times slower than one, and the number changes a generator's bits.

    On a GPU only convolutions that repeat their bits are used.

    Raises:
        UsageError: the GPU's memory is too small for what the block does.
    """
    import torch

    before, repeats = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UsageError(TOO_LARGE) from error
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.deterministic = repeats
