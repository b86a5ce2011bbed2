"""Prefect flow: make and screen candidates for the gaps."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.run_logging import summarize, tell_run
from flows.stages import open_work, run_synthesize


@flow(name="synthesize-gaps", validate_parameters=True)
def synthesize_gaps(project_dir: str) -> None:
    """Make and screen candidates for the gaps."""
    summarize("synthesize-gaps", run_synthesize(open_work(Path(project_dir), tell_run())))
