"""The plan of a project: made once for its train rows, recipe and machine, then kept.

Training that was stopped goes on with the same settings, although the machine may be slower by then. Remove the file to plan again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import polars as pl

from curation.errors import UsageError
from curation.manifest import read_manifest, write_bytes
from curation.progress import Progress, silent
from curation.project import Project
from synthesis.conditions import row_conditions
from synthesis.generator import read_base
from synthesis.planning.fingerprint import DataFingerprint, Machine, fingerprint_rows, look_at_machine
from synthesis.planning.plan import Choice, Plan, find_shortage, make_plan
from synthesis.planning.trials import Trial
from synthesis.processes import count_processes
from synthesis.recipe import GeneratorSettings, SynthesisSettings
from synthesis.requests import rarest_classes
from synthesis.training_set import usable_rows

FORMAT = 1
UNPLANNED_THREADS = 1


def plan_synthesis(
    project: Project, settings: SynthesisSettings, gaps: pl.DataFrame, threads: int | None = None, progress: Progress = silent
) -> tuple[Plan, Path]:
    """Return the plan that is kept for this project, or make one and keep it; and its file.

    Args:
        project: its working manifest is read.
        settings: the recipe.
        gaps: table of `curation.gaps`: which classes are wanted.
        threads: of torch, when the recipe fixes them.
        progress: told of the trials.

    Raises:
        UsageError: several processes train together and no plan is kept yet: each would measure the others; or conditions or base are not there.
    """
    if settings.plan.preset == "recipe":
        threads = threads or UNPLANNED_THREADS
    usable = usable_rows(read_manifest(project.manifest), settings.task, "train")
    row_conditions(usable, settings.generator.conditions)
    if settings.generator.base is not None:
        read_base(project.root / settings.generator.base)
    machine = look_at_machine(settings.generator.device)
    path = plan_path(project.models, usable, settings, machine, threads)
    plan = read_plan(path)
    if plan is None:
        if count_processes() > 1:
            raise UsageError("no plan is kept for this data and machine: run `curaloop synthesize --plan` once before `accelerate launch`")
        plan = make_plan(fingerprint_rows(usable, settings.task), machine, rarest_classes(gaps, settings), settings, threads, progress)
        write_plan(plan, path)
    return plan, path


def say_shortage(usable: pl.DataFrame, gaps: pl.DataFrame, settings: SynthesisSettings) -> str:
    """Return why these train rows are too few for what the gap table asks for, and how many would be enough; empty when they are enough."""
    return find_shortage(fingerprint_rows(usable, settings.task), rarest_classes(gaps, settings), settings)


def planned_settings(
    project: Project, settings: SynthesisSettings, gaps: pl.DataFrame, threads: int | None = None, progress: Progress = silent
) -> tuple[SynthesisSettings, int]:
    """Return the recipe with the planned generator, and the threads of torch; without a preset, the recipe as it is and one thread."""
    if settings.plan.preset == "recipe":
        return settings, threads or UNPLANNED_THREADS
    plan, _ = plan_synthesis(project, settings, gaps, threads, progress)
    return settings.model_copy(update={"generator": plan.generator}), plan.threads


def plan_path(models: Path, usable: pl.DataFrame, settings: SynthesisSettings, machine: Machine, threads: int | None) -> Path:
    """Return where the plan for these rows, this recipe and this machine lies."""
    rows = usable.select("image_id", "label").sort("image_id").rows()
    known = {"format": FORMAT, "settings": settings.sha256(), "rows": rows, "machine": asdict(machine), "threads": threads}
    return models / f"plan-{hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]}.json"


def write_plan(plan: Plan, path: Path) -> None:
    """Keep a plan."""
    content = asdict(plan) | {"generator": plan.generator.model_dump(mode="json")}
    write_bytes((json.dumps(content, indent=1) + "\n").encode(), path)


def read_plan(path: Path) -> Plan | None:
    """Return a plan that was kept, or None."""
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    found["machine"] = Machine(**found["machine"] | {"gpus": tuple(found["machine"]["gpus"])})
    found |= {"data": DataFingerprint(**found["data"]), "generator": GeneratorSettings.model_validate(found["generator"])}
    found |= {"choices": tuple(Choice(**choice) for choice in found["choices"]), "trials": tuple(Trial(**trial) for trial in found["trials"])}
    return Plan(**found | {"warnings": tuple(found["warnings"])})
