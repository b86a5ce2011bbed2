"""The interface of every engine: it learns from examples in a folder of its own, and draws one image a wish."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import Progress
from synthesis.checkpoint import GENERATOR_NAME
from synthesis.latents.rebuilding import Rebuilding
from synthesis.recipe import Device, SamplingSettings

NOTHING_LEARNED = "this generator has learned nothing yet: fit it or load a finished one"

Condition = dict[str, str]
"""`label`, and any further column that the recipe's `conditions` list; a column that is left out is unknown."""


class Examples(NamedTuple):
    """What a generator learns from: N real train images of one task.

    Attributes:
        images: `(N, S, S)` or `(N, S, S, 3)` uint8; volumes `(N, D, H, W)` uint8.
        conditions: one an image, each with `label`.
        image_ids: of each image.
        groups: patient, or group of patients, of each image.
        masks: `(N, S, S)` uint8, 1 where the finding is, where an engine needs them; else None.
        held_out: real images of other patients, shaped as `images`; nothing learns from them, an autoencoder is measured on them. None: it is not.
    """

    images: npt.NDArray[np.uint8]
    conditions: tuple[Condition, ...]
    image_ids: tuple[str, ...]
    groups: tuple[str, ...]
    masks: npt.NDArray[np.uint8] | None = None
    held_out: npt.NDArray[np.uint8] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of each image."""
        return tuple(condition["label"] for condition in self.conditions)


class Wanted(NamedTuple):
    """One image to draw.

    Attributes:
        condition: what it should show.
        seed: of its noise, from 0.
        parent: real train image of another class, for engines that change one, as it is stored: `(H, W)` uint8 or uint16, or `(H, W, 3)` uint8.
        parent_id: its `image_id`.
        mask: `(M, M)` uint8 of the parent's middle square, 1 where it may be changed; None lets the engine choose.
    """

    condition: Condition
    seed: int
    parent: Pixels | None = None
    parent_id: str | None = None
    mask: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class GeneratorReport:
    """What training a generator did.

    Attributes:
        folder: where it lies.
        generator_sha256: hash of `generator.safetensors`: weights, conditions, settings.
        parameters: number of weights.
        steps: optimizer steps in all.
        first_step: step that this call began with: 0, the last checkpoint's, or `steps` when the generator was finished before.
        final_loss: mean loss of the last 50 steps.
        seconds: of this call.
        loss_curve: CSV with step and loss.
        rebuilding: what the autoencoder keeps of held-out images; None without autoencoder or such images.
    """

    folder: str
    generator_sha256: str
    parameters: int
    steps: int
    first_step: int
    final_loss: float
    seconds: float
    loss_curve: str
    rebuilding: Rebuilding | None = None


class Engine(Protocol):
    """A generator. Constructed with `(generator: GeneratorSettings, sampling: SamplingSettings)`; the finished one is `generator.safetensors` in its folder.

    Attributes:
        needs_parents: every wish must come with a real train image of another class, which is changed.
    """

    needs_parents: ClassVar[bool]

    def fit(self, examples: Examples, folder: Path, progress: Progress) -> GeneratorReport:
        """Train in `folder`, go on from a checkpoint that lies there, or load the finished generator; afterwards `sample` works."""
        ...

    def sample(self, wanted: Sequence[Wanted], progress: Progress) -> list[Pixels]:
        """Return one image a wish, shaped as the examples or as its parent: the same pixels for the same wish, whatever else is wanted, at any batch size."""
        ...

    def save(self, folder: Path) -> None:
        """Write the finished generator into another folder."""
        ...

    @classmethod
    def load(cls, folder: Path, sampling: SamplingSettings | None = None, device: Device = "auto") -> Engine:
        """Return the finished generator of a folder, to draw with `sampling` (default: the recipe's defaults) on `device`.

        Raises:
            UsageError: there is none.
        """
        ...


def check_squares(examples: Examples, size_px: int) -> None:
    """Raise `UsageError` unless all images are squares of this side, gray or RGB, each with its condition."""
    shape = examples.images.shape
    if shape[1:3] != (size_px, size_px) or shape[3:] not in ((), (3,)) or shape[0] != len(examples.conditions):
        found = f"images of shape {shape} with {len(examples.conditions)} conditions"
        raise UsageError(f"a generator of {size_px} px cannot be trained on {found}: give square images of that side, one condition each")


def copy_generator(source: Path | None, target: Path) -> None:
    """Copy the finished generator of a folder into another.

    Raises:
        UsageError: there is none.
    """
    if source is None:
        raise UsageError(NOTHING_LEARNED)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / GENERATOR_NAME, target / GENERATOR_NAME)
