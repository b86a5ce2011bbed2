"""Diffusion of volumes: MONAI's autoencoder packs them, MONAI's UNet denoises the latents.

Volumes come as 8-bit gray levels on one grid (`volumes.py`) and are drawn as gray levels that are not rounded, so that values in the unit of a stored
volume do not fall on 256 steps, which would tell them from real ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import Progress
from synthesis.engines.engine import Examples
from synthesis.engines.latent import AUTOENCODER_FOLDER, LatentDiffusion
from synthesis.latents.autoencoder import Autoencoder
from synthesis.latents.training import train_autoencoder
from synthesis.recipe import AutoencoderSettings
from synthesis.volumes import as_picture


class VolumeDiffusion(LatentDiffusion):
    """A 3-D UNet that denoises latents of volumes.

    Attributes:
        settings: network and training.
        sampling: how volumes are drawn.
        folder: of the finished generator; None before `fit`.
    """

    def _check(self, examples: Examples) -> None:
        """Raise `UsageError` unless the volumes lie on the recipe's grid."""
        side, slices, shape = self.settings.size_px, self.settings.volume.slices, examples.images.shape
        if shape[1:] != (slices, side, side) or shape[0] != len(examples.conditions):
            found = f"arrays of shape {shape} with {len(examples.conditions)} conditions"
            raise UsageError(f"a generator of {slices} x {side} x {side} voxels cannot be trained on {found}: give volumes of that grid, one condition each")

    def _stack(self, images: npt.NDArray[np.uint8]) -> Any:
        """Return volumes as an `(N, 1, D, H, W)` tensor."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(images[:, None]))

    @property
    def _autoencoding(self) -> AutoencoderSettings:
        return self.settings.volume

    def _open_autoencoder(self, images: Any, folder: Path, progress: Progress) -> Autoencoder:
        """Return the autoencoder that was trained on these volumes."""
        return train_autoencoder(images, self.settings.volume, self.settings, folder / AUTOENCODER_FOLDER, progress)

    def _unpack(self, images: Any) -> list[Pixels]:
        """Return `(D, H, W)` float32 volumes of gray levels from 0 to 255."""
        volumes = (images.clamp(-1, 1) + 1) * 127.5
        return [np.ascontiguousarray(volume[0]) for volume in volumes.numpy()]

    def _picture(self, image: Pixels) -> Pixels:
        """Return what a person is shown of a volume."""
        return as_picture(image)
