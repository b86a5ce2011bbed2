"""`curaloop synthesize` when a person asks for it, with `--plan` what would be trained, with `--replay` a synthetic image made again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from curation.errors import UsageError
from flows.stages import Work, open_embed, read_rows, record, run_gaps, run_synthesize

if TYPE_CHECKING:
    from synthesis.planning.plan import Plan
    from synthesis.replay import ReplayReport
    from synthesis.synthesize import SynthesisReport


def run_asked_synthesis(work: Work) -> SynthesisReport:
    """Make and screen candidates, whatever `synthesis.enabled` says: somebody asked for it."""
    _see_task(work)
    asked = work.settings.synthesis.model_copy(update={"enabled": True})
    return run_synthesize(replace(work, settings=work.settings.model_copy(update={"synthesis": asked})))


def _see_task(work: Work) -> None:
    """Raise `UsageError` when the project has no image of the task that the recipe names, or the engine does not make such images."""
    from curation.modalities import with_task

    rows, task = read_rows(work), work.settings.synthesis.task
    known = with_task(rows.filter(rows["origin"] == "acquired"))["task"].value_counts().sort("count", "task", descending=[True, False])
    if task not in known["task"]:
        there = ", ".join(f"{name} ({number:,} images)" for name, number in known.iter_rows()) or "no image at all"
        raise UsageError(f"synthesis.task is {task!r}, of which this project has no image; it has {there}")
    engine = work.settings.synthesis.generator.engine
    if task.endswith("-3d") != (engine == "volume"):
        makes = "volumes" if engine == "volume" else "2-D images"
        raise UsageError(f"synthesis.generator.engine is {engine!r}, which makes {makes} only, and synthesis.task is {task!r}: change one of them")


def run_plan(work: Work) -> Plan:
    """Look at train images and machine, time a few steps, and say what would be trained and why; `synthesize` keeps to it."""
    from synthesis.planning.keeping import plan_synthesis

    _see_task(work)
    with work.writing("plan"):
        plan, _ = plan_synthesis(work.project, work.settings.synthesis, run_gaps(work), work.settings.run.threads, work.progress, open_embed(work.settings))
        return record(work, "plan", plan)


def run_replay(work: Work, image_id: str) -> ReplayReport:
    """Make one synthetic image again and compare it with its row."""
    from synthesis.replay import replay

    with work.writing("replay"):
        return record(work, "replay", replay(work.project, image_id, work.progress))
