"""Cutting the rare classes down, again and again, while the common classes keep one split.

The generator's base learns from common train images only, so one base serves every cut and no image of a rare class can leak through it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.lift.pictures import Names, Pictures
from benchmarks.lift.study import Study

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """One cut: `split` is `(N,)`, "train", "val", "test", or "" for images that the court does not see."""

    lesions: int
    draw: int
    split: Names

    @property
    def name(self) -> str:
        """Of its files."""
        return f"n{self.lesions:03d}-draw{self.draw}"


def split_common(pictures: Pictures, rare: tuple[str, ...]) -> Names:
    """Return `(N,)` "train", "val" or "test" for images of common classes, "" for rare ones: 60/20/20 of each class's groups, one fixed draw.

    Example:
        A class of 5 groups gives 3, 1 and 1.
    """
    split = np.full(len(pictures.ids), "", dtype="<U5")
    for label in sorted(set(pictures.labels.tolist()) - set(rare)):
        groups = np.array(sorted(set(pictures.groups[pictures.labels == label].tolist())))
        order = groups[np.random.default_rng(0).permutation(len(groups))]
        train, val = round(0.6 * len(groups)), round(0.2 * len(groups))
        for side, part in (("train", order[:train]), ("val", order[train : train + val]), ("test", order[train + val :])):
            split[(pictures.labels == label) & np.isin(pictures.groups, part)] = side
    return split


def keep_most(pictures: Pictures, split: Names, most: int) -> Names:
    """Return the split with at most `most` images of a class on each side, whole groups by a fixed draw; the rest is ""."""
    kept = split.copy()
    for label in sorted(set(pictures.labels[split != ""].tolist())):
        for side in ("train", "val", "test"):
            members = np.flatnonzero((pictures.labels == label) & (split == side))
            if most and len(members) > most:
                names = sorted(set(pictures.groups[members].tolist()))
                rank = dict(zip(names, np.random.default_rng(1).permutation(len(names)).tolist(), strict=True))
                order = sorted(members.tolist(), key=lambda one: (rank[pictures.groups[one]], one))
                kept[order[most:]] = ""
    return kept


def make_cut(pictures: Pictures, common: Names, study: Study, lesions: int, draw: int) -> Cut:
    """Return the split of one cut: of each rare class `val_groups` are val, the next `lesions` train, all others test.

    Val is the same for every number of lesions of a draw, and fewer lesions are a part of more. `rows.check_classes` saw to it that test is left some.
    """
    split = common.copy()
    for label in study.rare:
        groups = np.array(sorted(set(pictures.groups[pictures.labels == label].tolist())))
        order = groups[np.random.default_rng([2, draw]).permutation(len(groups))]
        val, train = order[: study.val_groups], order[study.val_groups : study.val_groups + lesions]
        own = pictures.labels == label
        split[own] = "test"
        split[own & np.isin(pictures.groups, val)] = "val"
        split[own & np.isin(pictures.groups, train)] = "train"
    return Cut(lesions, draw, split)


def make_cuts(pictures: Pictures, study: Study) -> list[Cut]:
    """Return every cut, those of one number of lesions together."""
    common = keep_most(pictures, split_common(pictures, study.rare), study.most_images)
    return [make_cut(pictures, common, study, lesions, draw) for lesions in study.lesions for draw in range(study.draws)]


def base_rows(pictures: Pictures, study: Study) -> npt.NDArray[np.int64]:
    """Return the positions of all common train images: what a base learns from."""
    return np.flatnonzero(split_common(pictures, study.rare) == "train")
