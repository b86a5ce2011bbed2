"""Bringing the cuts of one number of lesions before the court, pooled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.lift.cuts import Cut
from benchmarks.lift.embedding import Floats
from benchmarks.lift.pictures import Pictures
from benchmarks.lift.study import Study, Tell
from curation.manifest import write_bytes
from validation.lift.cohort import Augmented, Batch, Cohort
from validation.lift.judging import judge_splits
from validation.recipe import LiftSettings


class Case(NamedTuple):
    """One cut, and its synthetic images as the court sees them."""

    cut: Cut
    batch: Batch


def make_cohort(pictures: Pictures, features: Floats, augmented: tuple[Floats, npt.NDArray[np.int64]], cut: Cut) -> Cohort:
    """Return the real images of a cut; augmented ones only of train images."""
    seen = np.flatnonzero(cut.split != "")
    place = np.full(len(cut.split), -1)
    place[seen] = np.arange(len(seen))
    found, source = augmented
    used = np.flatnonzero(cut.split[source] == "train")
    copies = Augmented(found[used], pictures.labels[source[used]], place[source[used]]) if len(used) else None
    subgroups = {name: values[seen] for name, values in pictures.subgroups.items()}
    return Cohort(features[seen], pictures.labels[seen], pictures.groups[seen], cut.split[seen], subgroups, copies)


def hold_court(
    name: str, cases: Sequence[Case], pictures: Pictures, features: Floats, augmented: tuple[Floats, npt.NDArray[np.int64]], study: Study, tell: Tell
) -> dict[str, Any]:
    """Return the court's judgement over the cases, as plain values; it is kept in a file."""
    path = study.work / "court" / f"{name}.json"
    if not path.exists():
        settings = LiftSettings(seeds=study.seeds, steps=study.court_steps, draws=study.resamples)
        pairs = [(make_cohort(pictures, features, augmented, case.cut), case.batch) for case in cases]

        def progress(done: int, total: int, what: str) -> None:
            tell(f"court on {name}: {what}, {done} of {total}")

        write_bytes(json.dumps(judge_splits(pairs, settings, progress).to_json(), indent=1).encode(), path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found
