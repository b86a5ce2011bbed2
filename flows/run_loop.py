"""Prefect flow: one turn of the whole loop."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows import stages
from flows.run_logging import summarize, tell_run


@flow(name="run-loop", validate_parameters=True)
def run_loop(project_dir: str) -> None:
    """Run every stage once: ingest, curate, synthesize, review push, release; the release's event starts fine-tuning."""
    summarize("run-loop", stages.run_loop(stages.open_work(Path(project_dir), tell_run())))
