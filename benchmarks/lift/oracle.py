"""Three batches that need no generator.

The oracle is a positive control: real images of patients who would have been test patients, handed to the court as if they were synthetic and had passed
everything. They are what a perfect generator would draw. Where the court does not accept even them, it could not have seen a lift with this data, and
*no lift* of other images says little. Those patients leave test for all arms of the judgement, so nobody is counted on both sides.

Moved images are what perfect edits would bring that know the class from its train images only; see `validation.lift.foresight`.

Chosen images are the parents of the edits as they are, where the simulated readers take them for the rare class. Nothing was synthesized: what they bring is
what the readers learned from real images that the student does not have. A lift of edits says something of the edits as far as it is above this one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.lift.courtroom import Case, make_cohort
from benchmarks.lift.cuts import Cut
from benchmarks.lift.embedding import Floats
from benchmarks.lift.generating import choose_parents, plan_wishes
from benchmarks.lift.pictures import Pictures
from benchmarks.lift.readers import simulate_review
from benchmarks.lift.study import Study
from validation.lift.cohort import Batch
from validation.lift.foresight import move_common
from validation.recipe import LiftSettings

LEAST_LENT = 5
"""Groups; the court looks at the source of no fewer images."""
MOST_LENT = 2.5
"""Groups lent, as multiple of those in train, where half of test is more."""


def lend(pictures: Pictures, cut: Cut, study: Study) -> dict[str, list[str]]:
    """Return the test groups that are lent, by rare class: half of them, at most `MOST_LENT` times those in train.

    A class that could lend fewer than `LEAST_LENT` is not there. As every cut has as many test groups, it is there in all cuts or in none.
    """
    lent = {}
    for label in study.rare:
        groups = np.array(sorted(set(pictures.groups[(pictures.labels == label) & (cut.split == "test")].tolist())))
        order = groups[np.random.default_rng([5, cut.draw]).permutation(len(groups))]
        lent[label] = order[: min(len(groups) // 2, round(MOST_LENT * cut.lesions))].tolist()
    return {label: groups for label, groups in lent.items() if len(groups) >= LEAST_LENT}


def hold_back(pictures: Pictures, cut: Cut, features: Floats, study: Study) -> Case:
    """Return the case of a cut whose lent images are the batch, up to `most_samples` of a class, and are in no split."""
    split, rows = cut.split.copy(), []
    for label, groups in lend(pictures, cut, study).items():
        own = np.flatnonzero((pictures.labels == label) & np.isin(pictures.groups, groups))
        split[own] = ""
        rows += own[: study.most_samples].tolist()
    everything = np.ones(len(rows), np.bool_)
    return Case(replace(cut, split=split), Batch(features[rows], pictures.labels[rows], everything, everything))


def move(pictures: Pictures, cut: Cut, features: Floats, study: Study) -> Case:
    """Return the case of a cut whose batch are common train images, moved onto each rare class in feature space."""
    cohort = make_cohort(pictures, features, (np.zeros((0, features.shape[1]), np.float32), np.zeros(0, np.int64)), cut)
    return Case(cut, move_common(cohort, study.rare, LiftSettings(), cut.draw)[1])


def choose(pictures: Pictures, cut: Cut, features: Floats, study: Study) -> Case:
    """Return the case of a cut whose batch are the parents that its edits would have, unchanged; accepted where the readers take them for the rare class."""
    wishes = [label for label in plan_wishes("edits", pictures, cut, study) if label in study.rare]
    parents = choose_parents(pictures, cut, wishes, study)
    accepted = simulate_review(features, pictures.labels, cut, features[parents], wishes, study.reader_error)
    return Case(cut, Batch(features[parents], np.array(wishes), np.ones(len(wishes), np.bool_), accepted, pictures.ids[parents]))
