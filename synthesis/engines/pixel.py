"""Diffusion in pixels, the default engine: no autoencoder stands between the network and the image, so small sizes are cheap and exact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import Progress
from synthesis.conditions import Vocabulary, read_vocabulary
from synthesis.engines.engine import NOTHING_LEARNED, Condition, Examples, GeneratorReport, Wanted, check_squares, copy_generator
from synthesis.generator import Course, Trained, load_generator, read_base, train_generator
from synthesis.grids import tile
from synthesis.recipe import Device, GeneratorSettings, SamplingSettings
from synthesis.sampling import draw_images, to_bytes
from synthesis.training import Lessons

PREVIEW_IMAGES = 32


class PixelDiffusion:
    """A UNet that denoises pixels.

    Attributes:
        settings: network and training.
        sampling: how images are drawn.
        folder: of the finished generator; None before `fit`.
    """

    needs_parents: ClassVar[bool] = False

    def __init__(self, settings: GeneratorSettings, sampling: SamplingSettings) -> None:
        self.settings, self.sampling = settings, sampling
        self.folder: Path | None = None
        self._trained: Trained | None = None

    def fit(self, examples: Examples, folder: Path, progress: Progress) -> GeneratorReport:
        """Train in `folder`, go on from a checkpoint that lies there, or load the finished generator.

        Raises:
            UsageError: the images are not of the recipe's size, or what `train_generator` raises.
        """
        return self._train(self.make_course(examples), folder, progress)

    def _train(self, course: Course, folder: Path, progress: Progress) -> GeneratorReport:
        """Train, and draw from the finished generator from now on."""
        report = train_generator(course, folder, progress)
        self._hold(folder, load_generator(folder, self.settings.device))
        return report

    def make_course(self, examples: Examples) -> Course:
        """Return what is trained: images, their conditions, and how samples are shown on the way.

        Raises:
            UsageError: the images are not of the recipe's size.
        """
        check_squares(examples, self.settings.size_px)
        vocabulary = start_vocabulary(examples.conditions, self.settings)
        lessons = make_lessons(examples, vocabulary)
        return Course(lessons, vocabulary, self.settings, preview=lambda network: self._preview(network, vocabulary, lessons.images.shape[1:]))

    def _hold(self, folder: Path, trained: Trained) -> None:
        """Draw from this finished generator from now on."""
        self.folder, self._trained = folder, trained

    def sample(self, wanted: Sequence[Wanted], progress: Progress) -> list[Pixels]:
        """Return one image a wish: `(S, S)` or `(S, S, 3)` uint8.

        Raises:
            UsageError: nothing was trained or loaded, or the generator never saw a wanted value.
        """
        if self._trained is None:
            raise UsageError(NOTHING_LEARNED)
        trained, drawn = self._trained, []
        for start in range(0, len(wanted), self.sampling.batch_size):
            drawn += self._draw(trained, wanted[start : start + self.sampling.batch_size])
            progress(len(drawn), len(wanted), "sampling candidates")
        return drawn

    def _draw(self, trained: Trained, wanted: Sequence[Wanted]) -> list[Pixels]:
        """Return the images of one batch."""
        codes, side = trained.vocabulary.encode([wish.condition for wish in wanted]), trained.settings.size_px
        shape = trained.about.get("latent_shape", (trained.about["channels"], side, side))
        return self._make(trained.network, codes, trained.vocabulary.nulls, [wish.seed for wish in wanted], tuple(shape))

    def _make(self, network: Any, codes: Any, nulls: Any, seeds: list[int], shape: tuple[int, ...]) -> list[Pixels]:
        """Return what the network makes of noise of this shape, one image a seed."""
        return as_pixels(to_bytes(draw_images(network, codes, nulls, seeds, shape, self.sampling, self.settings.precision)))

    def _preview(self, network: Any, vocabulary: Vocabulary, shape: tuple[int, ...]) -> Pixels:
        """Return a picture of samples of every label, the same seeds each time."""
        labels = vocabulary.values["label"]
        number = max(1, PREVIEW_IMAGES // len(labels))
        wanted: list[Condition] = [{"label": label} for label in labels for _ in range(number)]
        made = self._make(network, vocabulary.encode(wanted), vocabulary.nulls, list(range(number)) * len(labels), tuple(shape))
        return tile([self._picture(image) for image in made], number)

    def _picture(self, image: Pixels) -> Pixels:
        """Return what a person is shown of an image."""
        return image

    def save(self, folder: Path) -> None:
        """Copy the finished generator into another folder.

        Raises:
            UsageError: there is none.
        """
        copy_generator(self.folder, folder)

    @classmethod
    def load(cls, folder: Path, sampling: SamplingSettings | None = None, device: Device = "auto") -> Self:
        """Return the finished generator of a folder, on `device`.

        Raises:
            UsageError: there is none.
        """
        trained = load_generator(folder, device)
        engine = cls(trained.settings, sampling or SamplingSettings())
        engine._hold(folder, trained)
        return engine


def start_vocabulary(conditions: Sequence[Condition], settings: GeneratorSettings) -> Vocabulary:
    """Return what a training's codes mean: the values of its images, behind those of its base."""
    own = read_vocabulary(conditions, settings.conditions)
    return own if settings.base is None else read_base(settings.base).vocabulary.grown(own)


def make_lessons(examples: Examples, vocabulary: Vocabulary) -> Lessons:
    """Return examples as tensors: `(N, C, S, S)` uint8 and their codes."""
    import torch

    return Lessons(stack_images(examples.images), torch.from_numpy(vocabulary.encode(examples.conditions)), torch.from_numpy(vocabulary.nulls))


def stack_images(images: npt.NDArray[np.uint8]) -> Any:
    """Return `(N, S, S)` or `(N, S, S, 3)` uint8 arrays as an `(N, C, S, S)` tensor."""
    import torch

    return torch.from_numpy(np.ascontiguousarray((images if images.ndim == 4 else images[..., None]).transpose(0, 3, 1, 2)))


def as_pixels(images: Any) -> list[Pixels]:
    """Return `(N, C, S, S)` uint8 tensors as `(S, S)` or `(S, S, 3)` arrays."""
    arrays = images.numpy().transpose(0, 2, 3, 1)
    return [np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image) for image in arrays]
