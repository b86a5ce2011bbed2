"""Is an autoencoder worth its place? How like the originals its rebuilt images are, beside images that were only shrunk as much and enlarged again.

A generator of latents can draw nothing better than its autoencoder rebuilds. Where plain shrinking keeps more, the latents lose more than they save.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from curation.manifest import write_bytes
from synthesis.latents.autoencoder import Autoencoder, decode_latents, encode_means, to_signal
from synthesis.recipe import GeneratorSettings

REBUILDING_NAME = "rebuilding.json"
MEASURED_IMAGES = 64
ROUNDING = (2 / 255) ** 2 / 12
"""Mean squared error of rounding to 8 bits, in units of the signal; a smaller one counts as that."""


@dataclass(frozen=True)
class Rebuilding:
    """What an autoencoder keeps of images that it did not learn from. Peak signal-to-noise ratios in dB, the mean over the images; higher is better.

    Attributes:
        images: how many were rebuilt.
        autoencoder_db: of the rebuilt images.
        shrunk_db: of the images shrunk by `factor` and enlarged again.
        factor: how many times smaller every side of a latent is.
    """

    images: int
    autoencoder_db: float
    shrunk_db: float
    factor: int

    @property
    def is_worse(self) -> bool:
        """Whether shrinking keeps more than the autoencoder."""
        return self.autoencoder_db < self.shrunk_db


def measure_rebuilding(coder: Autoencoder, images: Any, precision: str) -> Rebuilding | None:
    """Return what an autoencoder keeps of held-out images, at most `MEASURED_IMAGES` of them, evenly spread; None without any.

    Args:
        coder: that does not learn any more.
        images: `(N, C, H, W)` or `(N, C, D, H, W)` uint8.
        precision: `bf16` or `fp32`.
    """
    if not len(images):
        return None
    chosen = images[:: -(-len(images) // MEASURED_IMAGES)]
    real, rebuilt = to_signal(chosen), decode_latents(coder, encode_means(coder, chosen, precision), precision)
    return Rebuilding(len(chosen), round(likeness_db(rebuilt, real), 2), round(likeness_db(shrink_and_enlarge(real, coder.factor), real), 2), coder.factor)


def likeness_db(images: Any, originals: Any) -> float:
    """Peak signal-to-noise ratio (PSNR), `10 log10(2² / mean squared error)` of values in [-1, 1], mean over the images. Higher is better.

    Worked value: an image that is .2 too bright everywhere has an error of .04 and 20 dB. Equal images have 58.9, that of rounding to 8 bits.

    Args:
        images: `(N, C, …)` float32; values outside [-1, 1] are cut off.
        originals: the same shape.
    """
    errors = (images.clamp(-1, 1) - originals).square().flatten(1).mean(dim=1)
    return float((10 * (4 / errors.clamp(min=ROUNDING)).log10()).mean())


def shrink_and_enlarge(images: Any, factor: int) -> Any:
    """Return `(N, C, …)` float32 images shrunk by averages and enlarged again, images by cubic interpolation, volumes by linear one."""
    from torch.nn.functional import avg_pool2d, avg_pool3d, interpolate

    if images.ndim == 5:
        return interpolate(avg_pool3d(images, factor), size=images.shape[2:], mode="trilinear")
    return interpolate(avg_pool2d(images, factor), size=images.shape[2:], mode="bicubic")


def write_rebuilding(found: Rebuilding, folder: Path) -> None:
    """Put the figures beside the generator."""
    write_bytes((json.dumps(asdict(found), indent=1) + "\n").encode(), folder / REBUILDING_NAME)


def steps_of_autoencoder(generator: GeneratorSettings) -> int | None:
    """Return the optimizer steps of the autoencoder that is trained with this generator; None when it comes with a base, or others trained it."""
    if generator.base is not None or (generator.engine == "latent" and generator.latent.autoencoder):
        return None
    return (generator.volume if generator.engine == "volume" else generator.latent).steps


def warn_of_rebuilding(found: Rebuilding | None, engine: Literal["latent", "volume"], steps: int | None) -> str:
    """Return one sentence that says what to do when shrinking keeps more than the autoencoder; else an empty one.

    Args:
        found: of held-out images; None where there were none.
        engine: that the autoencoder is of.
        steps: that it was trained for here; None for one that others trained, or that came with a base.
    """
    if found is None or not found.is_worse:
        return ""
    key = f"synthesis.generator.{engine}"
    what = f"train it for longer ({key}.steps, {steps:,} now)" if steps is not None else f"take another one ({key})"
    instead = ", or draw without one (synthesis.generator.engine = 'pixel')" if engine == "latent" else ""
    return (
        f"the autoencoder keeps less of {found.images} held-out images ({found.autoencoder_db:.1f} dB) than shrinking them {found.factor} times and "
        f"enlarging them again ({found.shrunk_db:.1f} dB), and nothing that is drawn behind it can be better: {what}{instead}"
    )
