"""What a report is made of, gathered from the version, its models and the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curation.ledger import read_ledger
from curation.project import Project
from curation.versions import Version, open_version
from flows.harmonization import read_proof
from flows.settings import Settings, read_settings
from validation.evidence import CANDIDATES_SCHEMA, INTAKE_SCHEMA
from validation.lift.rulings import EVIDENCE as LIFT

if TYPE_CHECKING:
    from adaptation.compare import ModelDifference


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes:
        settings: the recipe of the project.
        release: release.json of the version.
        rows: its manifest.
        parent_rows: manifest of the version before, if there is one.
        intake: files by source, outcome, code and reason, as the version carries it.
        review: summary of the verdicts.
        checks: results that opened its gate.
        metrics: metrics.json of this version's model, if one was trained.
        parent_metrics: that of the version before.
        differences: the paired comparison of both models on the test images that both have seen; empty without two models.
        ledger: decisions up to this version.
        candidates: every synthetic image that was drawn until then, with what its screens measured.
        rounds: reports of `curaloop synthesize` about the generators behind these candidates, oldest first, with the pictures beside them.
        lift: what the recipe demanded of the lift court, and what stayed out.
        judgements: of the court, one a task.
        harmonization: the proof of `curaloop harmonize --report` on this version, else of a fine-tuning with ComBat, else empty.
    """

    settings: Settings
    release: dict[str, Any]
    rows: pl.DataFrame
    parent_rows: pl.DataFrame | None
    intake: pl.DataFrame
    review: dict[str, Any]
    checks: list[dict[str, Any]]
    metrics: dict[str, Any]
    parent_metrics: dict[str, Any]
    differences: list[ModelDifference]
    ledger: list[dict[str, Any]]
    candidates: pl.DataFrame
    rounds: list[dict[str, Any]]
    lift: dict[str, Any]
    judgements: list[dict[str, Any]]
    harmonization: dict[str, Any]


def gather(project: Project, version: Version) -> Material:
    """Read everything that the report of `version` needs."""
    release = version.release
    parent_rows = None
    if release["parent"]:
        with open_version(project, release["parent"]) as parent:
            parent_rows = parent.manifest()
    intake, candidates = read_evidence(version, "intake.csv"), read_evidence(version, "candidates.csv")
    lift: dict[str, Any] = json.loads(read_evidence(version, LIFT) or "{}")
    return Material(
        settings=read_settings(project.recipe_path),
        release=release,
        rows=version.manifest(),
        parent_rows=parent_rows,
        intake=pl.read_csv(intake, infer_schema=False).cast({"files": pl.Int64}) if intake else pl.DataFrame(schema=INTAKE_SCHEMA),
        review=json.loads(read_evidence(version, "review.json") or "{}"),
        checks=json.loads(read_evidence(version, "checks.json") or "[]"),
        metrics=_read_metrics(_newest_model(project, version.name)),
        parent_metrics=_read_metrics(_newest_model(project, release["parent"])),
        differences=_compare(_newest_model(project, release["parent"]), _newest_model(project, version.name)),
        ledger=_ledger_until(project, release["ledger_head"]),
        candidates=pl.read_csv(candidates, schema=CANDIDATES_SCHEMA) if candidates else pl.DataFrame(schema=CANDIDATES_SCHEMA),
        rounds=_read_rounds(project),
        lift=lift,
        judgements=[json.loads(found) for task in _judged_tasks(lift) if (found := read_evidence(version, f"lift-{task}.json"))],
        harmonization=read_proof(project, version.name) or _read_metrics(_newest_model(project, version.name)).get("harmonization", {}),
    )


def _judged_tasks(lift: dict[str, Any]) -> list[str]:
    return sorted({verdict["task"] for verdict in lift.get("verdicts", [])})


def read_evidence(version: Version, name: str) -> bytes:
    """Return an evidence file of the version, empty when it carries none; one that it should carry and that is gone is an error."""
    path = f"evidence/{name}"
    return version.read_file(path) if path in version.release["files"] else b""


def _read_rounds(project: Project) -> list[dict[str, Any]]:
    """Return what every round of synthesis reported, with the folder that its paths start from."""
    paths = sorted(project.models.glob("generator-*/round-*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) | {"root": project.root} for path in paths]


def _newest_model(project: Project, version: str | None) -> Path | None:
    """Return the folder of the newest model that was trained on a version."""
    found = sorted(project.models.glob(f"{version}-*/metrics.json"), key=lambda path: path.stat().st_mtime_ns) if version else []
    return found[-1].parent if found else None


def _read_metrics(model: Path | None) -> dict[str, Any]:
    """Return the metrics of a model, empty when there is none."""
    content: dict[str, Any] = json.loads((model / "metrics.json").read_text()) if model else {}
    return content


def _compare(old: Path | None, new: Path | None) -> list[ModelDifference]:
    """Return the paired differences of two models that kept their predictions."""
    from adaptation.compare import compare_models

    if old is None or new is None or not all((model / "predictions.parquet").exists() for model in (old, new)):
        return []
    return compare_models(old, new)


def _ledger_until(project: Project, head: str) -> list[dict[str, Any]]:
    """Return the decisions up to the one that the release stored as its head."""
    lines = []
    for line in read_ledger(project.ledger):
        lines.append(line)
        if line["hash"] == head:
            break
    return lines
