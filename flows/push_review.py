"""Prefect flow: hand the review queue to Label Studio."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.run_logging import summarize, tell_run
from flows.stages import open_work, run_push


@flow(name="push-review", validate_parameters=True)
def push_review(project_dir: str) -> None:
    """Hand the review queue to Label Studio."""
    summarize("push-review", run_push(open_work(Path(project_dir), tell_run())))
