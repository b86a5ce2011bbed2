"""Prefect flow: fine-tune and evaluate on one version, then write its report; the event of a release starts it."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.run_logging import summarize, tell_run
from flows.stages import open_work, run_finetune, run_report


@flow(name="finetune-model", validate_parameters=True)
def finetune_model(project_dir: str, version: str | None = None) -> None:
    """Fine-tune and evaluate on one version, the current one by default; a second start trains nothing again."""
    work = open_work(Path(project_dir), tell_run())
    report = run_finetune(work, version)
    run_report(work, report.version)
    summarize("finetune-model", report)
