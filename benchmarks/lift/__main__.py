"""Run the whole path; started again, it goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adaptation.encoders import load_encoder
from benchmarks.lift.courtroom import Case, hold_court
from benchmarks.lift.cuts import Cut, make_cuts
from benchmarks.lift.embedding import Embed, Floats, embed_augmented, embed_made, embed_real
from benchmarks.lift.generating import Base, fine_tune, learned_rows, make, open_bases
from benchmarks.lift.pictures import Pictures, read_pictures
from benchmarks.lift.publishing import Row, publish, summarise
from benchmarks.lift.readers import simulate_review
from benchmarks.lift.screening import passed, screen
from benchmarks.lift.study import Study, parse
from curation.errors import CuraloopError

FAILED = 1


class View(NamedTuple):
    """How the court sees one kind of images: their size, features of all real ones, features and sources of augmented ones."""

    size_px: int
    features: Floats
    augmented: tuple[Floats, npt.NDArray[np.int64]]


def tell(what: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def main(arguments: list[str]) -> int:
    """Read, embed, train, draw, screen, review, judge, publish."""
    try:
        study = parse(arguments)
        run(study)
    except CuraloopError as error:
        print(error, file=sys.stderr)
        return FAILED
    return 0


def run(study: Study) -> None:
    """Do everything that has no file yet; the table is written anew after every judgement."""
    pictures = read_pictures(study)
    cuts = make_cuts(pictures, study)
    tell(f"{len(pictures.ids)} images, {len(set(pictures.groups.tolist()))} groups, {len(cuts)} cuts")
    encoder = load_encoder(threads=study.threads)
    folder = study.work / "features" / encoder.sha256[:12]
    seen = np.flatnonzero(np.any([cut.split != "" for cut in cuts], axis=0))
    views: dict[str, View] = {}
    for arm in study.arms:
        side = study.size_px if arm == "free" else study.full_px
        features = embed_real(pictures, seen, side, folder, encoder.embed, tell)
        views[arm] = View(side, features, embed_augmented(pictures, study, side, folder, encoder.embed, tell))
    rows: list[Row] = []
    judgements: dict[str, Any] = {}
    for base in open_bases(study, pictures, tell):
        for lesions in study.lesions:
            chosen = [cut for cut in cuts if cut.lesions == lesions]
            for arm in study.arms:
                found, judged = examine(arm, base, chosen, pictures, views[arm], encoder.embed, folder, study)
                rows += found
                judgements[found[0]["name"]] = judged
                publish(rows, judgements, study.work, f"Lift of synthetic images for {', '.join(study.rare)}")
                tell(f"{found[-1]['name']}: {found[-1]['verdict']}; table.md is written")


def examine(
    arm: str, base: Base, cuts: Sequence[Cut], pictures: Pictures, view: View, embed: Embed, folder: Path, study: Study
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of the table and the judgement for one base, arm and number of lesions."""
    name, cases, screens, cost = f"{base.name}-n{cuts[0].lesions:03d}-{arm}", [], [], []
    for cut in cuts:
        engine, spent = fine_tune(base, pictures, cut, study, tell)
        made, file = make(arm, engine, pictures, cut, study, base, tell), f"{base.name}-{cut.name}-{arm}"
        features = embed_made(made.images, folder / "made" / f"{file}.npy", embed)
        about = screen(file, made, features, pictures, view.features, learned_rows(pictures, cut, study), cut, study, embed)
        accepted = simulate_review(view.features, pictures.labels, cut, features, made.labels, study.reader_error)
        cases.append(Case(cut, features, made.labels, passed(about), accepted))
        screens.append(about)
        tell(f"{file}: {len(made.labels)} images, {int(passed(about).sum())} passed the screens, readers accept {int(accepted.sum())}")
        cost.append(spent)
    judged = hold_court(name, cases, pictures, view.features, view.augmented, study, tell)
    return summarise(
        judged, {"name": name, "arm": arm, "lesions": cuts[0].lesions, "base_steps": base.steps, **merge(screens), **price(base, cost, study)}
    ), judged


def merge(screens: Sequence[dict[str, Any]]) -> Row:
    """Return the screens' shares over all cuts, by class."""
    classes = sorted({label for about in screens for label in about["near_copies"]})
    return {
        "near_copies_by_class": {label: float(np.mean([about["near_copies"][label] for about in screens])) for label in classes},
        "screens": [{name: value for name, value in about.items() if name != "passed"} for about in screens],
    }


def price(base: Base, spent: Sequence[dict[str, float]], study: Study) -> Row:
    """Return the CPU minutes of a table's row: the base's, at this run's time an image and step, and the mean of the cuts' fine-tunes."""
    image_s = sum(one["cpu_s"] for one in spent) / max(1.0, sum(one["steps"] for one in spent)) / study.low_shot_batch
    tune_s = float(np.mean([one["cpu_s"] for one in spent]))
    return {"compute_cpu_min": round((base.steps * base.batch_size * image_s + tune_s) / 60, 1)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
