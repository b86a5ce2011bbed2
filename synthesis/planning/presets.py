"""Named settings from minutes on two CPU cores to many GPUs.

The CPU presets were trained on HAM10000 here. The GPU presets are sized from the same network's counted memory and were never trained here:
take their steps as a start.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from synthesis.planning.fingerprint import DataFingerprint, Machine
from synthesis.recipe import GeneratorSettings


class Preset(NamedTuple):
    """Settings that fit together.

    Attributes:
        name: as in the recipe.
        generator: keys of `GeneratorSettings`; keys that the recipe sets win over them.
        peak_gb: GiB of memory of the training process (CPU) or of one GPU, that it must fit in.
        gpus: how many it needs.
        is_measured: was the memory measured, or counted from the network's shapes?
    """

    name: str
    generator: dict[str, Any]
    peak_gb: float
    gpus: int = 0
    is_measured: bool = True


_LATENT = {"engine": "latent", "size_px": 256, "channels": (128, 256, 384), "latent": {"channels": (64, 128, 256, 256), "steps": 20_000}}
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("cpu-32", {"size_px": 32, "channels": (32, 64, 96), "steps": 3_000, "batch_size": 16, "learning_rate": 1e-3}, 1.0),
        Preset("cpu-64", {"size_px": 64, "channels": (32, 64, 128, 192), "steps": 12_000, "batch_size": 32, "learning_rate": 6e-4}, 2.0),
        Preset(
            "gpu-128", {"size_px": 128, "channels": (64, 128, 192, 256), "steps": 60_000, "batch_size": 32, "learning_rate": 3e-4}, 10.0, 1, is_measured=False
        ),
        Preset("gpu-256", {**_LATENT, "steps": 100_000, "batch_size": 32, "learning_rate": 2e-4}, 16.0, 1, is_measured=False),
        Preset("multi-gpu", {**_LATENT, "steps": 100_000, "batch_size": 64, "learning_rate": 3e-4}, 24.0, 2, is_measured=False),
    )
}


def apply_preset(preset: Preset, recipe: GeneratorSettings) -> GeneratorSettings:
    """Return the preset's settings, with what the recipe sets on top."""
    own = recipe.model_dump(exclude_unset=True)
    nested = {key: {**value, **own.get(key, {})} for key, value in preset.generator.items() if isinstance(value, dict)}
    return GeneratorSettings.model_validate({**preset.generator, **own, **nested})


def choose_preset(data: DataFingerprint, machine: Machine) -> tuple[str, str]:
    """Return the largest preset that images and machine carry, and why. Images are never enlarged."""
    if machine.gpus:
        cards = f"{len(machine.gpus)} × {machine.gpus[0]} with {machine.gpu_memory_gb:g} GiB"
        large = data.side_px >= PRESETS["gpu-256"].generator["size_px"]
        if large and len(machine.gpus) >= PRESETS["multi-gpu"].gpus and machine.gpu_memory_gb >= PRESETS["multi-gpu"].peak_gb:
            return "multi-gpu", cards
        if large and machine.gpu_memory_gb >= PRESETS["gpu-256"].peak_gb:
            return "gpu-256", cards
        if data.side_px >= PRESETS["gpu-128"].generator["size_px"] and machine.gpu_memory_gb >= PRESETS["gpu-128"].peak_gb:
            return "gpu-128", f"{cards}; images of {data.side_px} px"
    where = f"{machine.cores} cores with {machine.memory_gb:g} GiB and {'no usable' if machine.gpus else 'no'} GPU"
    if data.side_px < PRESETS["cpu-64"].generator["size_px"]:
        return "cpu-32", f"{where}; images have {data.side_px} px and are never enlarged to 64"
    if machine.memory_gb < PRESETS["cpu-64"].peak_gb:
        return "cpu-32", f"{where}: cpu-64 takes {PRESETS['cpu-64'].peak_gb:g} GiB"
    return "cpu-64", f"{where}; images of {data.side_px} px"
