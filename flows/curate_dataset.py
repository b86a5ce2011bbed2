"""Prefect flow: apply verdicts, find duplicates, split, measure the gaps."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.run_logging import summarize, tell_run
from flows.stages import open_work, run_curate


@flow(name="curate-dataset", validate_parameters=True)
def curate_dataset(project_dir: str) -> None:
    """Apply verdicts, find duplicates, split, measure the gaps."""
    summarize("curate-dataset", run_curate(open_work(Path(project_dir), tell_run())))
