"""Prefect flow: fetch the readers' new verdicts."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.run_logging import summarize, tell_run
from flows.stages import open_work, run_pull


@flow(name="pull-review", validate_parameters=True, retries=3, retry_delay_seconds=120)  # another run may hold the lock
def pull_review(project_dir: str) -> None:
    """Fetch the readers' new verdicts."""
    summarize("pull-review", run_pull(open_work(Path(project_dir), tell_run())))
