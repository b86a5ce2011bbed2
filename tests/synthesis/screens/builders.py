"""Phantoms of many patients, their embeddings, and the screens fitted on them."""

from __future__ import annotations

from functools import cache

import numpy as np

from curation.pixels import Pixels
from synthesis.screens.distances import Floats
from synthesis.screens.memorization import MemorizationScreen, fit_memorization
from tests.synthesis.builders import CLASSES, a_phantom, embed_phantoms

SIZE = 32
TRAIN = [a_phantom(label, number, SIZE) for label in CLASSES for number in range(60)]
UNSEEN = [a_phantom(label, number, SIZE) for label in CLASSES for number in range(100, 160)]
LABELS = [label for label in CLASSES for _ in range(60)]
GROUPS = [f"patient {number}" for number in range(len(TRAIN))]
OTHERS = [f"unseen {number}" for number in range(len(UNSEEN))]


@cache
def the_screen(quantile: float = 0.05) -> MemorizationScreen:
    """Return the memorization screen of the train phantoms, one image a patient."""
    return fit_memorization(TRAIN, embed_phantoms(TRAIN), GROUPS, LABELS, quantile)


def called(screen: MemorizationScreen, images: list[Pixels], label: str) -> float:
    """Return the share of images of a class that are called near-copies."""
    return float(np.mean(screen.called(images, embed_phantoms(images), label)))


def discs(images: list[Pixels]) -> list[Pixels]:
    """Return the first class of `TRAIN` or `UNSEEN`."""
    return images[:60]


def features_of(images: list[Pixels]) -> Floats:
    """Return embeddings."""
    return np.asarray(embed_phantoms(images), np.float32)
