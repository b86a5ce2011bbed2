"""`curaloop harmonize`: fit what is fitted on train, and measure what harmonization does to the site and to the label."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curation.errors import CuraloopError, SourceError, UsageError
from curation.project import Project, read_key
from flows.stages import Work, read_rows, record

if TYPE_CHECKING:
    from adaptation.encoders import Encoder, Features
    from adaptation.site_proof import SiteProof
    from curation.pixels import Pixels
    from curation.recipe import HarmonizeSettings

WORKING = "working"
SITE_COLUMNS = ("site", "manufacturer", "model_name", "source")


@dataclass(frozen=True)
class HarmonizeReport:
    """What harmonization does, by task.

    Attributes:
        version: of the dataset, or `working` for rows that are not released.
        tasks: one proof a task.
        notes: what was not compared, and why.
    """

    version: str
    encoder: str
    column: str
    label_column: str
    tasks: tuple[SiteProof, ...]
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class FitReport:
    """Which files `curaloop harmonize --fit` wrote: transform, path in the project, train images."""

    fitted: dict[str, str]
    train_images: dict[str, int]


@dataclass(frozen=True)
class _Images:
    """Rows and how to read their pixels."""

    name: str
    rows: pl.DataFrame
    read: Callable[[dict[str, Any]], Pixels]


def run_harmonize_report(work: Work, version: str | None, column: str = "site", label: str = "label", with_plain: bool = True) -> HarmonizeReport:
    """Measure how well site and label can be told on test patients before and after harmonization.

    Args:
        work: the project.
        version: None takes the newest version, before the first one the working manifest.
        column: what the site is: site, manufacturer, model_name or source.
        label: column of what must survive.
        with_plain: also compare with pixels that nothing harmonized; reads the sources again, once.
    """
    started = time.monotonic()
    if column not in SITE_COLUMNS:
        raise UsageError(f"--by {column}: choose one of {', '.join(SITE_COLUMNS)}")
    with _open_images(work, version) as images:
        if images.rows.schema.get(label) != pl.String:
            raise UsageError(f"--label {label}: the manifest has no text column of this name")
        notes: list[str] = []
        tasks, encoder = _prove(work, images, column, label, with_plain, notes)
    report = HarmonizeReport(images.name, encoder, column, label, tuple(tasks), tuple(notes), round(time.monotonic() - started, 1))
    _save(work.project, report)
    return record(work, "harmonize-report", report)


@contextmanager
def _open_images(work: Work, version: str | None) -> Iterator[_Images]:
    """Yield the real rows of a version or of the working manifest."""
    from curation.versions import has_version, open_version

    if version is not None or has_version(work.project):
        with open_version(work.project, version) as opened:
            yield _Images(opened.name, _real(opened.manifest()), opened.pixels)
        return
    rows = read_rows(work)
    if rows["split"].null_count() == rows.height:
        raise UsageError("nothing is split yet, so nothing can be held out: run `curaloop curate` first")
    with _reader(work.project) as read:
        yield _Images(WORKING, _real(rows), read)


@contextmanager
def _reader(project: Project) -> Iterator[Callable[[dict[str, Any]], Pixels]]:
    """Yield a function from a row of the working manifest to its pixels."""
    from curation.pixels import decode
    from curation.shards import Place, ShardReader

    with ShardReader(*project.shard_folders()) as shards:
        yield lambda row: decode(shards.read(Place(row["shard"], row["offset"], row["size_bytes"])), row["suffix"])


def _real(rows: pl.DataFrame) -> pl.DataFrame:
    from curation.duplicates import is_dropped_duplicate
    from curation.modalities import with_task

    wanted = (pl.col("origin") == "acquired") & pl.col("verdict").ne_missing("rejected") & ~is_dropped_duplicate()
    return with_task(rows.filter(wanted)).sort("image_id")


def _prove(work: Work, images: _Images, column: str, label: str, with_plain: bool, notes: list[str]) -> tuple[list[SiteProof], str]:
    """Return one proof a task, and the encoder's name; images are embedded only for tasks that can be measured."""
    from threadpoolctl import threadpool_limits

    from adaptation.encoders import load_encoder
    from adaptation.site_proof import HARMONIZED, prove_task

    settings = work.settings.finetune.model_copy(update={"combat": column})
    counted = [prove_task(task, images.rows.filter(task=task), {}, label, settings) for task in sorted(images.rows["task"].unique())]
    if all(proof.warnings for proof in counted):
        return counted, settings.encoder
    encoder = load_encoder(settings.encoder, work.settings.run.threads, settings.batch_size)
    measurable = [proof.task for proof in counted if not proof.warnings]
    wanted = images.rows.filter(pl.col("task").is_in(measurable) & pl.col(column).is_not_null() & pl.col(label).is_not_null())
    features = {HARMONIZED: _embed(work, wanted, images.read, encoder)}
    if with_plain:
        wanted, features = _add_plain(work, wanted, features, encoder, notes)
    proofs = []
    with threadpool_limits(encoder.threads):
        for proof in counted:
            mask = (wanted["task"] == proof.task).to_numpy()
            variants = {name: each[mask] for name, each in features.items()}
            proofs.append(proof if proof.warnings else prove_task(proof.task, wanted.filter(mask), variants, label, settings))
    return proofs, encoder.name


def _embed(work: Work, rows: pl.DataFrame, read: Callable[[dict[str, Any]], Pixels], encoder: Encoder) -> Features:
    from adaptation.embeddings import embed_rows

    return embed_rows(rows, read, encoder, work.project.models, work.project.models / "harmonize", work.progress).features


def _add_plain(work: Work, rows: pl.DataFrame, features: dict[str, Features], encoder: Encoder, notes: list[str]) -> tuple[pl.DataFrame, dict[str, Features]]:
    """Return the rows that also the plain recipe kept, with the features of both; as they are when there is nothing to compare with."""
    from adaptation.site_proof import HARMONIZED, PLAIN
    from curation.harmonize.plain import plain_settings

    plain = plain_settings(work.settings.harmonize)
    if plain == work.settings.harmonize and rows["value_unit"].ne("z").all():
        notes.append("the recipe changes no intensity: plain and harmonized pixels are the same")
        return rows, features
    try:
        with _ingest_again(work, plain, "plain") as images:
            both = rows.join(images.rows.select("image_id"), on="image_id", how="semi", maintain_order="left")
            others = both.select("image_id").join(images.rows, on="image_id", how="left", maintain_order="left")
            found = _embed(work, others, images.read, encoder)
    except CuraloopError as error:
        notes.append(f"not compared with plain pixels, because the sources cannot be read again: {_without_path(error)}")
        return rows, features
    kept = rows["image_id"].is_in(both["image_id"].to_list()).to_numpy()
    return both, {PLAIN: found, HARMONIZED: features[HARMONIZED][kept]}


def _without_path(error: CuraloopError) -> str:
    return f"source {error.source!r}, {error.key}" if isinstance(error, SourceError) else type(error).__name__


@contextmanager
def _ingest_again(work: Work, settings: HarmonizeSettings, name: str) -> Iterator[_Images]:
    """Yield the images of the sources under another recipe; they lie in `workspace/harmonize/<name>` and are read once."""
    from curation.expanding import as_folders
    from curation.ingest import ingest
    from curation.manifest import read_manifest
    from flows.executors import Caps, open_executor

    scratch, run = Project(work.project.workspace / "harmonize" / name), work.settings.run
    caps = Caps(seconds=run.job_timeout_s, memory_bytes=int(run.worker_memory_gb * 2**30))
    sources = as_folders(work.project, work.settings.source)  # what a PACS gave lies in the inbox
    with scratch.writing("harmonize"), open_executor(run.executor, caps) as executor:
        ingest(scratch, sources, settings, read_key(work.project), executor, work.progress)
    with _reader(scratch) as read:
        yield _Images(name, read_manifest(scratch.manifest).sort("image_id"), read)


def run_harmonize_fit(work: Work) -> FitReport:
    """Fit Nyúl's landmarks and references of stains on train rows, and write them into `records/`."""
    from curation.harmonize.fitting import fit_transforms, save_fitted
    from curation.harmonize.plain import unfitted_settings

    rows = _real(read_rows(work))
    if rows["split"].null_count() == rows.height:
        raise UsageError("nothing is split yet, so there are no train rows to fit on: run `curaloop curate` first")
    unfitted = unfitted_settings(work.settings.harmonize)
    with work.writing("harmonize"), _unfitted(work, rows, unfitted) as images:
        found = fit_transforms(images.rows, images.read, unfitted.mr, work.progress)
        paths = {fitted.transform: save_fitted(fitted, work.project.records) for fitted in found}
    if not found:
        raise UsageError("there are no MR volumes and no colour images in train: nothing to fit")
    told = {name: path.relative_to(work.project.root).as_posix() for name, path in paths.items()}
    return record(work, "harmonize-fit", FitReport(told, {fitted.transform: fitted.train_images for fitted in found}))


@contextmanager
def _unfitted(work: Work, rows: pl.DataFrame, settings: HarmonizeSettings) -> Iterator[_Images]:
    """Yield the images before any fitted transform: those that are stored, unless the recipe applies one already."""
    if settings == work.settings.harmonize:
        with _reader(work.project) as read:
            yield _Images(WORKING, rows, read)
        return
    with _ingest_again(work, settings, "unfitted") as images:
        own = images.rows.drop("split").join(rows.select("image_id", "split"), on="image_id", how="inner")
        yield _Images("unfitted", own, images.read)


def proof_path(project: Project, version: str) -> Path:
    """Return where the proof of a version lies."""
    return project.workspace / "harmonize" / f"{version}.json"


def _save(project: Project, report: HarmonizeReport) -> None:
    from curation.manifest import write_bytes
    from flows.console import to_plain

    write_bytes(json.dumps(to_plain(report), indent=1, sort_keys=True).encode(), proof_path(project, report.version))


def read_proof(project: Project, version: str) -> dict[str, Any]:
    """Return the newest proof of a version, empty when there is none."""
    path = proof_path(project, version)
    content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return content
