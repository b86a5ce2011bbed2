"""What a Prefect flow run says about itself: progress and counts, never anything about a patient."""

from __future__ import annotations

import json
from typing import Any

from curation.progress import Progress


def tell_run() -> Progress:
    """Return a progress callback that writes to the flow run's log at every tenth of the way."""
    from prefect import get_run_logger

    logger = get_run_logger()
    told: dict[str, int] = {}

    def tell(done: int, total: int, what: str) -> None:
        tenth = 10 * done // total if total else 0
        if told.get(what) != tenth:
            told[what] = tenth
            logger.info("%s: %d of %d", what, done, total)

    return tell


def summarize(stage: str, report: Any) -> None:
    """Write the counts of a stage's report to the log and as an artifact that the server's UI shows."""
    from prefect import get_run_logger
    from prefect.artifacts import create_markdown_artifact

    from flows.console import to_plain

    counts = json.dumps(_counts(to_plain(report)), indent=2)
    get_run_logger().info("%s: %s", stage, counts)
    create_markdown_artifact(f"```json\n{counts}\n```", key=stage, description=f"What {stage} did")


def _counts(report: Any) -> Any:
    """Return the numbers, flags and short words of a report; longer texts and lists stay in the project's own files."""
    if isinstance(report, dict):
        kept = {key: _counts(value) for key, value in report.items()}
        return {key: value for key, value in kept.items() if value is not None}
    if isinstance(report, list):
        return len(report)
    return report if not isinstance(report, str) or len(report) <= 40 else None
