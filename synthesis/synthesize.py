"""The stage: train a generator on train rows, draw candidates for the gaps, screen them, add them to the working manifest.

Nothing here is released: a candidate that passes its screens waits for the experts.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from curation.manifest import read_manifest, write_bytes, write_manifest
from curation.pixels import encode_png
from curation.progress import Progress, silent
from curation.project import Project
from synthesis.candidates import Drawn, Provenance, draw_grid, next_seed, plan_requests, store_candidates
from synthesis.generator import GeneratorReport, generator_sha256, sample, train_generator
from synthesis.network import torch_threads
from synthesis.recipe import SynthesisSettings
from synthesis.screening import HELD_OUT_IMAGES, Embed, ScreenPower, screen_candidates
from synthesis.training_set import TrainingSet, hash_rows, most_common, read_images, usable_rows, write_training_rows

LEAST_CLASSES = 2


@dataclass(frozen=True)
class SynthesisReport:
    """What a round of synthesis did. Paths are relative to the project.

    Attributes:
        skipped: why nothing was done, one sentence; empty when candidates were drawn.
        task: learning task.
        generator_sha256: the generator that was asked.
        training_manifest_sha256: hash of the rows that it learned from.
        train_images: how many those are.
        classes: the same, by class.
        requested: candidates wanted, by class.
        sampled: images drawn.
        passed: of these, those that passed every screen.
        rejected: failures by screen; an image may fail several.
        new_candidates: rows that now wait for the experts.
        screens: what the screens of this run are worth, on planted copies and on real val images.
        power: share of planted near-copies that were caught.
        steps: training steps of the generator.
        first_step: step that this run began with; equal to `steps` when a finished generator was used again.
        final_loss: mean loss of the last 50 steps.
        loss_curve: CSV.
        sample_grid: PNG with real images above candidates.
        seconds_training: of this run.
        seconds_sampling: of this run.
        seconds: of the whole stage.
    """

    skipped: str = ""
    task: str = ""
    generator_sha256: str | None = None
    training_manifest_sha256: str | None = None
    train_images: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    requested: dict[str, int] = field(default_factory=dict)
    sampled: int = 0
    passed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    new_candidates: int = 0
    screens: ScreenPower = field(default_factory=ScreenPower)
    power: float = 0.0
    steps: int = 0
    first_step: int = 0
    final_loss: float | None = None
    loss_curve: str | None = None
    sample_grid: str | None = None
    seconds_training: float = 0.0
    seconds_sampling: float = 0.0
    seconds: float = 0.0


def synthesize(
    project: Project, settings: SynthesisSettings, gaps: pl.DataFrame, embed: Embed, progress: Progress | None = None, threads: int = 1
) -> SynthesisReport:
    """Make candidates for the gaps of one task; the caller holds the project's write lock.

    Args:
        project: its working manifest gets the candidates.
        settings: task, generator, sampling, screens.
        gaps: table of `curation.gaps.find_gaps`.
        embed: images to `(N, F)` float32 features, for the screens.
        progress: told of training steps and batches.
        threads: of torch, which is imported only when there is something to draw; the number changes a generator's bits.
    """
    began, tell = time.monotonic(), progress or silent
    rows = read_manifest(project.manifest)
    usable = usable_rows(rows, settings.task, "train")
    folder = project.models / f"generator-{_folder_hash(usable, settings)}"
    requests = plan_requests(gaps, rows, generator_sha256(folder), settings)
    if reason := _reason_to_skip(settings, usable, gaps, requests):
        return SynthesisReport(skipped=reason, task=settings.task, train_images=usable.height, seconds=time.monotonic() - began)
    with torch_threads(threads):
        return _make_candidates(project, settings, rows, usable, folder, requests, embed, tell, began)


def _make_candidates(
    project: Project,
    settings: SynthesisSettings,
    rows: pl.DataFrame,
    usable: pl.DataFrame,
    folder: Path,
    requests: dict[str, int],
    embed: Embed,
    tell: Progress,
    began: float,
) -> SynthesisReport:
    """Train, draw, screen and store."""
    train = _load(project, usable, settings)
    trained = _train(train, folder, settings, tell)
    origin = Provenance(trained.generator_sha256, hash_rows(train.rows), settings)
    sampling = time.monotonic()
    drawn = _draw(folder, train, requests, next_seed(rows, trained.generator_sha256, settings), settings, tell)
    seconds_sampling = time.monotonic() - sampling
    tell(0, 1, "screening candidates")
    held_out = _load(project, usable_rows(rows, settings.task, "val"), settings, train)
    screens, power = screen_candidates(train, held_out, drawn.images, drawn.labels, embed, settings.screens)
    passed = [all(result["passed"] for result in results.values()) for results in screens]
    added = store_candidates(project, train, drawn, screens, origin, set(rows["image_id"]))
    grid = folder / f"samples-{drawn.seeds[0]}.png"
    write_bytes(encode_png(draw_grid(train, drawn, passed)), grid)
    write_manifest(pl.concat([rows, added]), project.manifest)
    tell(1, 1, "screening candidates")
    return SynthesisReport(
        task=settings.task,
        generator_sha256=origin.generator_sha256,
        training_manifest_sha256=origin.training_manifest_sha256,
        train_images=len(train.images),
        classes=train.counts,
        requested=requests,
        sampled=len(drawn.images),
        passed=sum(passed),
        rejected={name: sum(not results[name]["passed"] for results in screens) for name in screens[0]},
        new_candidates=added.filter(pl.col("verdict").is_null()).height,
        screens=power,
        power=power.power,
        steps=trained.steps,
        first_step=trained.first_step,
        final_loss=round(trained.final_loss, 5),
        loss_curve=_inside(project, Path(trained.loss_curve)),
        sample_grid=_inside(project, grid),
        seconds_training=round(trained.seconds, 2),
        seconds_sampling=round(seconds_sampling, 2),
        seconds=round(time.monotonic() - began, 2),
    )


def _folder_hash(usable: pl.DataFrame, settings: SynthesisSettings) -> str:
    """Return what names a generator's folder: what it learns, and how."""
    learned = settings.generator.model_copy(update={"checkpoint_steps": 1}).sha256()
    return hashlib.sha256(f"{settings.task}|{hash_rows(usable)}|{learned}".encode()).hexdigest()[:16]


def _reason_to_skip(settings: SynthesisSettings, usable: pl.DataFrame, gaps: pl.DataFrame, requests: dict[str, int]) -> str:
    """Return one sentence why there is nothing to do, or an empty one."""
    task, asked = settings.task, pl.col("action") == "synthesize"
    if not task.endswith("-2d"):
        return f"generators are 2-D only; collect more images of {task}"
    if gaps.filter((pl.col("task") == task) & asked).is_empty():
        return f"no cell of {task} asks for synthesis"
    if usable.height < settings.least_train_images:
        return f"too little data: {usable.height} labelled train images of {task}, the recipe asks for at least {settings.least_train_images}"
    if usable["label"].n_unique() < LEAST_CLASSES:
        return f"all train images of {task} are of one class; the class screen needs two"
    if not requests:
        return "enough candidates were drawn already: they wait for the experts, or the screens rejected them"
    return "" if set(requests) <= set(usable["label"]) else "the gap table names a class without a train image; run `curaloop curate` again"


def _load(project: Project, rows: pl.DataFrame, settings: SynthesisSettings, like: TrainingSet | None = None) -> TrainingSet:
    """Return rows with their images; with `like`, of its classes and channels only, and as many as measuring the screens needs."""
    if like is None:
        channels = int(most_common(rows, "channels"))
    else:
        channels = 3 if like.images[0].ndim == 3 else 1
        rows = rows.filter(pl.col("label").is_in(like.classes))
        rows = rows.gather_every(max(1, -(-rows.height // HELD_OUT_IMAGES)))
    return TrainingSet(rows, read_images(project, rows, settings.generator.size_px, channels), tuple(sorted(set(rows["label"]))))


def _train(train: TrainingSet, folder: Path, settings: SynthesisSettings, progress: Progress) -> GeneratorReport:
    """Put the training rows on record, then train or go on."""
    write_training_rows(train.rows, folder)
    images, labels = train.tensors()
    return train_generator(images, labels, train.classes, settings.generator, folder, progress)


def _draw(folder: Path, train: TrainingSet, requests: dict[str, int], seed: int, settings: SynthesisSettings, progress: Progress) -> Drawn:
    """Return the requested images; their seeds count up from `seed` over all classes, so no two share one."""
    drawn = Drawn([], [], [])
    for label, number in requests.items():
        seeds = list(range(seed + len(drawn.seeds), seed + len(drawn.seeds) + number))
        stacked: Any = sample(folder, train.classes.index(label), seeds, settings.sampling, progress)
        images = stacked.transpose(0, 2, 3, 1)
        drawn.images.extend(images.squeeze(-1) if images.shape[-1] == 1 else images)
        drawn.labels.extend([label] * number)
        drawn.seeds.extend(seeds)
    return drawn


def _inside(project: Project, path: Path) -> str:
    return path.relative_to(project.root).as_posix()
