"""Diffusion in latents: an autoencoder packs the images, a smaller network denoises what it packed, so larger images cost less.

The autoencoder is trained here on the same images, or a pretrained one is used as it is. It lies in the folder `autoencoder` of the generator while it
is trained; afterwards all its weights are part of `generator.safetensors`, so that one file and one hash say everything.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import Progress
from synthesis.engines.engine import Examples, GeneratorReport, check_squares
from synthesis.engines.pixel import PixelDiffusion, as_pixels, stack_images, start_vocabulary
from synthesis.generator import Course, Trained, load_generator
from synthesis.latents.autoencoder import Autoencoder, check_sides, read_autoencoder
from synthesis.latents.rebuilding import Rebuilding, measure_rebuilding, write_rebuilding
from synthesis.latents.space import LatentSpace, flipped_variants, latents_of, measure_space, restore_space
from synthesis.latents.training import train_autoencoder
from synthesis.network import choose_device
from synthesis.recipe import AutoencoderSettings, GeneratorSettings, SamplingSettings
from synthesis.sampling import draw_images, to_bytes
from synthesis.training import Lessons

AUTOENCODER_FOLDER = "autoencoder"
SPACE = "latent_space"


class LatentDiffusion(PixelDiffusion):
    """A UNet that denoises latents of images.

    Attributes:
        settings: network and training.
        sampling: how images are drawn.
        folder: of the finished generator; None before `fit`.
    """

    def __init__(self, settings: GeneratorSettings, sampling: SamplingSettings) -> None:
        super().__init__(settings, sampling)
        self._space: LatentSpace | None = None

    def fit(self, examples: Examples, folder: Path, progress: Progress) -> GeneratorReport:
        """Train autoencoder and network in `folder`, go on from a checkpoint that lies there, or load the finished generator.

        Raises:
            UsageError: the images are not of the recipe's size, sides do not fit the networks, or what the trainings raise.
        """
        self._check(examples)
        vocabulary = start_vocabulary(examples.conditions, self.settings)
        lessons = self._lessons(examples, vocabulary)
        self._space = space = self._open_space(lessons.images, folder, progress)
        rebuilding = self._measure(space, examples, folder, progress)
        latents = latents_of(space, lessons.images, self.settings, folder, progress)
        check_sides(tuple(latents.shape[2:]), 2 ** (len(self.settings.channels) - 1))
        variants = len(flipped_variants(lessons.images, self.settings))
        packed = Lessons(latents, lessons.codes.repeat(variants, 1), lessons.nulls)
        unflipped = self.settings.model_copy(update={"flips": ()})
        more = {SPACE: space.about, "flips": list(self.settings.flips), "latent_shape": list(latents.shape[1:]), "dimensions": latents.ndim - 2}
        course = Course(packed, vocabulary, unflipped, more, space.weights, lambda network: self._preview(network, vocabulary, latents.shape[1:]))
        return replace(self._train(course, folder, progress), rebuilding=rebuilding)

    def _measure(self, space: LatentSpace, examples: Examples, folder: Path, progress: Progress) -> Rebuilding | None:
        """Return what the autoencoder keeps of held-out images, and leave it beside the generator, before the long training begins."""
        if examples.held_out is None or (found := measure_rebuilding(space.coder, self._stack(examples.held_out), space.precision)) is None:
            return None
        write_rebuilding(found, folder)
        figures = f"{found.autoencoder_db:.1f} dB of held-out images, {found.shrunk_db:.1f} when they are shrunk {found.factor} times and enlarged"
        progress(1, 1, f"the autoencoder keeps {figures}")
        return found

    def _check(self, examples: Examples) -> None:
        """Raise `UsageError` unless the images are squares of the recipe's size."""
        check_squares(examples, self.settings.size_px)

    def _lessons(self, examples: Examples, vocabulary: Any) -> Lessons:
        """Return the examples as `(N, C, …)` uint8 with their codes."""
        import torch

        return Lessons(self._stack(examples.images), torch.from_numpy(vocabulary.encode(examples.conditions)), torch.from_numpy(vocabulary.nulls))

    def _stack(self, images: npt.NDArray[np.uint8]) -> Any:
        """Return images as an `(N, C, …)` tensor."""
        return stack_images(images)

    @property
    def _autoencoding(self) -> AutoencoderSettings:
        return self.settings.latent

    def _open_space(self, images: Any, folder: Path, progress: Progress) -> LatentSpace:
        """Return the base's space, which its network knows, or that of an autoencoder trained or read for these images."""
        if self.settings.base is not None:
            base = load_generator(self.settings.base, "cpu")
            if SPACE not in base.about:
                raise UsageError("synthesis.generator.base was not made by this engine: name a generator of the same engine")
            return restore_space(base.about[SPACE], base.frozen)
        coder = self._open_autoencoder(images, folder, progress)
        return measure_space(coder, images, self._autoencoding, self.settings, folder, progress)

    def _open_autoencoder(self, images: Any, folder: Path, progress: Progress) -> Autoencoder:
        """Return the autoencoder that the recipe names, or the one trained on these images.

        Raises:
            UsageError: the named one takes other images.
        """
        if not self.settings.latent.autoencoder:
            return train_autoencoder(images, self.settings.latent, self.settings, folder / AUTOENCODER_FOLDER, progress)
        coder = read_autoencoder(self.settings.latent.autoencoder)
        takes = coder.network.config.in_channels
        if takes != images.shape[1]:
            raise UsageError(
                f"synthesis.generator.latent.autoencoder takes images of {takes} channels, these have {images.shape[1]}: name another, or leave it out"
            )
        check_sides(tuple(images.shape[2:]), coder.factor)
        return coder

    def _hold(self, folder: Path, trained: Trained) -> None:
        """Draw from this finished generator from now on."""
        super()._hold(folder, trained)
        self._space = restore_space(trained.about[SPACE], trained.frozen)
        self._space.coder.network.to(choose_device(trained.settings))

    def _make(self, network: Any, codes: Any, nulls: Any, seeds: list[int], shape: tuple[int, ...]) -> list[Pixels]:
        """Return what the network makes of noise of this shape, unpacked."""
        assert self._space is not None
        latents = draw_images(network, codes, nulls, seeds, shape, self.sampling, self.settings.precision, bounded=False)
        return self._unpack(self._space.unpack(latents))

    def _unpack(self, images: Any) -> list[Pixels]:
        """Return `(S, S)` or `(S, S, 3)` uint8 images of float32 ones, about in [-1, 1]."""
        return as_pixels(to_bytes(images))
