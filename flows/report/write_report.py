"""Write the report of one version: counts, charts, pictures, and the files that they come from.

The version itself carries most of it (`manifest.parquet`, `release.json`, `evidence/`); models and the ledger come from the project. Times
and machines do not enter, so the same version and models give the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from curation.manifest import write_bytes
from curation.project import Project
from curation.versions import open_version
from flows.report import sections
from flows.report.evidence import Evidence
from flows.report.gallery import draw_shelves
from flows.report.material import gather

HERE = Path(__file__).parent


def write_report(project: Project, version: str | None = None) -> Path:
    """Write `workspace/reports/<version>.html` and `workspace/reports/<version>/evidence/`, and return the page's path.

    Args:
        project: the dataset project.
        version: e.g. `data-v2`; None is the current version.

    Raises:
        UsageError: there is no such version.
    """
    from filelock import FileLock
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    project.reports.mkdir(parents=True, exist_ok=True)
    with FileLock(project.reports / ".lock"):  # the worker writes a report after fine-tuning, perhaps while a person asks for it
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
