"""Where a project stands: counts from its own files, no server is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.console import out, table

if TYPE_CHECKING:
    import polars as pl

    from flows.stages import Work


@dataclass(frozen=True)
class LabelCount:
    """Images of one class of one task."""

    task: str
    label: str | None
    train: int
    val: int
    test: int
    unsplit: int
    synthetic: int


@dataclass(frozen=True)
class Status:
    """Where a project stands.

    Attributes:
        images: acquired images in the working manifest.
        candidates: synthetic images that wait for a verdict.
        accepted: synthetic images that experts accepted.
        last_runs: stage = UTC time of its last report.
        services: what runs locally.
        advice: the next command that makes sense.
    """

    dataset: str
    root: str
    version: str | None
    versions: tuple[str, ...]
    images: int
    candidates: int
    accepted: int
    quarantined: dict[str, int]
    verdicts: int
    labels: tuple[LabelCount, ...]
    last_runs: dict[str, str]
    services: dict[str, str]
    advice: str


def read_status(work: Work) -> Status:
    """Return where the project stands."""
    import polars as pl

    from curation.manifest import read_manifest
    from curation.versions import list_versions

    project = work.project
    rows = read_manifest(project.manifest)
    synthetic = rows.filter(pl.col("origin") == "synthetic")
    versions = tuple(list_versions(project))
    waiting = synthetic["verdict"].null_count()
    return Status(
        dataset=work.settings.dataset.name,
        root=str(project.root),
        version=versions[-1] if versions else None,
        versions=versions,
        images=rows.height - synthetic.height,
        candidates=waiting,
        accepted=synthetic.filter(pl.col("verdict") == "accepted").height,
        quarantined=_count_quarantine(project.intake),
        verdicts=_count_lines(project.verdicts),
        labels=count_labels(rows),
        last_runs=_last_runs(project.runs),
        services=_services(work),
        advice=_advise(work, rows, versions, waiting),
    )


def count_labels(rows: pl.DataFrame) -> tuple[LabelCount, ...]:
    """Return the number of images of each class in each split, largest class first within a task."""
    import polars as pl

    from curation.modalities import with_task

    acquired = pl.col("origin") == "acquired"
    sides = {side: (acquired & (pl.col("split") == side)).sum() for side in ("train", "val", "test")}
    sides |= {"unsplit": (acquired & pl.col("split").is_null()).sum(), "synthetic": (~acquired).sum()}
    counted = with_task(rows).group_by("task", "label").agg(size=pl.len(), **sides).sort("task", "size", "label", descending=[False, True, False])
    return tuple(LabelCount(**row) for row in counted.drop("size").to_dicts())


def _count_quarantine(intake: Path) -> dict[str, int]:
    import polars as pl

    from curation.intake import REMEDY
    from curation.manifest import read_parquet

    if not intake.exists():
        return {}
    counted = read_parquet(intake, REMEDY, ["outcome", "code"]).filter(pl.col("outcome") == "quarantined").group_by("code").len().sort("code")
    return dict(counted.iter_rows())


def _count_lines(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _last_runs(runs: Path) -> dict[str, str]:
    """Return the time of each stage's newest report; names sort by time."""
    found: dict[str, str] = {}
    for path in sorted(runs.glob("*Z-*.json")):
        time, _, stage = path.stem.partition("-")
        found[stage] = time
    return found


def _services(work: Work) -> dict[str, str]:
    from flows.services import read_services

    running, team = read_services(work.project), work.settings.services
    prefect = team.prefect_api or (running.prefect.url if running.prefect else "not up")
    studio = team.label_studio or (running.label_studio.url if running.label_studio else "not up")
    return {"Prefect": prefect, "Label Studio": studio}


def _advise(work: Work, rows: pl.DataFrame, versions: tuple[str, ...], waiting: int) -> str:
    images = rows.height
    if not work.settings.source:
        return f"add a [[source]] to {work.project.recipe_path.name}"
    if not images and versions:
        return f"curaloop finetune and curaloop verify work on {versions[-1]}; curaloop run takes the sources in"
    if not images:
        return "curaloop run"
    if rows["split"].null_count() == images:
        return "curaloop curate"
    if waiting:
        return f"{waiting} candidates wait for the experts: curaloop review push, judge, curaloop review pull"
    if number := _count_unjudged(work, rows):
        return f"the court has not judged {number} synthetic images that experts accepted: curaloop lift, then curaloop release"
    if not versions:
        return "curaloop release"
    return "curaloop run after sources or verdicts changed"


def _count_unjudged(work: Work, rows: pl.DataFrame) -> int:
    """Return how many accepted synthetic images are of a class on which the lift court has no verdict; 0 when no release asks for one."""
    import polars as pl

    from curation.modalities import with_task
    from validation.lift.rulings import made_for, read_rulings

    accepted = rows.filter((pl.col("origin") == "synthetic") & (pl.col("verdict") == "accepted"))
    if not work.settings.lift.required or accepted.is_empty():
        return 0
    rulings = read_rulings(work.project.ledger)
    return sum(pair not in rulings for pair in with_task(accepted).select("task", made_for()).iter_rows())


def read_last_report(runs: Path, stage: str) -> dict[str, Any] | None:
    """Return the newest report of a stage, or None."""
    paths = sorted(runs.glob(f"*Z-{stage}.json"))
    report: dict[str, Any] | None = json.loads(paths[-1].read_text()) if paths else None
    return report


def show_status(status: Status) -> None:
    """Print where the project stands."""
    from rich.markup import escape

    console = out()
    console.print(f"[bold]{escape(status.dataset)}[/]  {status.version or 'no version yet'}  [dim]{escape(status.root)}[/]", soft_wrap=True)
    quarantined = sum(status.quarantined.values())
    console.print(f"  {status.images:,} images, {quarantined:,} files in quarantine, {status.verdicts:,} verdicts")
    console.print(f"  synthetic: {status.candidates:,} wait for a verdict, {status.accepted:,} accepted")
    rows = [(each.task, each.label or "(no label)", each.train, each.val, each.test, each.unsplit, each.synthetic) for each in status.labels]
    if rows:
        console.print(table("", rows, "task", "label", "train", "val", "test", "no split", "synthetic"))
    for name, address in status.services.items():
        console.print(f"  [dim]{name:13}[/]{address}")
    for stage, time in sorted(status.last_runs.items(), key=lambda pair: pair[1]):
        console.print(f"  [dim]{stage:13}{time[:4]}-{time[4:6]}-{time[6:8]} {time[9:11]}:{time[11:13]} UTC[/]")
    console.print(f"[dim]next: {escape(status.advice)}[/]", soft_wrap=True)
