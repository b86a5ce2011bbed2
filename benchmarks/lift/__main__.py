"""Run the whole path; started again, it goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adaptation.encoders import Encoder, load_encoder
from benchmarks.lift.courtroom import Case, hold_court
from benchmarks.lift.curve import Row
from benchmarks.lift.cuts import Cut, make_cuts
from benchmarks.lift.embedding import Embed, Floats, embed_augmented, embed_made, embed_real
from benchmarks.lift.generating import Base, check_settings, fine_tune, learned_rows, make, open_bases
from benchmarks.lift.oracle import LEAST_LENT, choose, hold_back, lend, move
from benchmarks.lift.pictures import Pictures, read_pictures
from benchmarks.lift.publishing import publish, summarise
from benchmarks.lift.readers import simulate_review
from benchmarks.lift.screening import passed, screen
from benchmarks.lift.study import MADE, REFERENCES, Study, keep_encoder, parse, working
from curation.errors import CuraloopError
from validation.lift.cohort import Batch

INTERRUPTED = 130
FEW_GROUPS = 10


class View(NamedTuple):
    """How the court sees images of one size: features of all real ones, features and sources of augmented ones."""

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
        check_settings(study)
        with working(study):
            run(study)
    except CuraloopError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    return 0


def run(study: Study) -> None:
    """Do everything that has no file yet; the table is written anew after every judgement."""
    pictures = read_pictures(study, tell)
    notes = [*describe(pictures, study), *pictures.notes]
    for note in notes:
        tell(note)
    if study.bases:
        open_bases(study, pictures, tell)  # a wrong one fails now, and not after the oracle
    cuts = make_cuts(pictures, study)
    encoder = load_encoder(threads=study.threads)
    keep_encoder(study, encoder.sha256)
    folder = study.work / "features" / encoder.sha256[:12]
    views = {arm: look(pictures, cuts, side_of(arm, study), folder, encoder, study) for arm in study.arms}
    rows: list[Row] = []
    verdict = ""
    for found in judge_all(study, pictures, cuts, views, encoder.embed, folder, notes):
        rows += found
        verdict = publish(rows, notes, study.work, f"Lift of synthetic images for {', '.join(study.rare)}")
        words = "; ".join(f"{row['label']} {row['verdict']}" for row in found)
        tell(f"{found[0]['name']}: {words}")
    tell(f"{verdict} See table.md and curve.png in the work folder.")


def describe(pictures: Pictures, study: Study) -> list[str]:
    """Return a sentence about the images, with the classes and their groups."""
    labels = sorted(set(pictures.labels.tolist()), key=lambda label: (label in study.rare, label))
    groups = {label: len(set(pictures.groups[pictures.labels == label].tolist())) for label in labels}
    classes = ", ".join(f"{label} {int((pictures.labels == label).sum())} ({groups[label]}{', rare' * (label in study.rare)})" for label in labels)
    notes = [f"{len(pictures.ids)} images take part, by class with the number of groups: {classes}"]
    left = {label: groups[label] - study.val_groups - max(study.lesions) for label in study.rare}
    notes += [f"{label} keeps {count} groups for test with the most in train: expect wide intervals" for label, count in left.items() if count < FEW_GROUPS]
    if "edits" in study.arms and len(labels) == len(study.rare) + 1:
        notes.append("there is one common class only, so none of its images is edited into it, and edits have no counter-weight against the source shortcut")
    if study.bases:
        notes.append("bases were trained elsewhere: whether they saw val or test images of common classes is not known here")
    return notes


def side_of(arm: str, study: Study) -> int:
    """Return the size at which an arm's images are judged; without a generator it is that of the other arms, the larger one."""
    return study.size_px if arm == "free" or (arm in REFERENCES and "free" in study.arms and "edits" not in study.arms) else study.full_px


def look(pictures: Pictures, cuts: Sequence[Cut], side: int, folder: Path, encoder: Encoder, study: Study) -> View:
    """Return features at one size of all images that a cut uses."""
    seen = np.flatnonzero(np.any([cut.split != "" for cut in cuts], axis=0))
    features = embed_real(pictures, seen, side, folder, encoder.embed, tell)
    return View(side, features, embed_augmented(pictures, study, side, folder, encoder.embed, tell))


def judge_all(
    study: Study, pictures: Pictures, cuts: Sequence[Cut], views: dict[str, View], embed: Embed, folder: Path, notes: list[str]
) -> Iterator[list[Row]]:
    """Yield the rows of each judgement: first those that need no generator, then each base, number of lesions and kind of images."""
    by_lesions = {lesions: [cut for cut in cuts if cut.lesions == lesions] for lesions in study.lesions}
    for lesions, chosen in by_lesions.items():
        for arm in (one for one in REFERENCES if one in study.arms):
            lent = lend(pictures, chosen[0], study)
            if arm == "oracle" and (missing := sorted(set(study.rare) - set(lent))):
                notes.append(f"the oracle is left out at n = {lesions} for {', '.join(missing)}: too few test groups to lend {LEAST_LENT}")
                tell(notes[-1])
            if lent or arm != "oracle":
                yield consult(arm, chosen, pictures, views[arm], study)
    arms = [arm for arm in MADE if arm in study.arms]
    for base in open_bases(study, pictures, tell) if arms else ():
        for chosen in by_lesions.values():
            for arm in arms:
                yield examine(arm, base, chosen, pictures, views[arm], embed, folder, study)


def consult(arm: str, cuts: Sequence[Cut], pictures: Pictures, view: View, study: Study) -> list[Row]:
    """Return the rows of a batch that needs no generator."""
    name = f"{arm}-n{cuts[0].lesions:03d}-{view.size_px}-draws{len(cuts)}"
    take = {"oracle": hold_back, "moved": move, "chosen": choose}[arm]
    judged = hold_court(name, [take(pictures, cut, view.features, study) for cut in cuts], pictures, view.features, view.augmented, study, tell)
    about = {"name": name, "arm": arm, "lesions": cuts[0].lesions, "base_steps": None, "network": "none"}
    return summarise(judged, about | {"spent_s": 0.0, "spent_images": 0, "images_seen": 0})


def examine(arm: str, base: Base, cuts: Sequence[Cut], pictures: Pictures, view: View, embed: Embed, folder: Path, study: Study) -> list[Row]:
    """Return the rows of the table for one base, arm and number of lesions."""
    name, cases, screens, cost = f"{base.name}-n{cuts[0].lesions:03d}-{arm}-draws{len(cuts)}", [], [], []
    for cut in cuts:
        engine, spent = fine_tune(base, pictures, cut, study, tell)
        made, file = make(arm, engine, pictures, cut, study, base, tell), f"{base.name}-{cut.name}-{arm}"
        features = embed_made(made.images, folder / "made" / f"{file}.npy", embed)
        about = screen(file, made, features, pictures, view.features, learned_rows(pictures, cut, study), cut, study, embed)
        accepted = simulate_review(view.features, pictures.labels, cut, features, made.labels, study.reader_error)
        cases.append(Case(cut, Batch(features, np.array(made.labels), passed(about), accepted, np.array(made.parents))))
        screens.append(about)
        tell(f"{file}: {len(made.labels)} images, {int(passed(about).sum())} passed the screens, readers accept {int(accepted.sum())}")
        cost.append(spent)
    judged = hold_court(name, cases, pictures, view.features, view.augmented, study, tell)
    about = {"name": name, "arm": arm, "lesions": cuts[0].lesions, "base_steps": base.steps}
    return summarise(judged, about | merge(screens) | count_cost(base, cost, study))


def merge(screens: Sequence[dict[str, Any]]) -> Row:
    """Return the screens' shares over all cuts, by class."""
    classes = sorted({label for about in screens for label in about["near_copies"]})
    return {
        "near_copies_by_class": {label: float(np.mean([about["near_copies"][label] for about in screens])) for label in classes},
        "screens": [{name: value for name, value in about.items() if name != "passed"} for about in screens],
    }


def count_cost(base: Base, spent: Sequence[dict[str, float]], study: Study) -> Row:
    """Return what the fine-tunes of all cuts took, and how many images base and one fine-tune look at, each time they do."""
    return {
        "network": f"{base.channels} at {study.size_px}",
        "spent_s": sum(one["cpu_s"] for one in spent),
        "spent_images": sum(one["steps"] for one in spent) * study.low_shot_batch,
        "images_seen": base.steps * base.batch_size + study.low_shot_steps * study.low_shot_batch,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
