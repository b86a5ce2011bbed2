"""Candidates: how a drawn image becomes a row of the manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curation.pixels import SYNTHETIC_MARK, Pixels
from curation.project import Project
from curation.records import ImageRecord, to_frame
from curation.shards import write_shards
from synthesis.conditions import LABEL, record_values
from synthesis.engines.engine import Wanted
from synthesis.finishing import Finished, finish_like
from synthesis.recipe import SynthesisSettings
from synthesis.training_set import TrainingSet, most_common

MARK = SYNTHETIC_MARK
PATIENT = "synthetic"
SOURCE = "synthesis"
DRAWN_WITH = "drawn_with"
"""Key of a row's condition that holds what else the image's bits depend on."""


class Drawn(NamedTuple):
    """Images of one round, with what each was asked to show.

    Attributes:
        images: what screens and people look at, uint8, as the images of the training set: the images themselves, or pictures of the volumes.
        wanted: one wish an image.
        made: what the engine returned and is stored: images, or gray levels of volumes.
    """

    images: list[Pixels]
    wanted: list[Wanted]
    made: list[Pixels]

    def chosen(self, places: Sequence[int]) -> Drawn:
        """Return the images at these places."""
        return Drawn(*([part[place] for place in places] for part in self))  # type: ignore[arg-type]

    @property
    def labels(self) -> list[str]:
        """Label that each was asked for."""
        return [wish.condition[LABEL] for wish in self.wanted]

    @property
    def seeds(self) -> list[int]:
        """Seed of each."""
        return [wish.seed for wish in self.wanted]


@dataclass(frozen=True)
class Provenance:
    """Where the candidates of one round come from; `drawn_with` names what else their bits depend on."""

    generator_sha256: str
    training_manifest_sha256: str
    settings: SynthesisSettings
    drawn_with: dict[str, str] = field(default_factory=dict)


def next_seed(rows: pl.DataFrame, generator: str, settings: SynthesisSettings) -> int:
    """Return the first seed that this generator was never asked for."""
    used = rows.filter(pl.col("generator_sha256") == generator)["seed"].max()
    return settings.sampling.seed if used is None else max(settings.sampling.seed, int(used) + 1)  # type: ignore[call-overload, arg-type, unused-ignore]


def store_candidates(project: Project, train: TrainingSet, drawn: Drawn, screens: list[dict[str, Any]], origin: Provenance, known: set[str]) -> pl.DataFrame:
    """Write the images, marked as synthetic, into a working shard and return their rows; those that are `known` already or their parents still are left out.

    Those that failed a screen are kept as rejected without readers: they are counted, and nobody is shown them.
    """
    records, files = [], {}
    for image, wish, result in zip(drawn.made, drawn.wanted, screens, strict=True):
        like = train.rows if wish.parent_id is None else train.rows.filter(pl.col("image_id") == wish.parent_id)
        finished = finish_like(image, like)
        record = _describe(like, finished, wish, result, origin)
        name, is_changed = f"{record.image_id}{record.suffix}", wish.parent is None or not np.array_equal(image, wish.parent)
        if is_changed and record.image_id not in known and name not in files:
            files[name] = finished.encode({MARK: "YES", "generator": origin.generator_sha256[:16], "seed": str(wish.seed)})
            records.append(record)
    places = write_shards(sorted(files.items()), project.working_shards)
    return to_frame([record.model_copy(update=places[f"{record.image_id}{record.suffix}"]._asdict()) for record in records])


def _describe(like: pl.DataFrame, image: Finished, wish: Wanted, screens: dict[str, Any], origin: Provenance) -> ImageRecord:
    """Return the row of one candidate, not stored yet; `like` are the rows that it takes after: its parent's, or all that the generator learned from."""
    content, body_parts = image.sha256, like["body_part"].unique()
    settings, label = origin.settings, wish.condition[LABEL]
    asked = wish.condition | {"task": settings.task} | ({DRAWN_WITH: origin.drawn_with} if origin.drawn_with else {})
    return ImageRecord(
        image_id=content[:32],
        patient_id=PATIENT,
        group_id=f"synthetic-{content[:32]}",
        source=SOURCE,
        modality=most_common(like, "modality"),
        body_part=body_parts[0] if len(body_parts) == 1 else None,
        recipe_sha256=settings.sha256(),
        label=label,
        label_source="condition",
        split="train",
        origin="synthetic",
        generator_sha256=origin.generator_sha256,
        training_manifest_sha256=origin.training_manifest_sha256,
        condition=json.dumps(asked, sort_keys=True),
        seed=wish.seed,
        guidance_scale=settings.sampling.guidance_scale,
        steps=settings.sampling.steps,
        parents=[] if wish.parent_id is None else [wish.parent_id],
        screens=json.dumps(screens, sort_keys=True),
        verdict=None if all(result["passed"] for result in screens.values()) else "rejected",
        **image.columns(),
        **record_values(wish.condition),
    )
