"""Opening the engine that a recipe names."""

from __future__ import annotations

from typing import Any

import pytest

from curation.errors import UsageError
from synthesis.engines.loading import open_engine
from synthesis.recipe import GeneratorSettings, LatentSettings, SynthesisSettings, VolumeSettings


@pytest.mark.parametrize(
    ("generator", "key"),
    [
        ({"size_px": 40, "channels": (8,) * 5}, "size_px is 40 and must be a multiple of 16"),
        ({"engine": "inpainting", "size_px": 40, "channels": (8,) * 5}, "size_px is 40 and must be a multiple of 16"),
        ({"engine": "latent", "size_px": 40, "latent": LatentSettings(channels=(8, 8, 8))}, "size_px is 40 and must be a multiple of 16"),
        ({"engine": "volume", "size_px": 32, "volume": VolumeSettings(slices=8)}, "volume.slices is 8 and must be a multiple of 16"),
    ],
)
def test_levels_that_halve_half_pixels_are_refused_before_anything_is_trained(generator: dict[str, Any], key: str) -> None:
    """An autoencoder trains for hours before the network behind it is built."""
    with pytest.raises(UsageError, match=f"synthesis.generator.{key}"):
        open_engine(SynthesisSettings(generator=GeneratorSettings(**generator)))
