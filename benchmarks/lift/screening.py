"""Screening the images of one cut: near-copies, the wanted class, and the residue in which generated images give themselves away."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lift.cuts import Cut, Flags
from benchmarks.lift.embedding import Embed, Floats
from benchmarks.lift.generating import Made
from benchmarks.lift.pictures import Images, Pictures
from benchmarks.lift.study import Study
from curation.manifest import write_bytes
from synthesis.recipe import ScreenSettings
from synthesis.screens.agreement import fit_agreement
from synthesis.screens.memorization import fit_memorization
from synthesis.screens.planting import plant_copies

PLANTED_IMAGES = 6
RESIDUE_SIGMA = 0.8


def screen(
    name: str, made: Made, drawn: Floats, pictures: Pictures, features: Floats, learned: npt.NDArray[np.int64], cut: Cut, study: Study, embed: Embed
) -> dict[str, Any]:
    """Return what the screens say about each image and by class; kept in a file.

    Args:
        name: of the file.
        made: the synthetic images.
        drawn: `(M, F)` features of them.
        pictures: real images.
        features: `(N, F)` of them at the same size, NaN where the court does not see them.
        learned: positions that the generator saw; near-copies of those with features are looked for.
        cut: which of them are train.
        study: rare classes.
        embed: for planted copies.
    """
    path = study.work / "screens" / f"{name}.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    settings, size_px = ScreenSettings(), made.images.shape[1]
    known = learned[np.isfinite(features[learned]).all(axis=1)]
    references, labels = list(pictures.at(known, size_px)), pictures.labels[known].tolist()
    copying = fit_memorization(references, features[known], pictures.groups[known].tolist(), labels, settings.memorization_quantile)
    copied = copying.judge(list(made.images), drawn, made.labels, _owners(made, pictures))
    agreeing = fit_agreement(features[known], labels, pictures.groups[known].tolist()).probabilities(drawn, made.labels).mean(axis=0)
    power = {}
    for label in study.rare:
        own = np.flatnonzero(np.array(labels) == label)[:PLANTED_IMAGES]
        planted = plant_copies([references[row] for row in own], pictures.groups[known][own].tolist())
        power[label] = {kind: float(np.mean(copying.called(images, embed(images), label))) for kind, images in planted.items()}
    fresh = np.array([result["passed"] for result in copied])
    wanted = np.array(made.labels)
    about = {
        "passed": (fresh & (agreeing >= settings.class_agreement)).tolist(),
        "near_copies": {label: float(1 - fresh[wanted == label].mean()) for label in sorted(set(made.labels))},
        "agreement": {label: float((agreeing[wanted == label] >= settings.class_agreement).mean()) for label in sorted(set(made.labels))},
        "copies_caught": {label: float(np.mean(list(shares.values()))) for label, shares in power.items()},
        "copies_caught_by_kind": power,
        "residue": {
            label: {"synthetic": residue(made.images[wanted == label]), "real": residue(pictures.at(_some(pictures, cut, label), size_px))}
            for label in sorted(set(made.labels))
        },
    }
    write_bytes(json.dumps(about, indent=1).encode(), path)
    return about


def _some(pictures: Pictures, cut: Cut, label: str) -> npt.NDArray[np.int64]:
    """Return at most a hundred train images of a class."""
    return np.flatnonzero((pictures.labels == label) & (cut.split == "train"))[:100]


def residue(images: Images) -> float:
    """Return the standard deviation, in gray levels, of what a slight blur (sigma .8 px) takes away; the mean over the images.

    Example:
        Even images have none: 0.
    """
    from scipy import ndimage

    gray = images.astype(np.float32) if images.ndim == 3 else images.astype(np.float32).mean(axis=3)
    left = gray - ndimage.gaussian_filter(gray, (0, RESIDUE_SIGMA, RESIDUE_SIGMA))
    return float(left.std(axis=(1, 2)).mean())


def passed(about: dict[str, Any]) -> Flags:
    """Return which images passed every screen."""
    return np.array(about["passed"], np.bool_)


def _owners(made: Made, pictures: Pictures) -> list[str]:
    """Return the group of each image's parent, which it should look like; an image without one stands alone."""
    groups = dict(zip(pictures.ids.tolist(), pictures.groups.tolist(), strict=True))
    return [groups.get(parent, f"synthetic {place}") for place, parent in enumerate(made.parents)]
