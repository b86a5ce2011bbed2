"""Prefect flow: bring the sources in."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.run_logging import summarize, tell_run
from flows.stages import open_work, run_ingest


@flow(name="ingest-sources", validate_parameters=True)
def ingest_sources(project_dir: str) -> None:
    """Bring the sources in."""
    summarize("ingest-sources", run_ingest(open_work(Path(project_dir), tell_run())))
