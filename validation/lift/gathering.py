"""From a project to what the court looks at: real and synthetic images of one task, embedded as fine-tuning embeds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from adaptation.embeddings import embed_rows
from adaptation.encoders import Encoder
from curation.gaps import cell_values
from curation.modalities import with_task
from curation.pixels import Pixels, decode
from curation.progress import Progress
from curation.project import Project
from curation.shards import Place, ShardReader
from synthesis.training_set import usable_rows
from validation.invariants import parse
from validation.lift.augmentation import augment
from validation.lift.cohort import SPLITS, Augmented, Batch, Cohort, Features, Flags, Names
from validation.lift.judging import RULES
from validation.lift.rulings import FOLDER, made_for
from validation.recipe import LiftSettings

MOST_AUGMENTED = 256
"""Of one class: more are not embedded, they repeat."""
SUBGROUPS = ("site", "sex")


@dataclass(frozen=True)
class Case:
    """One task of a project, as rows.

    Attributes:
        task: e.g. `colour-2d`.
        real: labelled real rows of train, val and test, sorted by `image_id`.
        made: synthetic rows, those that failed a screen or an expert too.
        subgroups: value of each real row in every column in which harm is looked for.
        inputs: hash of everything that the judgement depends on; of the court its `RULES`, of the encoder its name.
    """

    task: str
    real: pl.DataFrame
    made: pl.DataFrame
    subgroups: Mapping[str, Names]
    inputs: str

    def releasable(self) -> dict[str, list[str]]:
        """Return the ids of the images of each class that the verdict is about."""
        batch = np.flatnonzero(_accepted(self.made) if _has_experts(self.made) else _screened(self.made))
        found: dict[str, list[str]] = {}
        for image_id, label in self.made[batch].select("image_id", "label").iter_rows():
            found.setdefault(label, []).append(image_id)
        return found


def list_cases(rows: pl.DataFrame, settings: LiftSettings, encoder: str, flips: Sequence[str], columns: Sequence[str]) -> list[Case]:
    """Return one case for each task with synthetic images.

    Args:
        rows: the working manifest.
        settings: of the court.
        encoder: name of the encoder.
        flips: that keep an image plausible.
        columns: in which subgroups are looked at, beside `SUBGROUPS`.
    """
    tasked = with_task(rows)
    made = tasked.filter(pl.col("origin") == "synthetic").with_columns(made_for())
    asked = [f"rules {RULES}", settings.model_dump_json(exclude={"required", "release_inconclusive"}), encoder, *sorted(flips)]
    return [_one_case(rows, made.filter(pl.col("task") == task).sort("image_id"), task, asked, columns) for task in sorted(set(made["task"]))]


def _one_case(rows: pl.DataFrame, made: pl.DataFrame, task: str, asked: Sequence[str], columns: Sequence[str]) -> Case:
    real = pl.concat([usable_rows(rows, task, side) for side in SPLITS]).sort("image_id")
    shown = ["image_id", "pixels_sha256", "label", "split"]
    names = dict.fromkeys((*SUBGROUPS, *columns))
    subgroups = {name: _names(real.select(cell_values(rows, name).fill_null("")).to_series()) for name in names}  # as the gap table counts: ages in decades
    lines = ["|".join(map(str, row)) for row in real.select(*shown, pl.coalesce("group_id", "patient_id")).iter_rows()]
    lines += ["|".join([name, *values.tolist()]) for name, values in subgroups.items()]
    lines += ["|".join(map(str, row)) for row in made.select(*shown, "verdict", "readers", "screens").iter_rows()]
    return Case(task, real, made, subgroups, hashlib.sha256("\n".join([*asked, *lines]).encode()).hexdigest())


def _screened(made: pl.DataFrame) -> Flags:
    """Return `(M,)`: whether each image passed all its screens."""
    passed = [bool(results) and all(_passed(result) for result in results.values()) for results in map(parse, made["screens"])]
    return np.array(passed, dtype=bool)


def _passed(result: Any) -> bool:
    return bool(result.get("passed")) if isinstance(result, dict) else result is True


def _has_experts(made: pl.DataFrame) -> bool:
    return bool((made["readers"].fill_null(0) > 0).any())


def _accepted(made: pl.DataFrame) -> Flags:
    """Return `(M,)`: whether experts accepted each image."""
    is_accepted = made.select((pl.col("verdict") == "accepted").fill_null(False) & (pl.col("readers").fill_null(0) > 0)).to_series().to_numpy()
    return np.asarray(is_accepted & _screened(made), dtype=bool)


def real_case(rows: pl.DataFrame, task: str, columns: Sequence[str]) -> Case:
    """Return the real images of a task as a case without synthetic ones."""
    return _one_case(rows, with_task(rows).clear(), task, [], columns)


def gather(project: Project, case: Case, encoder: Encoder, settings: LiftSettings, flips: Sequence[str], progress: Progress) -> tuple[Cohort, Batch]:
    """Embed a case, each image at its stored size, as fine-tuning would.

    Args:
        project: its shards are read; features are kept in `workspace/models`.
        case: of `list_cases`.
        encoder: the frozen one.
        settings: of the court.
        flips: that keep an image plausible.
        progress: told of every image.
    """
    both = pl.concat([case.real, case.made.drop("task")], how="vertical")
    features, augmented = _embed(project, case, both, dict(case.made["label"].value_counts().iter_rows()), encoder, settings, flips, progress)
    made = features[case.real.height :]
    accepted = _accepted(case.made) if _has_experts(case.made) else None
    parents = _names(case.made.select(pl.col("parents").list.first().fill_null("")).to_series())
    return _cohort(case, features, augmented), Batch(made, _names(case.made["label"]), _screened(case.made), accepted, parents)


def gather_real(
    project: Project, case: Case, labels: Sequence[str], encoder: Encoder, settings: LiftSettings, flips: Sequence[str], progress: Progress
) -> Cohort:
    """Embed the real images of a case as `gather` does; of some classes augmented train images, too."""
    features, augmented = _embed(project, case, case.real, dict.fromkeys(labels, MOST_AUGMENTED), encoder, settings, flips, progress)
    return _cohort(case, features, augmented)


def _embed(
    project: Project,
    case: Case,
    rows: pl.DataFrame,
    numbers: Mapping[str, int],
    encoder: Encoder,
    settings: LiftSettings,
    flips: Sequence[str],
    progress: Progress,
) -> tuple[Features, Augmented | None]:
    """Return `(N, F)` features of the rows, and augmented train images; there are none of volumes."""
    with ShardReader(*project.shard_folders()) as shards:

        def read(row: dict[str, Any]) -> Pixels:
            return decode(shards.read(Place(row["shard"], row["offset"], row["size_bytes"])), row["suffix"])

        features = embed_rows(rows, read, encoder, project.models, project.models / FOLDER, progress).features
        return features, None if case.task.endswith("-3d") else _augment(case, numbers, settings, encoder, flips, read)


def _cohort(case: Case, features: Features, augmented: Augmented | None) -> Cohort:
    """Return the real images of a case, whose features come first."""
    patients = case.real.select(pl.coalesce("group_id", "patient_id")).to_series()
    real = features[: case.real.height]
    return Cohort(real, _names(case.real["label"]), _names(patients), _names(case.real["split"]), case.subgroups, augmented)


def _names(column: pl.Series) -> Names:
    return np.array(column.to_list(), dtype=np.str_)


def _augment(case: Case, numbers: Mapping[str, int], settings: LiftSettings, encoder: Encoder, flips: Sequence[str], read: Any) -> Augmented:
    """Return augmented train images of some classes, as many as the largest dose takes and no more than `numbers` of each."""
    rows = case.real.with_row_index("place").filter(pl.col("split") == "train")
    chosen: list[int] = []
    for label, held in sorted(numbers.items()):
        own = rows.filter(pl.col("label") == label)["place"].to_list()
        number = min(MOST_AUGMENTED, held, round(max(settings.doses) * len(own)))
        chosen += [own[place % len(own)] for place in range(number)] if own else []

    def images() -> Iterator[Pixels]:
        for seed, place in enumerate(chosen):
            yield augment(read(case.real.row(place, named=True)), seed, flips)

    features = encoder.embed(images())
    return Augmented(features, _names(case.real["label"])[chosen], np.array(chosen, dtype=np.int64))
