"""Candidates: how many are wanted of which class, and how a drawn image becomes a row of the manifest."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curation.modalities import with_task
from curation.pixels import SYNTHETIC_MARK, Pixels, encode_png, hash_pixels
from curation.project import Project
from curation.records import ImageRecord, to_frame
from curation.shards import write_shards
from synthesis.recipe import SynthesisSettings
from synthesis.training_set import TrainingSet, most_common

MARK = SYNTHETIC_MARK
PATIENT = "synthetic"
SOURCE = "synthesis"


class Drawn(NamedTuple):
    """Images of one round: `(S, S)` or `(S, S, 3)` uint8, with the label that each was asked for and its seed."""

    images: list[Pixels]
    labels: list[str]
    seeds: list[int]


@dataclass(frozen=True)
class Provenance:
    """Where the candidates of one round come from."""

    generator_sha256: str
    training_manifest_sha256: str
    settings: SynthesisSettings


def plan_requests(gaps: pl.DataFrame, rows: pl.DataFrame, generator: str | None, settings: SynthesisSettings) -> dict[str, int]:
    """Return how many candidates to draw of each class.

    The rarest classes with cells to synthesize come first; cells of one class count together, because the generator knows the class only.
    Candidates that wait for the experts count as made, whichever generator made them; so do those of this generator that its screens rejected,
    else a weak generator would be asked again in every run. Accepted ones that stand in no cell, because cells of sites or ages cannot hold an
    image that has neither, count for the class.

    Args:
        gaps: table of `curation.gaps`.
        rows: working manifest.
        generator: hash of the generator that would be asked, None when it is not trained yet.
        settings: task, number of classes, most candidates in one round.
    """
    cells = gaps.filter((pl.col("task") == settings.task) & (pl.col("action") == "synthesize") & pl.col("label").is_not_null())
    rarest = cells.group_by("label").agg(pl.col("train_images", "missing").sum()).sort("train_images", "label").head(settings.classes)
    waiting = pl.col("verdict").is_null()
    screened_out = (pl.col("verdict") == "rejected") & pl.col("readers").is_null() & (pl.col("generator_sha256") == pl.lit(generator))
    made = with_task(rows).filter((pl.col("origin") == "synthetic") & (pl.col("task") == settings.task) & (waiting | screened_out))
    accepted = with_task(rows).filter((pl.col("origin") == "synthetic") & (pl.col("task") == settings.task) & (pl.col("verdict") == "accepted"))
    made_by_label = Counter(made["label"].to_list() + accepted["label"].to_list())
    made_by_label.subtract(dict(gaps.filter(pl.col("task") == settings.task).group_by("label").agg(pl.col("synthetic_images").sum()).iter_rows()))
    left, requests = settings.candidates - made.height, {}
    for position, (label, missing) in enumerate(rarest.select("label", "missing").iter_rows()):
        share = -(-left // (rarest.height - position))
        number = max(0, min(missing - made_by_label[label], share))
        left -= number
        if number:
            requests[label] = number
    return requests


def next_seed(rows: pl.DataFrame, generator: str, settings: SynthesisSettings) -> int:
    """Return the first seed that this generator was never asked for."""
    used = rows.filter(pl.col("generator_sha256") == generator)["seed"].max()
    return settings.sampling.seed if used is None else max(settings.sampling.seed, int(used) + 1)  # type: ignore[call-overload, arg-type, unused-ignore]


def store_candidates(project: Project, train: TrainingSet, drawn: Drawn, screens: list[dict[str, Any]], origin: Provenance, known: set[str]) -> pl.DataFrame:
    """Write the images, marked as synthetic, into a working shard and return their rows; images that are `known` already are left out.

    Those that failed a screen are kept as rejected without readers: they are counted, and nobody is shown them.
    """
    records, files = [], {}
    for image, label, seed, result in zip(drawn.images, drawn.labels, drawn.seeds, screens, strict=True):
        record = _describe(train, image, label, seed, result, origin)
        if record.image_id not in known and f"{record.image_id}.png" not in files:
            mark = {MARK: "YES", "generator": origin.generator_sha256[:16], "seed": str(seed)}
            files[f"{record.image_id}.png"] = encode_png(image, mark)
            records.append(record)
    places = write_shards(sorted(files.items()), project.working_shards)
    return to_frame([record.model_copy(update=places[f"{record.image_id}.png"]._asdict()) for record in records])


def _describe(train: TrainingSet, image: Pixels, label: str, seed: int, screens: dict[str, Any], origin: Provenance) -> ImageRecord:
    """Return the row of one candidate, not stored yet."""
    content, body_parts = hash_pixels(image), train.rows["body_part"].unique()
    settings = origin.settings
    return ImageRecord(
        image_id=content[:32],
        patient_id=PATIENT,
        group_id=f"synthetic-{content[:32]}",
        source=SOURCE,
        modality=most_common(train.rows, "modality"),
        body_part=body_parts[0] if len(body_parts) == 1 else None,
        ndim=2,
        rows=image.shape[0],
        columns=image.shape[1],
        channels=3 if image.ndim == 3 else 1,
        dtype="uint8",
        value_unit="8-bit",
        recipe_sha256=settings.sha256(),
        pixels_sha256=content,
        suffix=".png",
        label=label,
        label_source="condition",
        split="train",
        origin="synthetic",
        generator_sha256=origin.generator_sha256,
        training_manifest_sha256=origin.training_manifest_sha256,
        condition=json.dumps({"label": label, "task": settings.task}, sort_keys=True),
        seed=seed,
        guidance_scale=settings.sampling.guidance_scale,
        steps=settings.sampling.steps,
        parents=[],
        screens=json.dumps(screens, sort_keys=True),
        verdict=None if all(result["passed"] for result in screens.values()) else "rejected",
    )


def draw_grid(train: TrainingSet, drawn: Drawn, passed: list[bool], columns: int = 16, scale: int = 3) -> Pixels:
    """Return a picture `(H, W, 3)` uint8: for each class a row of real images, a white line, the candidates (those that failed a screen darkened)."""
    blocks = []
    for label in sorted(set(drawn.labels)):
        real = [image for image, found in zip(train.images, train.labels, strict=True) if found == label][:columns]
        made = [image if good else image // 3 for image, found, good in zip(drawn.images, drawn.labels, passed, strict=True) if found == label]
        side = drawn.images[0].shape[0]
        blocks += [_tile(real, columns), np.full((2, columns * side, 3), 255, np.uint8), _tile(made, columns), np.full((6, columns * side, 3), 255, np.uint8)]
    return np.asarray(np.concatenate(blocks).repeat(scale, axis=0).repeat(scale, axis=1))


def _tile(images: list[Pixels], columns: int) -> Pixels:
    """Return the images as rows of `columns`, gray ones as RGB, empty places black."""
    coloured = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    coloured += [np.zeros_like(coloured[0])] * (-len(coloured) % columns)
    return np.concatenate([np.concatenate(coloured[start : start + columns], axis=1) for start in range(0, len(coloured), columns)])
