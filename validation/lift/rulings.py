"""Verdicts of the court on record: one line of the ledger a class, with the images that may be used; who may enter a release, and the check.

The newest line about a class counts. An image that no line names was never judged: new candidates, or more than the dose that was found best.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from curation.ledger import append_decision, read_ledger
from curation.modalities import with_task
from curation.project import Project
from validation.checks import CheckResult, conclude
from validation.lift.judgement import Judgement, Verdict, Word
from validation.recipe import LiftSettings

ACTION = "judged"
EVIDENCE = "lift.json"
"""Evidence of a release: what the recipe demanded of the court, and what stayed out."""
FOLDER = "lift"
"""In the workspace: whole judgements, one file a task and batch."""
NEVER_JUDGED = "the court never judged it: run `curaloop lift`"
GONE = "images that the verdict names are gone or no longer accepted, so it is not about these: run `curaloop lift` again"


@dataclass(frozen=True)
class Ruling:
    """The newest verdict on one class of one task.

    Attributes:
        word: of the court.
        why: its reason.
        inputs: hash of what was judged.
        image_ids: images that the verdict is about, as many as the dose takes.
    """

    word: Word
    why: str
    inputs: str
    image_ids: frozenset[str]


Rulings = Mapping[tuple[str, str | None], Ruling]
"""By task and class; None: overall."""


def record_judgement(ledger: Path, task: str, judgement: Judgement, inputs: str, released: Mapping[str, Sequence[str]]) -> None:
    """Write every verdict into the ledger.

    Args:
        ledger: of the project.
        task: that was judged.
        judgement: of the court.
        inputs: hash of what was judged.
        released: ids of the images of each class that may be released at most.
    """
    for verdict in judgement.verdicts:
        images = sorted(released.get(verdict.label or "", ()))[: verdict.images]
        new = {"task": task, "label": verdict.label, "inputs": inputs, "image_ids": images, **_facts(verdict)}
        append_decision(ledger, ACTION, what=f"synthetic images of {task}: {verdict.label or 'overall'}", why=verdict.reason, new=new)


def _facts(verdict: Verdict) -> dict[str, object]:
    """Return the numbers of a verdict that stay for good."""
    kept = {"word", "arm", "schedule", "dose", "best_control", "lift", "source_auc"}
    return {name: value for name, value in asdict(verdict).items() if name in kept}


def read_rulings(ledger: Path, until: str | None = None) -> dict[tuple[str, str | None], Ruling]:
    """Return the newest verdict on each class.

    Args:
        ledger: of the project.
        until: hash of the last line that counts; None: all do.
    """
    found: dict[tuple[str, str | None], Ruling] = {}
    for line in read_ledger(ledger):
        if line["action"] == ACTION:
            new = line["new"]
            found[new["task"], new["label"]] = Ruling(new["word"], line["why"], new["inputs"], frozenset(new["image_ids"]))
        if until is not None and line["hash"] == until:
            break
    return found


def admit(rows: pl.DataFrame, rulings: Rulings, settings: LiftSettings) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the rows that may enter a release, and how many synthetic images stay out for which reason."""
    refused = find_refused(rows, rulings, settings)
    return rows.filter(~pl.col("image_id").is_in(list(refused))), dict(sorted(Counter(refused.values()).items()))


def find_refused(rows: pl.DataFrame, rulings: Rulings, settings: LiftSettings) -> dict[str, str]:
    """Return the synthetic images that the court does not let into a release, each with one sentence why."""
    if not settings.required:
        return {}
    made = with_task(rows.filter(pl.col("origin") == "synthetic")).select("image_id", "task", made_for())
    present = frozenset(made["image_id"])
    refused = {}
    for image_id, task, label in made.iter_rows():
        if reason := _why_not(image_id, rulings.get((task, label)), present, settings):
            refused[image_id] = f"{task}, {label}: {reason}"
    return refused


def made_for() -> pl.Expr:
    """Return the class that a synthetic image was made for, whatever was said of it later."""
    return pl.coalesce(pl.col("condition").str.json_path_match("$.label"), "label").alias("label")


def _why_not(image_id: str, ruling: Ruling | None, present: frozenset[str], settings: LiftSettings) -> str:
    """Return why an image stays out, or nothing."""
    if ruling is None:
        return NEVER_JUDGED
    if ruling.word == "reject":
        return f"rejected by the court: {ruling.why}"
    if ruling.word == "inconclusive" and not settings.release_inconclusive:
        return f"the court could not decide, and the recipe does not let such images in (lift.release_inconclusive): {ruling.why}"
    if image_id not in ruling.image_ids:
        return f"not among the images of the verdict: {NEVER_JUDGED}"
    return "" if ruling.image_ids <= present else GONE


def check_lift(rows: pl.DataFrame, rulings: Rulings, settings: LiftSettings) -> CheckResult:
    """Invariant 5e: every synthetic image of a release won in court, or the recipe lets it in undecided.

    Args:
        rows: all rows of a release.
        rulings: of `read_rulings`.
        settings: what the recipe demanded of this release.
    """
    made = rows.filter(pl.col("origin") == "synthetic")
    failures = [f"synthetic image {image_id} has no winning verdict: {reason}" for image_id, reason in sorted(find_refused(rows, rulings, settings).items())]
    text = "Every synthetic image is named by the newest verdict of the lift court on its class, and that verdict lets it in."
    if not settings.required:
        text = "The recipe does not demand a verdict of the lift court (lift.required)."
    elif settings.release_inconclusive:
        text += " The recipe lets in what the court could not decide, too."
    return conclude("5e synthetic images won in court", text, failures, made.height)


def judgement_path(project: Project, inputs: str) -> Path:
    """Return where a judgement is kept; it is computed again when it is gone."""
    return project.workspace / FOLDER / f"{inputs[:16]}.json"


def lift_evidence(project: Project, rulings: Rulings, settings: LiftSettings, withheld: Mapping[str, int]) -> dict[str, bytes]:
    """Return the evidence files about the court: what was demanded and withheld, and the newest judgement of each task that is still at hand."""
    tasks = {task: judgement_path(project, ruling.inputs) for (task, label), ruling in sorted(rulings.items(), key=str) if label is None}
    demanded = settings.model_dump(mode="json", include={"required", "release_inconclusive"})
    words = [{"task": task, "label": label, "word": ruling.word, "images": len(ruling.image_ids)} for (task, label), ruling in sorted(rulings.items(), key=str)]
    summary = {"settings": demanded, "withheld": dict(withheld), "verdicts": words}
    files = {EVIDENCE: (json.dumps(summary, indent=1, sort_keys=True) + "\n").encode()}
    return files | {f"lift-{task}.json": path.read_bytes() for task, path in tasks.items() if path.exists()}
