"""Screening the images of one cut with the screens of the stage: near-copies, the wanted class, the source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lift.cuts import Cut, Flags
from benchmarks.lift.embedding import Embed, Floats
from benchmarks.lift.generating import Made
from benchmarks.lift.pictures import Pictures
from benchmarks.lift.study import Study
from curation.manifest import write_bytes
from curation.pixels import Pixels
from synthesis.recipe import ScreenSettings
from synthesis.screening import Shown
from synthesis.screening import screen as screen_shown

HELD_OUT_IMAGES = 30

Rows = npt.NDArray[np.int64]


def screen(name: str, made: Made, drawn: Floats, pictures: Pictures, features: Floats, learned: Rows, cut: Cut, study: Study, embed: Embed) -> dict[str, Any]:
    """Return what the screens say about each image and by class; kept in a file.

    Args:
        name: of the file.
        made: the synthetic images.
        drawn: `(M, F)` features of them.
        pictures: real images.
        features: `(N, F)` of them at the same size, NaN where the court does not see them.
        learned: positions that the generator saw; all rare ones and `screen_images` of each common class are looked through for near-copies.
        cut: val patients are what the screens' false alarms are counted on.
        study: rare classes, how many common images.
        embed: for planted copies.
    """
    path = study.work / "screens" / f"{name}.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    visible = learned[np.isfinite(features[learned]).all(axis=1)]
    known = _thin(pictures, visible, study, study.screen_images)
    unseen = _thin(pictures, np.flatnonzero(cut.split == "val"), study, HELD_OUT_IMAGES)
    train, held_out = (_show(pictures, rows, made.images.shape[1]) for rows in (known, unseen))
    patients = dict(zip(pictures.ids.tolist(), pictures.groups.tolist(), strict=True))
    groups = [patients.get(parent, f"synthetic {place}") for place, parent in enumerate(made.parents)]
    shown = Shown(list(made.images), [{"label": label} for label in made.labels], groups)
    remember = _remember([*train.images, *held_out.images, *shown.images], np.concatenate([features[known], features[unseen], drawn]), embed)
    results, power = screen_shown(train, held_out, shown, remember, ScreenSettings(planted_images=study.planted))
    wanted, copied = np.array(made.labels), np.array([result["memorization"]["is_near_copy"] for result in results])
    about = {
        "passed": [all(part["passed"] for part in result.values()) for result in results],
        "near_copies": {label: float(copied[wanted == label].mean()) for label in sorted(set(made.labels))},
        "power": asdict(power),
    }
    write_bytes(json.dumps(about, indent=1, default=str).encode(), path)
    return about


def _thin(pictures: Pictures, rows: Rows, study: Study, most: int) -> Rows:
    """Return the rows with at most `most` of each common class, evenly spread."""
    kept: list[int] = []
    for label in sorted(set(pictures.labels[rows].tolist())):
        own = rows[pictures.labels[rows] == label]
        spread = np.unique(np.linspace(0, len(own) - 1, len(own) if label in study.rare else min(most, len(own))).astype(int))
        kept += own[spread].tolist()
    return np.array(sorted(kept), np.int64)


def _show(pictures: Pictures, rows: Rows, size_px: int) -> Shown:
    """Return real images as the screens take them."""
    conditions = [{"label": str(label)} for label in pictures.labels[rows]]
    return Shown(list(pictures.at(rows, size_px)), conditions, pictures.groups[rows].tolist(), pictures.ids[rows].tolist())


def _remember(images: Sequence[Pixels], features: Floats, embed: Embed) -> Embed:
    """Return an embedding that knows these images already and asks `embed` about others only."""
    known = {image.tobytes(): row for image, row in zip(images, features, strict=True)}

    def remembering(asked: Sequence[Pixels]) -> Floats:
        new = [place for place, image in enumerate(asked) if image.tobytes() not in known]
        found = np.stack([known.get(image.tobytes(), features[0]) for image in asked])
        if new:
            found[new] = embed([asked[place] for place in new])
        return found

    return remembering


def passed(about: dict[str, Any]) -> Flags:
    """Return which images passed every screen."""
    return np.array(about["passed"], np.bool_)
