"""An image on its way from noise: the picture that shows a person what a generator does."""

from __future__ import annotations

from collections.abc import Sequence
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


def draw_strips(trained: Trained, wanted: Sequence[Wanted], sampling: SamplingSettings) -> list[Pixels]:
    """Return, for each wish, the noise of its seed, at most `SHOWN` - 2 steps between, and the image that `sample` gives: `(S · 3, n · S · 3, 3)` uint8."""
    made: list[Pixels] = []
    for start in range(0, len(wanted), FORWARD_IMAGES):
        made += _draw_together(trained, wanted[start : start + FORWARD_IMAGES], sampling)
    return made


def _draw_together(trained: Trained, wanted: Sequence[Wanted], sampling: SamplingSettings) -> list[Pixels]:
    """Return the strips of at most `FORWARD_IMAGES` wishes; the batch is filled up with copies of the last, as when images are drawn."""
    import torch

    side, filled = trained.settings.size_px, [*wanted, *[wanted[-1]] * (FORWARD_IMAGES - len(wanted))]
    noise = torch.stack([seed_noise(wish.seed, (trained.about["channels"], side, side)) for wish in filled])
    codes, nulls = torch.as_tensor(trained.vocabulary.encode([wish.condition for wish in filled])), trained.vocabulary.nulls
    seen: list[Any] = [noise]
    with torch.inference_mode():
        denoise(trained.network, noise, codes, nulls, sampling, trained.settings.precision, watch=lambda images: seen.append(images.cpu()))
    chosen = np.unique(np.linspace(0, len(seen) - 1, min(SHOWN, len(seen))).round().astype(int))
    rows = [tile(as_pixels(to_bytes(torch.stack([seen[number][place] for number in chosen]))), len(chosen)) for place in range(len(wanted))]
    return [np.asarray(row.repeat(SCALE, axis=0).repeat(SCALE, axis=1)) for row in rows]
