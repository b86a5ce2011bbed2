"""Opening the engine that a recipe names, or the one that made what lies in a folder. Each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from curation.errors import UsageError
from synthesis.checkpoint import read_finished
from synthesis.engines.engine import Engine
from synthesis.network import check_levels
from synthesis.recipe import Device, SamplingSettings, SynthesisSettings

ENGINES = {
    "pixel": ("synthesis.engines.pixel", "PixelDiffusion"),
    "latent": ("synthesis.engines.latent", "LatentDiffusion"),
    "lora": ("synthesis.engines.lora", "LoraDiffusion"),
    "volume": ("synthesis.engines.volume", "VolumeDiffusion"),
    "inpainting": ("synthesis.engines.inpainting", "InpaintingDiffusion"),
}


def _engine_class(name: str) -> type[Engine]:
    module, class_name = ENGINES[name]
    found: type[Engine] = getattr(import_module(module), class_name)
    return found


def open_engine(settings: SynthesisSettings) -> Engine:
    """Return the engine that the recipe names; it has learned nothing yet.

    Raises:
        UsageError: its networks do not fit the size of the images.
    """
    check_levels(settings.generator)
    engine: Engine = _engine_class(settings.generator.engine)(settings.generator, settings.sampling)  # type: ignore[call-arg]
    return engine


def load_engine(folder: Path, sampling: SamplingSettings | None = None, device: Device = "auto") -> Engine:
    """Return the finished generator of a folder, to draw with `sampling` (default: the recipe's defaults) on `device`.

    Raises:
        UsageError: the folder holds no finished generator, or one of an engine that is not known here.
    """
    name = read_finished(folder).get("engine", "pixel")
    if name not in ENGINES:
        raise UsageError(f"this generator was made by the engine {name!r}, which this version does not have: update curaloop")
    return _engine_class(name).load(folder, sampling, device)
