"""Prefect flow: judge new synthetic images, check everything that must hold, release, announce."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger

from flows.lifting import needs_court, run_lift
from flows.run_logging import summarize, tell_run
from flows.stages import announce, open_work, run_curate, run_release


@flow(name="release-dataset", validate_parameters=True)
def release_dataset(project_dir: str) -> None:
    """Check everything that must hold, release, announce."""
    work = open_work(Path(project_dir), tell_run())
    run_curate(work)
    if needs_court(work):
        summarize("lift", run_lift(work))
    report = run_release(work)
    summarize("release-dataset", report)
    get_run_logger().info(announce(work, report.version))
