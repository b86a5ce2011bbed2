"""A sitting of the court in a project: every task with synthetic images is judged, the verdicts go into the ledger, the evidence is kept.

What was judged already is not judged again: the same images, labels, splits, verdicts, settings and encoder give the same judgement.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from adaptation.encoders import Encoder
from curation.errors import UsageError
from curation.manifest import write_bytes
from curation.progress import Progress
from curation.project import Project
from validation.lift.gathering import Case, gather, list_cases
from validation.lift.judging import judge
from validation.lift.rulings import judgement_path, read_rulings, record_judgement
from validation.recipe import LiftSettings


@dataclass(frozen=True)
class TaskOutcome:
    """What the court did about one task.

    Attributes:
        task: e.g. `colour-2d`.
        judgement: a `Judgement` as plain values; None when there was none.
        reused: it was given before, about the same images.
        skipped: why there is none.
    """

    task: str
    judgement: dict[str, Any] | None
    reused: bool = False
    skipped: str = ""


@dataclass(frozen=True)
class LiftReport:
    """What the court did.

    Attributes:
        tasks: one a task with synthetic images.
        skipped: why there was nothing to judge at all.
    """

    tasks: tuple[TaskOutcome, ...]
    skipped: str = ""


def hold_court(
    project: Project,
    rows: pl.DataFrame,
    settings: LiftSettings,
    encoder_name: str,
    open_encoder: Callable[[], Encoder],
    flips: Sequence[str],
    columns: Sequence[str],
    progress: Progress,
) -> LiftReport:
    """Judge every task that has synthetic images.

    Args:
        project: the caller holds its write lock.
        rows: the working manifest.
        settings: of the court.
        encoder_name: as the recipe says.
        open_encoder: called when something has to be embedded.
        flips: that keep an image plausible, for classical augmentation.
        columns: subgroups of the recipe's gap table.
        progress: told of each step.
    """
    cases = list_cases(rows, settings, encoder_name, flips, columns)
    if not cases:
        return LiftReport((), "there are no synthetic images to judge: run `curaloop synthesize` first")
    rulings = read_rulings(project.ledger)
    outcomes = []
    for case in cases:
        ruling, path = rulings.get((case.task, None)), judgement_path(project, case.inputs)
        if ruling is not None and ruling.inputs == case.inputs and path.exists():
            outcomes.append(TaskOutcome(case.task, json.loads(path.read_text()), reused=True))
            continue
        outcomes.append(_judge_case(project, case, settings, open_encoder(), flips, progress))
    return LiftReport(tuple(outcomes))


def _judge_case(project: Project, case: Case, settings: LiftSettings, encoder: Encoder, flips: Sequence[str], progress: Progress) -> TaskOutcome:
    """Judge one task and put the verdicts on record; what cannot be judged is told, and stays without a verdict."""
    try:
        cohort, batch = gather(project, case, encoder, settings, flips, progress)
        judgement = judge(cohort, batch, settings, progress)
    except UsageError as error:
        return TaskOutcome(case.task, None, skipped=str(error))
    plain = judgement.to_json() | {"task": case.task, "inputs": case.inputs, "encoder": encoder.name}
    plain["notes"] = [*judgement.notes, *_notes(case)]
    write_bytes((json.dumps(plain, indent=1, sort_keys=True) + "\n").encode(), judgement_path(project, case.inputs))
    record_judgement(project.ledger, case.task, judgement, case.inputs, case.releasable())
    return TaskOutcome(case.task, plain)


def _notes(case: Case) -> list[str]:
    """Say when size alone tells synthetic from real."""
    real, made = (_longest_side(rows) for rows in (case.real, case.made))
    if made is None or real is None or made * 1.5 >= real:
        return []
    return [
        f"Synthetic images are {made:.0f} px and real ones {real:.0f} px on their longest side. Both are judged as they are stored and used: "
        "sharpness alone can tell them apart. Generate at the size of the real images before you trust a verdict on the content."
    ]


def _longest_side(rows: pl.DataFrame) -> float | None:
    """Return the median longest side in px."""
    median = rows.select(pl.max_horizontal("rows", "columns").median()).item()
    return None if median is None else float(median)
