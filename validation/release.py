"""The release: select, check, open the gate, build, store, tag. Nothing changed: no version. A check refuses: nothing is touched."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from curation.datacard import describe_croissant, write_card
from curation.ledger import append_decision, last_line
from curation.manifest import read_manifest, write_bytes
from curation.progress import Progress, silent
from curation.project import Project
from curation.releases import adopt_release, build_release, count_rows, is_unchanged, select_rows
from curation.shards import Place, ShardReader
from curation.versions import has_version, list_versions, next_version, open_version, tag_untagged, track_and_tag
from validation.checks import CheckResult, conclude
from validation.contract import check_contract
from validation.evidence import collect_evidence, read_training
from validation.gate import open_gate
from validation.history import check_accounting, check_ledger, check_released, check_verdicts, check_versions
from validation.invariants import TrainingRows, check_rows, check_texts
from validation.lift.rulings import admit, check_lift, lift_evidence, read_rulings
from validation.recipe import LiftSettings, ReleaseSettings

STEPS = ("looking for changes", "checking", "building", "storing", "done")


@dataclass(frozen=True)
class ReleaseReport:
    """What a release did.

    Attributes:
        version: the new version, None when nothing changed.
        parent: the version before.
        unchanged: whether the current version holds these rows already.
        images: rows of the version.
        added: images that the version before did not hold.
        removed: images that it held and this one does not.
        checks: every result; all passed, or `GateError` was raised.
        seconds: wall time.
        withheld: accepted synthetic images that the lift court does not let in, by reason.
    """

    version: str | None
    parent: str | None
    unchanged: bool
    images: int
    added: int
    removed: int
    checks: tuple[CheckResult, ...]
    seconds: float
    withheld: dict[str, int] = field(default_factory=dict)


def release(
    project: Project,
    settings: ReleaseSettings,
    recipe_sha256: str,
    dataset_meta: dict[str, Any],
    code_commit: str,
    progress: Progress | None = None,
    lift: LiftSettings | None = None,
) -> ReleaseReport:
    """Make the next version, if anything changed and every check holds. Killed at any moment, the same call goes on.

    Args:
        project: the project; the caller holds its write lock.
        settings: what a release demands.
        recipe_sha256: hash of the recipe.
        dataset_meta: `name`, `description`, `licence`.
        code_commit: commit of the code that runs.
        progress: told of each step.
        lift: what the recipe demands of the court; None: its defaults, a verdict for every synthetic image.

    Raises:
        GateError: a check does not hold; `data/`, records and git are as before.
        ServiceError: the DVC remote did not take the bytes; the same call tries again.
    """
    started, tell = time.perf_counter(), progress or silent
    tell(0, len(STEPS), STEPS[0])
    finished = tag_untagged(project)
    working = read_manifest(project.manifest)
    rulings, court = read_rulings(project.ledger), lift or LiftSettings()
    rows, withheld = admit(select_rows(working, settings.synthetic), rulings, court)
    old = _current_rows(project)
    if is_unchanged(rows, project):
        adopt_release(project)
        return ReleaseReport(finished, _newest(project), finished is None, rows.height, 0, 0, (), _since(started), withheld)
    parent, version = _newest(project), next_version(project)
    meta = {**dataset_meta, "recipe_sha256": recipe_sha256, "code_commit": code_commit}
    tell(1, len(STEPS), STEPS[1])
    training = read_training(project)
    checks = (
        *_check(project, settings, working, rows, training, provisional_texts(rows, version, parent, meta)),
        check_lift(rows, rulings, court),
    )
    evidence = collect_evidence(project, rows, checks, training) | lift_evidence(project, rulings, court, withheld)
    checks = (*checks, check_texts({name: content.decode() for name, content in evidence.items()}, _today(), "4b no identifiers in evidence files"))
    write_bytes(json.dumps([asdict(check) for check in checks], indent=1).encode(), project.runs / "release-checks.json")
    open_gate(checks)
    tell(2, len(STEPS), STEPS[2])
    evidence["checks.json"] = (json.dumps([asdict(check) for check in checks], indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    _note(project, version, parent, rows, withheld)
    build_release(project, rows, version, parent, meta, evidence)
    tell(3, len(STEPS), STEPS[3])
    track_and_tag(project, version, f"Release {version}")
    adopt_release(project)
    tell(len(STEPS), len(STEPS), STEPS[4])
    added, removed = _count_changes(old, rows)
    return ReleaseReport(version, parent, False, rows.height, added, removed, checks, _since(started), withheld)


def _newest(project: Project) -> str | None:
    versions = list_versions(project)
    return versions[-1] if versions else None


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _current_rows(project: Project) -> pl.DataFrame:
    """Return the rows of the current version, none before the first."""
    if not has_version(project):
        return read_manifest(project.manifest).clear()
    with open_version(project) as current:
        return current.manifest()


def _count_changes(old: pl.DataFrame, new: pl.DataFrame) -> tuple[int, int]:
    before, after = set(old["image_id"]), set(new["image_id"])
    return len(after - before), len(before - after)


def _check(
    project: Project, settings: ReleaseSettings, working: pl.DataFrame, rows: pl.DataFrame, training: TrainingRows, texts: dict[str, str]
) -> tuple[CheckResult, ...]:
    """Run every check on what would be released."""
    versions, releases = check_versions(project)
    with ShardReader(*project.shard_folders()) as shards:

        def read(row: dict[str, Any]) -> bytes:
            return shards.read(Place(row["shard"], row["offset"], row["size_bytes"]))

        seen = check_rows(rows, training, settings, read)
    return (
        check_demands(rows, settings),
        *seen,
        check_texts(texts, _today()),
        check_accounting(project, working),
        check_released(project),
        check_ledger(project, releases),
        versions,
        check_verdicts(project, rows),
        *check_contract(rows),
    )


def check_demands(rows: pl.DataFrame, settings: ReleaseSettings) -> CheckResult:
    """Check what the recipe's `release` part demands."""
    acquired = rows.filter(pl.col("origin") == "acquired")
    share = acquired["label"].count() / acquired.height if acquired.height else 0.0
    failures = []
    if acquired.height < settings.least_images:
        failures.append(f"{acquired.height} acquired images, the recipe demands {settings.least_images} (release.least_images)")
    if share < settings.least_labelled_share:
        failures.append(
            f"{share:.1%} of the acquired images have a label, the recipe demands {settings.least_labelled_share:.1%} (release.least_labelled_share)"
        )
    return conclude("0 what the recipe demands", "Enough acquired images, and enough of them labelled.", failures, acquired.height)


def provisional_texts(rows: pl.DataFrame, version: str, parent: str | None, meta: dict[str, Any]) -> dict[str, str]:
    """Return the card and the Croissant file as they would be written, so that they are looked at before anything is."""
    facts: dict[str, Any] = {
        "version": version,
        "parent": parent,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": {name: str(meta[name]) for name in ("name", "description", "licence")},
        "recipe_sha256": meta["recipe_sha256"],
        "code_commit": meta["code_commit"],
        "counts": {**count_rows(rows), "shards": 0, "size_bytes": 0},
        "ledger_head": "",
        "files": {"manifest.parquet": ""},
    }
    return {"card.md": write_card(rows, facts), "croissant.json": json.dumps(describe_croissant(facts), ensure_ascii=False), "release.json": json.dumps(facts)}


def _note(project: Project, version: str, parent: str | None, rows: pl.DataFrame, withheld: dict[str, int]) -> None:
    """Write the decision into the ledger, unless a release that was killed wrote it last."""
    last = last_line(project.ledger)
    made = int((rows["origin"] == "synthetic").sum())
    new = {"images": rows.height, "synthetic": made} | ({"withheld": withheld} if withheld else {})
    if last and (last["action"], last["what"], last["new"]) == ("released", version, new):
        return
    append_decision(project.ledger, "released", what=version, why="every check passed", old=parent, new=new)
