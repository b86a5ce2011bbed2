"""An image on its way from noise: the picture that shows a person what a generator does."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.pixels import Pixels
from synthesis.engines.engine import Wanted
from synthesis.engines.pixel import as_pixels
from synthesis.generator import Trained
from synthesis.grids import tile
from synthesis.recipe import SamplingSettings
from synthesis.sampling import FORWARD_IMAGES, denoise, seed_noise, to_bytes

SHOWN = 10
SCALE = 3


def draw_strip(trained: Trained, wish: Wanted, sampling: SamplingSettings) -> Pixels:
    """Return the noise of `wish.seed`, at most `SHOWN` - 2 steps between, and the image that `sample` gives: `(S · 3, n · S · 3, 3)` uint8."""
    import torch

    side = trained.settings.size_px
    noise = seed_noise(wish.seed, (trained.about["channels"], side, side))
    codes = torch.as_tensor(trained.vocabulary.encode([wish.condition] * FORWARD_IMAGES))
    seen: list[Any] = [noise]
    with torch.inference_mode():
        start = torch.stack([noise] * FORWARD_IMAGES)
        denoise(
            trained.network, start, codes, trained.vocabulary.nulls, sampling, trained.settings.precision, watch=lambda images: seen.append(images[0].cpu())
        )
    chosen = np.unique(np.linspace(0, len(seen) - 1, min(SHOWN, len(seen))).round().astype(int))
    row = tile(as_pixels(to_bytes(torch.stack([seen[number] for number in chosen]))), len(chosen))
    return np.asarray(row.repeat(SCALE, axis=0).repeat(SCALE, axis=1))
