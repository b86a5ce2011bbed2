"""What the court looks at: a cohort of real images, and a batch of synthetic ones, both as features of one frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError

Features = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]
Flags = npt.NDArray[np.bool_]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Augmented:
    """Classically augmented real train images, embedded by the caller: the control for "more of the same, changed a little".

    Attributes:
        features: `(A, F)` float32.
        labels: `(A,)`, the label of the image that each was made from.
        source: `(A,)` row of the cohort that each was made from; a train row.
    """

    features: Features
    labels: Names
    source: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cohort:
    """Real images of one task, N of them, with their split.

    Attributes:
        features: `(N, F)` float32.
        labels: `(N,)`.
        patients: `(N,)` pseudonyms; the unit that is resampled. A patient is in one split only.
        split: `(N,)`, each `train`, `val` or `test`.
        subgroups: `(N,)` value of each column in which a cost is looked for, such as site or sex.
        augmented: classical augmentation; without it that control is left out, and the judgement says so.
    """

    features: Features
    labels: Names
    patients: Names
    split: Names
    subgroups: Mapping[str, Names] = field(default_factory=dict)
    augmented: Augmented | None = None

    def __post_init__(self) -> None:
        """Check lengths, numbers, splits and patients.

        Raises:
            UsageError: with a sentence that says what is wrong.
        """
        rows = {"labels": len(self.labels), "patients": len(self.patients), "split": len(self.split)}
        rows |= {f"subgroup {name}": len(values) for name, values in self.subgroups.items()}
        _same_length("cohort", len(self.features), rows)
        _all_finite("real images", self.features)
        if strange := set(self.split.tolist()) - set(SPLITS):
            raise UsageError(f"the court knows the splits train, val and test; this cohort has {', '.join(sorted(strange))}: leave those rows out")
        if missing := set(SPLITS) - set(self.split.tolist()):
            raise UsageError(f"the court needs real images in train, val and test; {', '.join(sorted(missing))} is empty: run `curaloop curate`")
        if len(np.unique(self.patients)) != len({(patient, side) for patient, side in zip(self.patients.tolist(), self.split.tolist(), strict=True)}):
            raise UsageError("a patient is in two splits, so no comparison would be fair: split by patient first")
        if self.augmented is not None:
            self._check_augmented(self.augmented)

    def _check_augmented(self, augmented: Augmented) -> None:
        """Check that augmented images come from train rows of their own label."""
        _same_length("augmentation", len(augmented.features), {"labels": len(augmented.labels), "source": len(augmented.source)})
        _all_finite("augmented images", augmented.features)
        if (self.split[augmented.source] != "train").any():
            raise UsageError("an augmented image was made from an image outside train: augment train images only")
        if (self.labels[augmented.source] != augmented.labels).any():
            raise UsageError("an augmented image has another label than the image it was made from")

    def on(self, side: str) -> npt.NDArray[np.int64]:
        """Return the rows of one split."""
        return np.flatnonzero(self.split == side)


@dataclass(frozen=True)
class Batch:
    """One batch of synthetic images, M of them, before anybody left one out.

    Attributes:
        features: `(M, F)` float32, from the same encoder as the cohort's.
        labels: `(M,)` class that each was made for.
        screened: `(M,)`, whether it passed all screens.
        accepted: `(M,)`, whether experts accepted it; None when nobody was asked.
        parents: `(M,)`, real image that each was made from, "" where there is none; None: nobody has a parent. Children of one parent hang together.
    """

    features: Features
    labels: Names
    screened: Flags
    accepted: Flags | None = None
    parents: Names | None = None

    def __post_init__(self) -> None:
        """Check lengths and numbers.

        Raises:
            UsageError: with a sentence that says what is wrong.
        """
        rows = {"labels": len(self.labels), "screened": len(self.screened)}
        if self.accepted is not None:
            rows["accepted"] = len(self.accepted)
        if self.parents is not None:
            rows["parents"] = len(self.parents)
        _same_length("batch", len(self.features), rows)
        _all_finite("synthetic images", self.features)
        if not len(self.features):
            raise UsageError("the batch holds no synthetic image: run `curaloop synthesize` first")

    def releasable(self) -> Flags:
        """Return `(M,)`: passed the screens and, when experts were asked, was accepted by them. The verdict is about these."""
        return self.screened if self.accepted is None else self.screened & self.accepted


def _same_length(what: str, length: int, rows: Mapping[str, int]) -> None:
    wrong = sorted(name for name, number in rows.items() if number != length)
    if wrong:
        raise UsageError(f"the {what} has {length} rows of features, but another number of {', '.join(wrong)}: give one value an image")


def _all_finite(what: str, features: Features) -> None:
    strange = int((~np.isfinite(features).all(axis=1)).sum())
    if strange:
        raise UsageError(f"features of {strange} {what} are not numbers (NaN or infinite): embed them again, with fp32 when the encoder ran in bf16")
