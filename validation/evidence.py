"""The tables behind every number on the card and in the report; they lie in `data/evidence/` and are part of the version.

Counts, codes and sentences only: no path, no name, no free text of a reader.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import polars as pl

from curation.modalities import with_task
from curation.project import Project
from synthesis.training_set import read_training_rows
from validation.checks import CheckResult
from validation.invariants import TrainingRows
from validation.review.verdicts import read_verdicts, standing_answers

INTAKE_SCHEMA = {"source": pl.String, "outcome": pl.String, "code": pl.String, "reason": pl.String, "files": pl.Int64}
SCREENED = {"feature_distance": "memorization", "feature_threshold": "memorization", "pixel_distance": "memorization", "pixel_threshold": "memorization"}
SCREENED |= {"power": "memorization", "power_class": "memorization", "probability": "class_agreement", "least": "class_agreement"}
CANDIDATE_COLUMNS = ("task", "label", "generator", "seed", "image_id", "nearest", "screens", "verdict")
CANDIDATES_SCHEMA = {name: pl.Int64 if name == "seed" else pl.String for name in CANDIDATE_COLUMNS} | dict.fromkeys(SCREENED, pl.Float64)


def collect_evidence(project: Project, rows: pl.DataFrame, checks: tuple[CheckResult, ...], training: TrainingRows) -> dict[str, bytes]:
    """Return the evidence files of a release by name.

    Args:
        project: its intake, working manifest and verdicts are counted.
        rows: the rows of the release.
        checks: the results that opened the gate.
        training: what the generators on record saw; those behind `rows` are kept with the version.
    """
    behind = set(rows["training_manifest_sha256"].drop_nulls())
    files = {
        "checks.json": _json([asdict(check) for check in checks]),
        "intake.csv": count_intake(project).write_csv().encode(),
        "review.json": _json(summarize_review(project)),
        "candidates.csv": list_candidates(project).write_csv().encode(),
    }
    records = {sha: {"training_manifest_sha256": sha, "image_ids": sorted(ids)} for sha, ids in sorted(training.items()) if sha in behind}
    return files | {f"training-{sha}.json": _json(record) for sha, record in records.items()}


def read_training(project: Project) -> TrainingRows:
    """Return what every generator on record was trained on: from the models in the workspace and from the evidence of the current version."""
    kept = [json.loads(path.read_text()) for path in sorted((project.data / "evidence").glob("training-*.json"))]
    return {record["training_manifest_sha256"]: frozenset(record["image_ids"]) for record in kept} | read_training_rows(project)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def count_intake(project: Project) -> pl.DataFrame:
    """Return files by source, outcome, code and reason, with no path; a UID that a reason names stays in quarantine."""
    if not project.intake.exists():
        return pl.DataFrame(schema=INTAKE_SCHEMA)
    keys = ["source", "outcome", "code", "reason"]
    told = pl.read_parquet(project.intake).with_columns(pl.col("reason").str.replace_all(r"\d+(?:\.\d+){3,}", "(a UID)"))
    counted = told.group_by(keys).agg(files=pl.len().cast(pl.Int64)).sort(keys, nulls_last=True)
    return counted.cast(INTAKE_SCHEMA)  # type: ignore[arg-type]


def list_candidates(project: Project) -> pl.DataFrame:
    """Return every synthetic image that was drawn so far, with what its screens measured and what became of it.

    `label` is the class that it was drawn for, `nearest` the train image that it is most like, `screens` those that it failed, `verdict` that of
    the experts; an image that failed a screen was shown to nobody. A candidate that is no near-copy, and was stopped because the screen for those is too
    weak for its class or of unknown power, failed `power`.
    """
    from curation.manifest import read_manifest

    made = with_task(read_manifest(project.manifest).filter(pl.col("origin") == "synthetic"))
    found, screens = pl.col("screens").str.json_path_match, ("memorization", "class_agreement", "shortcut", "reward")
    near_copy = pl.when(found("$.memorization.is_near_copy") == "false").then(pl.lit("power")).otherwise(pl.lit("memorization"))
    failed = [pl.when(found(f"$.{name}.passed") == "false").then({"memorization": near_copy}.get(name, pl.lit(name))) for name in screens]
    table = made.with_columns(
        label=pl.coalesce(pl.col("condition").str.json_path_match("$.label"), "label"),
        generator=pl.col("generator_sha256").str.slice(0, 12),
        nearest=found("$.memorization.nearest"),
        verdict=pl.when(pl.col("readers").is_not_null()).then("verdict"),
        **{name: found(f"$.{screen}.{name}").cast(pl.Float64) for name, screen in SCREENED.items()},
    ).with_columns(screens=pl.concat_str(failed, separator=" ", ignore_nulls=True))
    return table.select(*CANDIDATES_SCHEMA).cast(CANDIDATES_SCHEMA).sort("task", "label", "image_id")  # type: ignore[arg-type]


def summarize_review(project: Project) -> dict[str, Any]:
    """Return what the readers said so far: verdicts by task and origin, agreement, reasons of rejection, numbers of annotations and readers.

    Each reader's newest answer on an image counts, as it does for the verdicts; changed and withdrawn ones do not.
    """
    from curation.manifest import read_manifest

    facts = standing_answers(read_verdicts(project))
    judged = with_task(read_manifest(project.manifest).filter(pl.col("verdict").is_not_null() & pl.col("readers").is_not_null()))
    keys = ["task", "origin", "label", "verdict"]
    table = judged.group_by(keys).agg(images=pl.len(), agreement=pl.col("agreement").mean().round(4)).sort(keys, nulls_last=True)
    return {
        "annotations": len(facts),
        "readers": len({fact.get("reader") for fact in facts}),
        "verdicts": table.to_dicts(),
        "reasons": dict(sorted(Counter(reason for fact in facts for reason in fact.get("reasons") or ()).items())),
    }
