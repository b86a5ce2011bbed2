"""The plan of a project: made once for its train rows, recipe and machine, then kept.

Training that was stopped goes on with the same settings, although the machine may be slower by then. Remove the file to plan again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from curation.errors import UsageError
from curation.manifest import read_manifest, write_bytes
from curation.progress import Progress, silent
from curation.project import Project
from synthesis.conditions import LABEL, row_conditions
from synthesis.engines.pixel import stack_images
from synthesis.generator import read_base
from synthesis.latents.autoencoder import read_autoencoder
from synthesis.latents.rebuilding import MEASURED_IMAGES, measure_rebuilding, warn_of_rebuilding
from synthesis.network import torch_threads
from synthesis.planning.fingerprint import DataFingerprint, Machine, fingerprint_rows, look_at_machine
from synthesis.planning.plan import Choice, Plan, find_shortage, make_plan
from synthesis.planning.screen_trials import FEW_IMAGES, Round, time_screens
from synthesis.planning.trials import Trial
from synthesis.processes import count_processes
from synthesis.recipe import GeneratorSettings, SynthesisSettings
from synthesis.remembering import Embed
from synthesis.requests import plan_requests, rarest_classes, say_fewer_classes
from synthesis.screening import HELD_OUT_IMAGES
from synthesis.training_set import load_images, most_common, usable_rows
from synthesis.volumes import is_volume_task

FORMAT = 1
UNPLANNED_THREADS = 1


def plan_synthesis(
    project: Project, settings: SynthesisSettings, gaps: pl.DataFrame, threads: int | None = None, progress: Progress = silent, embed: Embed | None = None
) -> tuple[Plan, Path]:
    """Return the plan that is kept for this project, or make one and keep it; and its file.

    Args:
        project: its working manifest is read.
        settings: the recipe.
        gaps: table of `curation.gaps`: which classes are wanted.
        threads: of torch, when the recipe fixes them.
        progress: told of the trials.
        embed: images to features, to time the screens with; None: they are not timed.

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
        plan = replace(plan, warnings=(*plan.warnings, *_foresee(project, plan, usable, gaps, settings)))
        write_plan(plan, path)
    if embed is not None and plan.minutes_screening is None and not plan.stop:
        progress(len(plan.trials), 0, "timing the screens")
        with torch_threads(plan.threads):
            plan = replace(plan, minutes_screening=_time_screens(project, usable, gaps, settings.model_copy(update={"generator": plan.generator}), embed))
        write_plan(plan, path)
    return plan, path


def _foresee(project: Project, plan: Plan, usable: pl.DataFrame, gaps: pl.DataFrame, settings: SynthesisSettings) -> list[str]:
    """Return what the recipe asks for and cannot have: more classes than there are, or a pretrained autoencoder that keeps less than shrinking does."""
    generator, said = plan.generator, [say_fewer_classes(gaps, settings)]
    if generator.engine == "latent" and generator.latent.autoencoder and generator.base is None and not plan.stop:
        few = load_images(project, usable.gather_every(-(-usable.height // MEASURED_IMAGES)), generator, plan.data.channels)
        found = measure_rebuilding(read_autoencoder(generator.latent.autoencoder), stack_images(few.lessons), generator.precision)
        said.append(warn_of_rebuilding(found, "latent", None))
    return [sentence for sentence in said if sentence]


def _time_screens(project: Project, usable: pl.DataFrame, gaps: pl.DataFrame, settings: SynthesisSettings, embed: Embed) -> float | None:
    """Return the minutes of screening what would be drawn now; None when nothing would."""
    rows = read_manifest(project.manifest)
    drawn: Counter[str] = Counter()
    for request in plan_requests(gaps, rows, None, settings):
        drawn[request.condition[LABEL]] += request.number
    if not drawn:
        return None
    held_out = usable_rows(rows, settings.task, "val").filter(pl.col("label").is_in(usable["label"].implode()))
    measured = held_out.gather_every(max(1, -(-held_out.height // HELD_OUT_IMAGES)))
    few = load_images(project, usable.gather_every(-(-usable.height // FEW_IMAGES)), settings.generator, int(most_common(usable, "channels")))
    here = Round(Counter(usable["label"]), Counter(measured["label"]), drawn)
    with_fidelity = settings.fidelity and not is_volume_task(settings.task)
    return round(time_screens(few.images, here, embed, settings.screens, with_fidelity=with_fidelity) / 60, 1)


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
    """Return where the plan for these rows, this recipe and this machine lies; `synthesis.enabled` says when to draw, not what."""
    rows = usable.select("image_id", "label").sort("image_id").rows()
    known = {"format": FORMAT, "settings": settings.model_copy(update={"enabled": True}).sha256(), "rows": rows, "machine": asdict(machine), "threads": threads}
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
