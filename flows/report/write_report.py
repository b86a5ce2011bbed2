"""Write the report of one version: counts, charts, pictures, and the files that they come from.

The version itself carries most of it (`manifest.parquet`, `release.json`, `evidence/`); models and the ledger come from the project. Times
and machines do not enter, so the same version and models give the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curation.errors import IntegrityError
from curation.ledger import read_ledger
from curation.manifest import write_bytes
from curation.project import Project
from curation.versions import Version, open_version
from flows.report import sections
from flows.report.evidence import Evidence
from flows.report.gallery import draw_shelves
from flows.settings import Settings, read_settings

HERE = Path(__file__).parent
LEDGER_LINES = 12


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
        ledger: decisions up to this version.
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
    ledger: list[dict[str, Any]]


def write_report(project: Project, version: str | None = None) -> Path:
    """Write `workspace/reports/<version>.html` and `workspace/reports/<version>/evidence/`, and return the page's path.

    Args:
        project: the dataset project.
        version: e.g. `data-v2`; None is the current version.

    Raises:
        UsageError: there is no such version.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    with open_version(project, version) as opened:
        material = gather(project, opened)
        evidence = Evidence(project.reports / opened.name / "evidence")
        evidence.begin()
        content = sections.describe(material, evidence, draw_shelves(opened, material.rows))
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    page = environment.get_template("page.html.j2").render(content)
    path = project.reports / f"{opened.name}.html"
    write_bytes(page.encode(), path)
    return path


def gather(project: Project, version: Version) -> Material:
    """Read everything that the report of `version` needs."""
    release = version.release
    parent_rows = None
    if release["parent"]:
        with open_version(project, release["parent"]) as parent:
            parent_rows = parent.manifest()
    intake = _evidence(version, "intake.csv")
    return Material(
        settings=read_settings(project.recipe_path),
        release=release,
        rows=version.manifest(),
        parent_rows=parent_rows,
        intake=pl.read_csv(intake, infer_schema=False).cast({"files": pl.Int64}) if intake else pl.DataFrame(schema=sections.INTAKE_SCHEMA),
        review=json.loads(_evidence(version, "review.json") or "{}"),
        checks=json.loads(_evidence(version, "checks.json") or "[]"),
        metrics=_read_metrics(project, version.name),
        parent_metrics=_read_metrics(project, release["parent"]) if release["parent"] else {},
        ledger=_ledger_until(project, release["ledger_head"]),
    )


def _evidence(version: Version, name: str) -> bytes:
    """Return an evidence file of the version, empty when it carries none."""
    try:
        return version.read_file(f"evidence/{name}")
    except IntegrityError:
        return b""


def _read_metrics(project: Project, version: str) -> dict[str, Any]:
    """Return the metrics of the newest model that was trained on a version, empty when there is none."""
    found = sorted(project.models.glob(f"{version}-*/metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    content: dict[str, Any] = json.loads(found[-1].read_text()) if found else {}
    return content


def _ledger_until(project: Project, head: str) -> list[dict[str, Any]]:
    """Return the decisions up to the one that the release stored as its head."""
    lines = []
    for line in read_ledger(project.ledger):
        lines.append(line)
        if line["hash"] == head:
            break
    return lines
