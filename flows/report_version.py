"""Prefect flow: write the HTML report of a version."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.run_logging import tell_run
from flows.stages import open_work, run_report


@flow(name="report-version", validate_parameters=True)
def report_version(project_dir: str, version: str | None = None) -> None:
    """Write the HTML report of a version, the current one by default."""
    run_report(open_work(Path(project_dir), tell_run()), version)
