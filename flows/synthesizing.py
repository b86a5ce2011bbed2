"""`curaloop synthesize --plan` and `--replay`: what would be trained, and a synthetic image made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stages import Work, record, run_gaps

if TYPE_CHECKING:
    from synthesis.planning.plan import Plan
    from synthesis.replay import ReplayReport


def run_plan(work: Work) -> Plan:
    """Look at train images and machine, time a few steps, and say what would be trained and why; `synthesize` keeps to it."""
    from synthesis.planning.keeping import plan_synthesis

    with work.writing("plan"):
        plan, _ = plan_synthesis(work.project, work.settings.synthesis, run_gaps(work), work.settings.run.threads, work.progress)
        return record(work, "plan", plan)


def run_replay(work: Work, image_id: str) -> ReplayReport:
    """Make one synthetic image again and compare it with its row."""
    from synthesis.replay import replay

    with work.writing("replay"):
        return record(work, "replay", replay(work.project, image_id, work.progress))
