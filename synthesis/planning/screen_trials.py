"""What the screens would cost here and now: their parts, timed on a few images of the task, times how often a round needs each.

Where a part looks at all train images, the few are repeated and their features are noise: what a search or a fit costs depends on how many there are,
hardly on what they show. Reading the images is not counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from curation.pixels import Pixels
from synthesis.fidelity import LEAST_IMAGES, Side, measure_fidelity
from synthesis.recipe import ScreenSettings
from synthesis.remembering import Embed
from synthesis.screening import MARKED_IMAGES, MOST_PLANTED
from synthesis.screens.agreement import fit_agreement
from synthesis.screens.artefacts import compare_artefacts
from synthesis.screens.distances import Floats, measure, prepare
from synthesis.screens.memorization import NULL_IMAGES
from synthesis.screens.planting import ARTEFACT_KINDS, COPY_KINDS
from synthesis.screens.shortcut import tell_apart
from synthesis.screens.source import REPEATS
from synthesis.screens.swap import source_of, swap_source

FEW_IMAGES = 8
FITTED_IMAGES = 2000
PROBED_IMAGES = 400
"""Most images of a class that a probe is timed on; of larger classes its time is scaled up."""


@dataclass(frozen=True)
class Round:
    """How many images of each class a round of screening looks at.

    Attributes:
        train: real train images.
        held_out: real val images.
        drawn: candidates.
    """

    train: Counter[str]
    held_out: Counter[str]
    drawn: Counter[str]

    def copies(self, planted: int) -> int:
        """Return how many near-copies are planted, when so many train images may be copied."""
        return sum(min(planted // len(self.drawn), MOST_PLANTED, self.train[label]) for label in self.drawn) * len(COPY_KINDS)


def time_screens(images: Sequence[Pixels], here: Round, embed: Embed, settings: ScreenSettings, *, with_fidelity: bool) -> float:
    """Return the seconds that screening a round would take.

    Args:
        images: a few train images as the screens look at them, at most `FEW_IMAGES`; at least two.
        here: the round.
        embed: of images.
        settings: how much is planted.
        with_fidelity: whether FID and the like are measured.
    """
    few, number, copies = list(images[:FEW_IMAGES]), here.train.total(), here.copies(settings.planted_images)
    marked = min(settings.planted_images, MARKED_IMAGES)
    dimensions = embed(few).shape[1]  # the first call loads the encoder
    embedded = number + here.held_out.total() + here.drawn.total() + copies + marked * len(ARTEFACT_KINDS)
    searched = min(NULL_IMAGES, number) + copies + here.drawn.total() + sum(here.held_out[label] for label in here.drawn)
    seconds = embedded * _seconds(lambda: embed([255 - image for image in few])) / len(few)
    seconds += _time_searches(few, number, searched, dimensions)
    seconds += _time_fits(here, dimensions)
    seconds += sum(_time_source(few, here.train[label], here.drawn[label], here.held_out[label], dimensions) for label in here.drawn)
    seconds += REPEATS * (len(ARTEFACT_KINDS) + 1) * _time_source(few, marked // 2, marked // 2, 0, dimensions)
    return seconds + (_time_fidelity(few, here, dimensions) if with_fidelity else 0.0)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _noise(number: int, dimensions: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((number, dimensions), np.float32)


def _names(number: int, kind: str = "") -> list[str]:
    return [f"{kind}{place}" for place in range(number)]


def _repeated(few: Sequence[Pixels], number: int) -> list[Pixels]:
    return list(islice(cycle(few), number))


def _labels(counts: Counter[str]) -> Iterator[str]:
    return (label for label in sorted(counts) for _ in range(counts[label]))


def _time_searches(few: list[Pixels], number: int, searched: int, dimensions: int) -> float:
    """Return the seconds of getting all train images ready, and of looking for so many images among them."""
    began = time.perf_counter()
    references = prepare(_repeated(few, number), _noise(number, dimensions), _names(number))
    ready = time.perf_counter() - began
    return ready + searched * _seconds(lambda: measure(few, _noise(len(few), dimensions, 1), references)) / len(few)


def _time_fits(here: Round, dimensions: int) -> float:
    """Return the seconds of fitting the class screen and the two classifiers of the swap test; with many train images a part of each class is fitted to."""
    share = min(1.0, FITTED_IMAGES / here.train.total())
    part = Counter({label: max(1, round(number * share)) for label, number in here.train.items()})
    train, unseen, made = (
        source_of(_noise(counts.total(), dimensions, seed), list(_labels(counts)), _names(counts.total(), kind))
        for seed, (kind, counts) in enumerate((("t", part), ("v", here.held_out), ("d", here.drawn)))
    )
    fitting = _seconds(lambda: fit_agreement(train.features, train.labels.tolist(), train.groups.tolist()))
    swapping = _seconds(lambda: swap_source(train, unseen, made, max(here.drawn, key=lambda label: here.drawn[label])))
    return (fitting + swapping) / share


def _time_source(few: list[Pixels], real: int, made: int, unseen: int, dimensions: int) -> float:
    """Return the seconds of telling the source of one class's images: a probe of candidates and one of val images against train, and the artefacts."""
    known, other = min(real, PROBED_IMAGES), min(made, PROBED_IMAGES)
    if not known or not other:
        return 0.0
    probe = _seconds(lambda: tell_apart(_noise(known, dimensions), _noise(other, dimensions, 1), _names(known)))
    scale = real * min(real, dimensions) / (known * min(known, dimensions))
    marks = _seconds(lambda: compare_artefacts(_repeated(few, len(few)), few, _names(len(few)))) / (2 * len(few))
    return probe * scale * (2 if unseen else 1) + marks * (real + made)


def _time_fidelity(few: list[Pixels], here: Round, dimensions: int) -> float:
    """Return the seconds of all figures of fidelity; one class that has enough images for them is measured."""
    enough = [label for label in here.drawn if here.drawn[label] >= LEAST_IMAGES]
    if not enough:
        return 0.0
    label = max(enough, key=lambda name: here.train[name])
    train, made, held_out = (
        Side(_repeated(few, counts[label]), _noise(counts[label], dimensions, seed), [label] * counts[label], _names(counts[label], str(seed)))
        for seed, counts in enumerate((here.train, here.drawn, here.held_out))
    )
    return len(enough) * _seconds(lambda: measure_fidelity(train, made, held_out))
