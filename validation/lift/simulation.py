"""Simulated cohorts with a known answer, on which the court is tried.

Three classes: two common ones and a rare one with few train patients. Three kinds of synthetic batches, each in a space of features and in one of images:

- `helps`: new patients, drawn from the truth. A court that does not accept them overlooks help.
- `cannot help`: by turns copies of the train patients with a little noise, and common findings under the name of the rare one; the common classes are copies.
- `shortcut`: every image of the rare class, and no other, carries a mark that no real image has; by turns over true findings and over common ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from validation.lift.cohort import Augmented, Batch, Cohort, Features, Names

Kind = Literal["helps", "cannot help", "shortcut"]
Space = Literal["features", "images"]
Raw = npt.NDArray[np.float64]
"""Images before they are encoded: `(N, DIMENSIONS)` features or `(N, S, S)` gray levels."""
KINDS: tuple[Kind, ...] = ("helps", "cannot help", "shortcut")
SPACES: tuple[Space, ...] = ("features", "images")

RARE = "rare"
CLASSES = ("bar", "disc", RARE)
PATIENTS = {"train": {"bar": 150, "disc": 150, RARE: 6}, "val": {"bar": 60, "disc": 60, RARE: 60}, "test": {"bar": 120, "disc": 120, RARE: 150}}
SYNTHETIC = {"bar": 40, "disc": 40, RARE: 50}
AUGMENTED = 5
DIMENSIONS = 64
DISTANCE = 2.6
MARK = 4.0
CHECKERBOARD = 20.0
SIDE_PX = 24
GRID_PX = 8


@dataclass(frozen=True)
class World:
    """What is true in one simulated cohort: how an image of a class looks.

    Attributes:
        means: class to its mean, `(DIMENSIONS,)`; only for the space of features.
        mark: `(DIMENSIONS,)` direction that no real image varies in much.
    """

    space: Space
    means: dict[str, Raw]
    mark: Raw

    def draw(self, label: str, patients: int, random: np.random.Generator) -> Raw:
        """Return one raw image of each of so many patients: `(N, DIMENSIONS)` features or `(N, S, S)` gray levels."""
        if self.space == "features":
            raw: Raw = self.means[label] + random.normal(0, 1, (patients, DIMENSIONS))
            return raw
        return np.stack([_paint(label, random) for _ in range(patients)])

    def disturb(self, raw: Raw, random: np.random.Generator) -> Raw:
        """Return copies that differ by a little noise."""
        return raw + random.normal(0, 0.25 if self.space == "features" else 6.0, raw.shape)

    def stamp(self, raw: Raw) -> Raw:
        """Return the images with the mark of their source: an offset, or a checkerboard of 2 px.

        A fainter one is found less often: of 12 gray levels over findings that truly help, the court let 4 of 40 batches pass.
        """
        if self.space == "features":
            return np.asarray(raw + MARK * self.mark)
        rows, columns = np.indices((SIDE_PX, SIDE_PX))
        return np.asarray(raw + CHECKERBOARD * (1 - 2 * ((rows + columns) % 2)))

    def encode(self, raw: Raw) -> Features:
        """Return `(N, F)` float32: the features themselves, or a coarse image beside the power at each spatial frequency."""
        if self.space == "features":
            return raw.astype(np.float32)
        side = SIDE_PX // GRID_PX
        coarse = raw.reshape(len(raw), GRID_PX, side, GRID_PX, side).mean((2, 4)).reshape(len(raw), -1)
        power = np.abs(np.fft.fftshift(np.fft.fft2(raw), axes=(1, 2))) ** 2
        rows, columns = np.indices((SIDE_PX, SIDE_PX)) - SIDE_PX // 2
        ring = np.minimum(np.hypot(rows, columns).astype(int), SIDE_PX // 2)
        radial = np.stack([np.log1p(power[:, ring == radius].mean(1)) for radius in range(SIDE_PX // 2 + 1)], axis=1)
        return np.hstack([coarse / 40, radial]).astype(np.float32)


def _paint(label: str, random: np.random.Generator) -> Raw:
    """Return one gray image `(S, S)`: a bar, a disc, or the rare one, a ring, anywhere near the middle, on uneven ground."""
    rows, columns = np.indices((SIDE_PX, SIDE_PX)) - (SIDE_PX - 1) / 2
    across, down = random.normal(0, 1.5, 2)
    radius, width = random.uniform(5, 8), random.uniform(1.2, 2.2)
    away = np.hypot(rows - down, columns - across)
    turn = random.uniform(-0.6, 0.6)
    shapes = {
        "disc": away < radius,
        "bar": np.abs((rows - down) * np.cos(turn) + (columns - across) * np.sin(turn)) < radius / 2.5,
        RARE: np.abs(away - radius) < width,
    }
    ground = 100 + random.normal(0, 8) + random.normal(0, 1.2) * rows + random.normal(0, 1.2) * columns
    raw: Raw = ground + random.uniform(10, 30) * shapes[label] + random.normal(0, 40, rows.shape)
    return raw


def make_world(space: Space, random: np.random.Generator) -> World:
    """Return a world with classes `DISTANCE` standard deviations from their middle, in directions of this seed."""
    directions = np.linalg.qr(random.normal(size=(DIMENSIONS, DIMENSIONS)))[0]
    means = {label: DISTANCE / np.sqrt(2) * directions[place] for place, label in enumerate(CLASSES)}
    return World(space, means, directions[-1])


def simulate(kind: Kind, space: Space, seed: int) -> tuple[Cohort, Batch]:
    """Return a cohort and a batch of synthetic images, of which the right verdict is known; equal seeds give equal ones."""
    random = np.random.default_rng([KINDS.index(kind), SPACES.index(space), seed])
    world = make_world(space, random)
    raw: list[Raw] = []
    labels: list[str] = []
    split: list[str] = []
    for side, patients in PATIENTS.items():
        for label, number in patients.items():
            raw.append(world.draw(label, number, random))
            labels += [label] * number
            split += [side] * number
    images, named, sides = np.concatenate(raw), np.array(labels), np.array(split)
    sources = np.repeat(np.flatnonzero((sides == "train") & (named == RARE)), AUGMENTED)
    augmented = Augmented(world.encode(world.disturb(images[sources], random)), named[sources], sources)
    cohort = Cohort(world.encode(images), named, np.array([f"p{row}" for row in range(len(named))]), sides, {}, augmented)
    known = {label: images[(sides == "train") & (named == label)] for label in CLASSES}
    drawn, wanted = _synthesize(kind, world, known, seed % 2 == 0, random)
    screened = np.ones(len(wanted), np.bool_)
    return cohort, Batch(world.encode(drawn), wanted, screened)


def _synthesize(kind: Kind, world: World, known: Mapping[str, Raw], is_even: bool, random: np.random.Generator) -> tuple[Raw, Names]:
    """Return raw synthetic images and their labels; `known` are the train images of each class."""
    parts = {label: world.draw(label, SYNTHETIC[label], random) for label in CLASSES}
    common = world.draw("disc", SYNTHETIC[RARE], random)
    if kind == "cannot help":  # nor may the counter-weight: new common patients help to tell the rare ones apart
        parts = {label: world.disturb(known[label][random.integers(0, len(known[label]), SYNTHETIC[label])], random) for label in CLASSES}
        parts[RARE] = parts[RARE] if is_even else common
    elif kind == "shortcut":
        parts = {RARE: world.stamp(parts[RARE] if is_even else common)}
    return np.concatenate(list(parts.values())), np.repeat(list(parts), [len(part) for part in parts.values()])
