"""Builders: phantoms of two classes, an embedding that needs no weights, tiny settings, a project with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from curation.manifest import write_manifest
from curation.pixels import Pixels, encode_png, hash_pixels
from curation.project import Project
from curation.records import to_frame
from curation.shards import write_shards
from synthesis.engines.engine import Examples
from synthesis.recipe import GeneratorSettings, PlanSettings, SamplingSettings, ScreenSettings, SynthesisSettings
from tests.builders import a_record, an_id

CLASSES = ("disc", "stripes")


def a_phantom(label: str, number: int, size_px: int = 16, channels: int = 3) -> Pixels:
    """Return `(S, S)` or `(S, S, 3)` uint8: a red disc or blue stripes of its own place, size and colour on skin-like texture."""
    random = np.random.default_rng([CLASSES.index(label), number])
    image = np.full((64, 64, 3), random.integers(150, 210, 3), np.uint8)
    if label == "disc":
        centre = (int(random.integers(18, 46)), int(random.integers(18, 46)))
        cv2.circle(image, centre, int(random.integers(8, 18)), (int(random.integers(120, 200)), 40, 40), -1)
    else:
        for left in range(int(random.integers(0, 10)), 64, int(random.integers(12, 22))):
            cv2.line(image, (left, 0), (left + int(random.integers(-9, 9)), 63), (30, 30, int(random.integers(90, 200))), 5)
    texture = cv2.resize(random.normal(0, 18, (8, 8, 3)), (64, 64), interpolation=cv2.INTER_CUBIC)
    rough = np.clip(np.rint(image + texture + random.normal(0, 4, image.shape)), 0, 255).astype(np.uint8)
    small = cv2.resize(rough, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return small if channels == 3 else np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def embed_phantoms(images: list[Pixels]) -> Any:
    """Return `(N, F)` float32: an 8 × 8 thumbnail of each image, its mirror-blind half, and the strength of its edges in both directions."""
    features = []
    for image in images:
        thumb = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32)
        folded = thumb + thumb[:, ::-1]
        edges = [np.abs(np.diff(thumb, axis=axis)).mean() for axis in (0, 1)]
        features.append(np.concatenate([folded.ravel() / 2, np.repeat(edges, 20)]))
    return np.stack(features).astype(np.float32)


def tiny_generator(**changes: Any) -> GeneratorSettings:
    """Return settings of a generator that trains in a second."""
    values: dict[str, Any] = {"size_px": 16, "channels": (8, 16), "steps": 8, "batch_size": 4, "checkpoint_steps": 3}
    return GeneratorSettings(**{**values, **changes})


def tiny_synthesis(**changes: Any) -> SynthesisSettings:
    """Return settings of a whole tiny round; its screens let a barely trained generator through."""
    values: dict[str, Any] = {
        "enabled": True,
        "candidates": 6,
        "least_train_images": 8,
        "generator": tiny_generator(),
        "sampling": SamplingSettings(steps=3, batch_size=4),
        "counterbalance": 0.0,
        "plan": PlanSettings(least_class_patients=2),
        "screens": ScreenSettings(class_agreement=0.0, planted_images=4, least_power=0.0),
    }
    return SynthesisSettings(**{**values, **changes})


def training_tensors(per_class: int = 6, channels: int = 3) -> tuple[Any, Any]:
    """Return `(N, C, 16, 16)` float32 in [-1, 1] and `(N,)` int64 of both classes."""
    images = np.stack([a_phantom(label, number, channels=3) for label in CLASSES for number in range(per_class)])
    labels = np.repeat(np.arange(2), per_class)
    return images[..., :channels].transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1, labels


def training_examples(per_class: int = 6, channels: int = 3, **more: tuple[str, ...]) -> Examples:
    """Return the same phantoms as an engine gets them; `more` are further conditions, one value an image."""
    images = np.stack([a_phantom(label, number) for label in CLASSES for number in range(per_class)])
    labels = [label for label in CLASSES for _ in range(per_class)]
    conditions = tuple({"label": label} | {name: values[place] for name, values in more.items()} for place, label in enumerate(labels))
    names = tuple(an_id(place) for place in range(len(labels)))
    return Examples(images if channels == 3 else images[..., 0], conditions, names, names)


def a_phantom_project(tmp_path: Path, discs: int = 6, stripes: int = 20, stored: Callable[[Pixels, int], Pixels] | None = None, **changes: Any) -> Project:
    """Return a project (folders and working manifest only) with phantoms; one image a patient, every fifth in val, every fifth in test.

    `stored` makes of phantom and number what is stored; `changes` are columns of every row.
    """
    project, records, files = Project(tmp_path / "project"), [], {}
    for number in range(discs + stripes):
        label = "disc" if number < discs else "stripes"
        image = a_phantom(label, number, size_px=32)
        image = image if stored is None else stored(image, number)
        split = {3: "val", 4: "test"}.get(number % 5, "train")
        own = {"image_id": an_id(number), "patient_id": f"patient{number:013d}", "label": label, "split": split, "pixels_sha256": hash_pixels(image)}
        own |= {"rows": image.shape[0], "columns": image.shape[1], "dtype": image.dtype.name, "value_unit": f"{8 * image.dtype.itemsize}-bit"}
        records.append(a_record(**{**own, **changes}))
        files[f"{an_id(number)}.png"] = encode_png(image)
    places = write_shards(sorted(files.items()), project.working_shards)
    placed = [record.model_copy(update=places[f"{record.image_id}.png"]._asdict()) for record in records]
    write_manifest(to_frame(placed), project.manifest)
    return project


def a_gap_table(label: str = "disc", missing: int = 4, task: str = "colour-2d", action: str = "synthesize") -> pl.DataFrame:
    """Return a gap table of one cell."""
    counts = {"train_images": 4, "train_patients": 4, "synthetic_images": 0, "target": 8, "missing": missing}
    return pl.DataFrame([{"task": task, "label": label, **counts, "action": action}])
