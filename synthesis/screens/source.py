"""The source-shortcut screen of one class: probe, artefacts and swap together; and how often it finds an artefact that was planted.

A class is told apart when the lower end of the interval of the probe's area, or of one artefact's, is above the recipe's limit, or when the swap
test shows a shortcut.
Halves of a rare class are small: on 25 dermoscopy images of 20 lesions, limit 0.9, checkerboards and frames were found always (3 of 3 each), blur in 2 of 3,
noise and tint never, and no untouched half was called. What is not told apart is not shown to be equal; the intervals say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curation.pixels import Pixels
from synthesis.screens.artefacts import ARTEFACTS, Artefacts, Traits, compare_artefacts, compare_traits, measure_traits
from synthesis.screens.distances import Floats
from synthesis.screens.rates import Rate, pool, rate
from synthesis.screens.shortcut import Auc, tell_apart
from synthesis.screens.swap import Swap

REPEATS = 3
LEAST_PATIENTS = 8


class Sample(NamedTuple):
    """Images of one class and source: pixels, `(N, F)` embeddings, patients."""

    images: Sequence[Pixels]
    features: Floats
    groups: Sequence[str]


@dataclass(frozen=True)
class Shortcut:
    """How the synthetic images of one class can be told from real ones.

    Attributes:
        label: class.
        probe: of embeddings; None with fewer than four patients or four synthetic images.
        chance: the same probe between real train and real val images: what there is to tell without any synthesis.
        artefacts: what can be named.
        swap: what the source does to a classifier's answers.
        is_told_apart: whether there is a shortcut for sure.
        reasons: by what.
    """

    label: str
    probe: Auc | None
    chance: Auc | None
    artefacts: Artefacts
    swap: Swap | None
    is_told_apart: bool
    reasons: tuple[str, ...]


def judge_source(label: str, real: Sample, synthetic: Sample, unseen: Sample | None, swap: Swap | None, limit: float) -> Shortcut:
    """Return how the synthetic images of a class differ from its real train images.

    Args:
        label: the class.
        real: real train images of it.
        synthetic: drawn ones.
        unseen: real images of other patients of it.
        swap: result of the swap test.
        limit: area under the curve above which, surely, there is a shortcut.
    """
    probe = tell_apart(real.features, synthetic.features, real.groups, synthetic.groups)
    chance = tell_apart(real.features, unseen.features, real.groups, unseen.groups) if unseen is not None and len(unseen.images) else None
    artefacts = compare_artefacts(real.images, synthetic.images, real.groups, synthetic.groups)
    reasons = _reasons(probe, artefacts, limit) + (("swap",) if swap is not None and swap.is_shortcut else ())
    return Shortcut(label, probe, chance, artefacts, swap, bool(reasons), reasons)


def _reasons(probe: Auc | None, artefacts: Artefacts, limit: float) -> tuple[str, ...]:
    found = ("probe",) if probe is not None and probe.low > limit else ()
    return found + tuple(name for name in ARTEFACTS if artefacts.aucs[name].low > limit)


@dataclass(frozen=True)
class SourcePower:
    """How often the screen finds a planted source, and how often it finds one where there is none. Halves of the same images: not independent.

    Attributes:
        label: class whose real images were used.
        images: how many.
        all_kinds: artefacts found.
        by_kind: the same by kind.
        false_alarms: pairs of untouched halves that are told apart.
    """

    label: str
    images: int
    all_kinds: Rate
    by_kind: dict[str, Rate]
    false_alarms: Rate


def measure_source_power(label: str, real: Sample, marked: dict[str, Sample], limit: float, seed: int = 0) -> SourcePower | None:
    """Return how often one half of the patients, with an artefact planted, is told from the other half without.

    Args:
        label: class of the images.
        real: real train images of one class.
        marked: the same images in the same order with an artefact each, by kind.
        limit: as in `judge_source`.
        seed: of the halves.

    Returns:
        None for fewer than eight patients, which make no two halves, or when nothing was planted.
    """
    if not marked or len(set(real.groups)) < LEAST_PATIENTS:
        return None
    traits = {kind: measure_traits(sample.images) for kind, sample in marked.items()}
    untouched = measure_traits(real.images)
    halves = [_halve(real.groups, np.random.default_rng([seed, number])) for number in range(REPEATS)]
    found = {kind: rate(_is_found((real, untouched), (sample, traits[kind]), half, limit) for half in halves) for kind, sample in marked.items()}
    overall, alarms = pool(found.values()), rate(_is_found((real, untouched), (real, untouched), half, limit) for half in halves)
    rates = {kind: share for kind, share in found.items() if share is not None}
    return SourcePower(label, len(real.images), overall, rates, alarms) if overall is not None and alarms is not None else None


def _halve(groups: Sequence[str], random: np.random.Generator) -> tuple[list[int], list[int]]:
    """Return the positions of two halves of the patients."""
    names = np.unique(np.asarray(groups))
    first = set(random.permutation(names)[: len(names) // 2].tolist())
    return [at for at, group in enumerate(groups) if group in first], [at for at, group in enumerate(groups) if group not in first]


def _is_found(real: tuple[Sample, Traits], marked: tuple[Sample, Traits], half: tuple[list[int], list[int]], limit: float) -> bool:
    (one, one_traits), (other, other_traits) = real, marked
    groups, other_groups = ([sample.groups[row] for row in rows] for sample, rows in ((one, half[0]), (other, half[1])))
    probe = tell_apart(one.features[half[0]], other.features[half[1]], groups, other_groups)
    return bool(_reasons(probe, compare_traits(one_traits.of(half[0]), other_traits.of(half[1]), groups, other_groups), limit))
