"""Settings to stage calls: what the command line and the Prefect flows share.

Each `run_*` takes a `Work`, holds the project's write lock while it writes, calls the plain functions of the rooms, leaves its
typed report as JSON in `workspace/runs/` and returns it. No decision is made here that a room could make.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from curation.errors import SourceError, UsageError
from curation.progress import Progress, silent
from curation.project import Project, find_project, read_key

if TYPE_CHECKING:
    import polars as pl

    from adaptation.finetune import FinetuneReport
    from curation.curate import CurateReport
    from curation.diffs import VersionDiff
    from curation.ingest import IngestReport
    from flows.settings import Settings
    from synthesis.synthesize import SynthesisReport
    from validation.checks import CheckResult
    from validation.lift.holding import LiftReport
    from validation.release import ReleaseReport
    from validation.review.pull import PullReport
    from validation.review.push import PushReport
    from validation.review.status import ReviewStatus

Report = TypeVar("Report")
PLACES = {"path", "table", "url", "token_env", "user_env", "password_env"}
"""Keys of a source that say where something lies."""


@dataclass(frozen=True)
class Work:
    """One project with its recipe, and who hears of the progress.

    Attributes:
        locked: the caller already holds the project's write lock.
    """

    project: Project
    settings: Settings
    progress: Progress = silent
    locked: bool = False

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Hold the write lock, unless the caller does."""
        if self.locked:
            yield
            return
        with self.project.writing(what):
            yield


def open_work(folder: Path, progress: Progress = silent) -> Work:
    """Return the project that holds `folder`, with its recipe read and checked."""
    from flows.settings import read_settings

    project = find_project(folder)
    return Work(project, read_settings(project.recipe_path), progress)


def record(work: Work, stage: str, report: Report) -> Report:
    """Leave the report of a stage in `workspace/runs/<UTC time>-<stage>.json` and return it."""
    from curation.manifest import write_bytes
    from flows.console import to_plain

    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    text = json.dumps({"stage": stage, "utc": now, "recipe_sha256": recipe_sha256(work.settings), "report": to_plain(report)}, indent=2)
    write_bytes(text.encode(), work.project.runs / f"{now}-{stage}.json")
    return report


def recipe_sha256(settings: Settings) -> str:
    """Return the hash of everything in the recipe that changes a result: not where things lie or run."""
    content = settings.model_dump(mode="json", exclude={"services": True, "run": True, "listen": True, "release": {"remote"}, "source": {"__all__": PLACES}})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def code_commit() -> str:
    """Return the commit of this Curaloop when it runs from a checkout, with `+` when files differ, else its version."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return f"curaloop {package_version('curaloop')}"
    git = ["git", "-C", str(root)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False).stdout.strip()
    return (commit or f"curaloop {package_version('curaloop')}") + ("+" if changed else "")


def read_rows(work: Work) -> pl.DataFrame:
    """Return the working manifest; a project without one has not ingested yet."""
    from curation.manifest import read_manifest

    if not work.project.manifest.exists():
        raise UsageError("nothing has been ingested in this project: run `curaloop ingest` first")
    return read_manifest(work.project.manifest)


def run_ingest(work: Work) -> IngestReport:
    """Bring the sources in: read, de-identify, harmonize, store."""
    from curation.ingest import ingest
    from flows.executors import Caps, open_executor
    from flows.settings import locate

    if not work.settings.source:
        raise UsageError(f"{work.project.recipe_path} has no [[source]]: add one that says where your images lie")
    key = read_key(work.project)
    run = work.settings.run
    caps = Caps(seconds=run.job_timeout_s, memory_bytes=int(run.worker_memory_gb * 2**30))
    with work.writing("ingest"), open_executor(run.executor, caps) as executor:
        try:
            report = ingest(work.project, work.settings.source, work.settings.harmonize, key, executor, work.progress)
        except SourceError as error:
            raise locate(error, work.project.recipe_path, work.settings) from error
        return record(work, "ingest", report)


def run_curate(work: Work) -> CurateReport:
    """Apply the readers' verdicts, find duplicates, split, and measure the gaps."""
    from curation.curate import curate

    read_rows(work)
    with work.writing("curate"):
        report = curate(work.project, work.settings.split, work.settings.gaps, _verdict_step(work), work.progress)
        return record(work, "curate", report)


def _verdict_step(work: Work) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return the step that applies the readers' verdicts to the manifest's rows and writes each decision into the ledger."""

    def apply(rows: pl.DataFrame) -> pl.DataFrame:
        from validation.review.verdicts import apply_verdicts, read_verdicts, record_verdict_decisions

        judged = apply_verdicts(rows, read_verdicts(work.project), work.settings.review.readers_per_task)
        record_verdict_decisions(work.project, rows, judged)
        return judged

    return apply


def run_gaps(work: Work) -> pl.DataFrame:
    """Return the gap table of the working manifest; nothing is written."""
    from curation.gaps import find_gaps

    rows = read_rows(work)
    if rows.height and rows["split"].null_count() == rows.height:
        raise UsageError("nothing is split yet, so no cell can be counted: run `curaloop curate` first")
    return find_gaps(rows, work.settings.gaps)


def run_synthesize(work: Work) -> SynthesisReport:
    """Make candidates for the cells that the gap table names, and screen them. Of processes that train together, only the first one writes."""
    from synthesis.planning.keeping import planned_settings
    from synthesis.processes import is_first_process
    from synthesis.synthesize import synthesize
    from validation.review.rejections import read_expert_verdicts

    with work.writing("synthesize") if is_first_process() else nullcontext():
        gaps, said = run_gaps(work), read_expert_verdicts(work.project, read_rows(work), work.settings.review.readers_per_task)
        settings, threads = planned_settings(work.project, work.settings.synthesis, gaps, work.settings.run.threads, work.progress)
        report = synthesize(work.project, settings, gaps, open_embed(work.settings), work.progress, threads, said)
        return record(work, "synthesize", report) if is_first_process() else report


def open_embed(settings: Settings) -> Callable[[list[Any]], Any]:
    """Return a function that embeds images; the encoder is loaded at its first call."""
    loaded: list[Any] = []

    def embed(images: list[Any]) -> Any:
        from adaptation.encoders import load_encoder

        if not loaded:
            loaded.append(load_encoder(settings.finetune.encoder, settings.run.threads, settings.finetune.batch_size))
        return loaded[0].embed(images)

    return embed


def run_push(work: Work) -> PushReport:
    """Hand the review queue to Label Studio."""
    from adaptation.finetune import latest_uncertainty
    from flows.services import label_studio_access
    from validation.review.push import push_review

    url, token = label_studio_access(work.project, work.settings)
    with work.writing("review push"):
        rows = read_rows(work)
        known = latest_uncertainty(work.project)
        report = push_review(work.project, work.settings.review, url, token, known, classes_by_task(rows), read_key(work.project), work.progress)
        return record(work, "review-push", report)


def classes_by_task(rows: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the classes that real images of each task have, sorted."""
    import polars as pl

    from curation.modalities import with_task

    known = with_task(rows).filter((pl.col("origin") == "acquired") & pl.col("label").is_not_null())
    table = known.group_by("task").agg(pl.col("label").unique().sort()).sort("task")
    return {task: tuple(labels) for task, labels in table.iter_rows()}


def run_pull(work: Work) -> PullReport:
    """Fetch the readers' new verdicts as facts; `run_curate` applies them."""
    from flows.services import label_studio_access
    from validation.review.pull import pull_verdicts

    url, token = label_studio_access(work.project, work.settings)
    with work.writing("review pull"):
        return record(work, "review-pull", pull_verdicts(work.project, work.settings.review, url, token, read_key(work.project)))


def run_release(work: Work) -> ReleaseReport:
    """Apply the verdicts that came in, check everything that must hold and, when something changed, make the next version."""
    with work.writing("release"):
        held = replace(work, locked=True)
        run_curate(held)
        return _release(held)


def _release(work: Work) -> ReleaseReport:
    """Release the working manifest as it is; the caller holds the lock and has curated."""
    from validation.release import release

    settings = work.settings
    meta = settings.dataset.model_dump()
    made = release(work.project, settings.release, recipe_sha256(settings), meta, code_commit(), work.progress, settings.lift)
    return record(work, "release", made)


def run_finetune(work: Work, version: str | None = None) -> FinetuneReport:
    """Fine-tune and evaluate on one version (the current one by default); a second start finds the first's result."""
    from adaptation.finetune import finetune

    return record(work, "finetune", finetune(work.project, version, work.settings.finetune, work.progress, work.settings.run.threads))


def run_verify(work: Work, version: str | None = None) -> tuple[CheckResult, ...]:
    """Check a version again: files, hashes, invariants, ledger."""
    from validation.verify import verify

    return verify(work.project, version)


NO_LABEL_STUDIO = "no Label Studio: `curaloop up` starts one here, or set services.label_studio; then `curaloop review push`"


@dataclass(frozen=True)
class LoopReport:
    """What one turn of the whole loop did.

    Attributes:
        announced: whom the release was told, or why nobody was.
        review_note: why nothing was pulled from or pushed for review, or empty.
        lift: what the court found; None: no synthetic image asked for a verdict.
    """

    pulled: PullReport | None
    ingest: IngestReport
    curate: CurateReport
    synthesis: SynthesisReport | None
    review: PushReport | None
    review_note: str
    release: ReleaseReport
    announced: str
    finetune: FinetuneReport | None
    seconds: float
    lift: LiftReport | None = None


def run_loop(work: Work, with_finetune: bool = False) -> LoopReport:
    """Run every stage once: review pull, ingest, curate, synthesize, review push, lift, release, announce; on request also fine-tune."""
    from flows.lifting import needs_court, run_lift
    from flows.services import has_label_studio

    started = datetime.now(UTC)
    with work.writing("run"):
        held = replace(work, locked=True)
        has_readers = has_label_studio(work.project, work.settings)
        pulled = run_pull(held) if has_readers and held.project.manifest.exists() else None
        ingested = run_ingest(held)
        curated = run_curate(held)
        synthesis = run_synthesize(held) if work.settings.synthesis.enabled else None
        review = run_push(held) if has_readers else None
        judged = run_lift(held) if needs_court(held) else None
        released = _release(held)
    announced = announce(work, released.version)
    tuned = run_finetune(work, released.version) if with_finetune else None
    seconds = (datetime.now(UTC) - started).total_seconds()
    note = "" if has_readers else NO_LABEL_STUDIO
    return record(work, "run", LoopReport(pulled, ingested, curated, synthesis, review, note, released, announced, tuned, seconds, judged))


def announce(work: Work, version: str | None) -> str:
    """Tell Prefect of a new version, when there is one to tell; return one sentence about it."""
    from flows.events import announce_release
    from flows.services import prefect_access

    if version is None:
        return "no new version, nobody needs to know"
    access = prefect_access(work.project, work.settings)
    if access is None:
        return f"no Prefect server is up, so nothing started by itself; next: curaloop finetune {version}"
    announce_release(access, version, work.settings.dataset.name)
    return f"told Prefect at {access.api_url}; the fine-tuning deployment starts by itself (`curaloop deploy` registers it)"


def run_review_status(work: Work) -> ReviewStatus:
    """Return how far the readers are."""
    from flows.services import label_studio_access
    from validation.review.status import review_status

    url, token = label_studio_access(work.project, work.settings)
    return review_status(work.project, work.settings.review, url, token, read_key(work.project))


def run_diff(work: Work, old: str, new: str) -> VersionDiff:
    """Return what changed from one version to another."""
    from curation.diffs import diff_versions
    from curation.versions import open_version

    with open_version(work.project, old) as before, open_version(work.project, new) as after:
        return diff_versions(before.manifest(), after.manifest())


def run_report(work: Work, version: str | None) -> Path:
    """Write the HTML report of a version and return its path."""
    from flows.report.write_report import write_report

    return write_report(work.project, version)
