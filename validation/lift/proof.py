"""The court's own trial: cohorts with a known answer, over many seeds, and how often its verdict is wrong.

Wrong is: of a batch that helps, any word but *accept*; of one that cannot help, *accept*; of one with a shortcut, any word but *reject*.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from curation.progress import Progress, silent
from synthesis.screens.rates import rate as share_of
from validation.lift.judgement import Estimate, Verdict, Word
from validation.lift.judging import judge
from validation.lift.simulation import KINDS, RARE, SPACES, Kind, Space, simulate
from validation.recipe import LiftSettings

SEEDS = 20
MOST_WRONG = 0.05
PROOF_SETTINGS = LiftSettings(seeds=3, steps=300, draws=500)
"""The recipe's default court with fewer trainings, optimizer steps and resamples, so that the proof takes minutes."""


@dataclass(frozen=True)
class Run:
    """One verdict on one simulated batch.

    Attributes:
        kind: what the batch is.
        space: features or images.
        seed: of the cohort.
        word: the verdict on the rare class.
        is_wrong: whether that is not what is true.
        lift: over the best control.
        source_auc: how well real and synthetic can be told apart.
        reason: the court's.
    """

    kind: Kind
    space: Space
    seed: int
    word: Word
    is_wrong: bool
    lift: Estimate
    source_auc: Estimate
    reason: str


@dataclass(frozen=True)
class ErrorRate:
    """Wrong verdicts of one kind and space, with the 95 % interval of Wilson (1927).

    Attributes:
        kind: what the batches were.
        space: features or images.
        runs: seeds.
        wrong: how many verdicts were wrong.
        low: lower end of the rate's interval.
        high: upper end.
        words: how often each word was said.
    """

    kind: Kind
    space: Space
    runs: int
    wrong: int
    low: float
    high: float
    words: dict[str, int]

    @property
    def rate(self) -> float:
        """Share of wrong verdicts."""
        return self.wrong / self.runs


@dataclass(frozen=True)
class Proof:
    """What the trial showed.

    Attributes:
        rates: one of each kind and space.
        runs: every run.
        settings: the court's.
        seconds: wall time.
    """

    rates: tuple[ErrorRate, ...]
    runs: tuple[Run, ...]
    settings: dict[str, Any]
    seconds: float

    @property
    def is_proven(self) -> bool:
        """Is no rate above 5 %?"""
        return all(rate.rate <= MOST_WRONG for rate in self.rates)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, ready for `json.dumps`."""
        return asdict(self) | {"is_proven": self.is_proven}


def prove(
    settings: LiftSettings = PROOF_SETTINGS,
    seeds: int = SEEDS,
    first: int = 0,
    kinds: Sequence[Kind] = KINDS,
    spaces: Sequence[Space] = SPACES,
    progress: Progress = silent,
    executor: Executor | None = None,
) -> Proof:
    """Try the court on every kind of batch, in every space, over several seeds.

    Args:
        settings: the court's.
        seeds: cohorts of each kind and space.
        first: seed of the first; others than those that the court was made with are a fairer trial.
        kinds: of batches.
        spaces: features, images.
        progress: told of every verdict.
        executor: runs the trials side by side; None: one after the other, here.
    """
    began = time.monotonic()
    wishes = [(kind, space, seed) for space in spaces for kind in kinds for seed in range(first, first + seeds)]
    found: Iterator[Run] = (map if executor is None else executor.map)(partial(try_court, settings=settings), *zip(*wishes, strict=True))
    runs = []
    for run in found:
        runs.append(run)
        progress(len(runs), len(wishes), f"trying the court: {run.kind}, in {run.space}")
    rates = tuple(rate_errors([run for run in runs if (run.kind, run.space) == pair]) for pair in dict.fromkeys((kind, space) for kind, space, _ in wishes))
    return Proof(rates, tuple(runs), settings.model_dump(mode="json"), round(time.monotonic() - began, 1))


def try_court(kind: Kind, space: Space, seed: int, settings: LiftSettings) -> Run:
    """Return the court's verdict on one simulated batch."""
    cohort, batch = simulate(kind, space, seed)
    verdict: Verdict = judge(cohort, batch, settings).of(RARE)
    return Run(kind, space, seed, verdict.word, is_wrong(kind, verdict.word), verdict.lift, verdict.source_auc, verdict.reason)


def is_wrong(kind: Kind, word: Word) -> bool:
    """Say whether a word about a batch of this kind is wrong."""
    return {"helps": word != "accept", "cannot help": word == "accept", "shortcut": word != "reject"}[kind]


def rate_errors(runs: Sequence[Run]) -> ErrorRate:
    """Return how often the verdicts of runs of one kind and space were wrong.

    Example:
        1 wrong of 20 gives .05 [.009, .236].
    """
    wrong = share_of(run.is_wrong for run in runs)
    assert wrong is not None  # there are runs of every kind
    words = {str(word): number for word, number in sorted(Counter(run.word for run in runs).items())}
    return ErrorRate(runs[0].kind, runs[0].space, wrong.of, wrong.found, wrong.low, wrong.high, words)
