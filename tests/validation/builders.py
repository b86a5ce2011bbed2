"""Builders of curated projects that are ready for a release, with real pixels, synthetic images, issued tasks and answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from curation.manifest import read_manifest, write_manifest
from curation.pixels import encode_png, hash_pixels
from curation.project import Project
from curation.records import SCHEMA, to_frame
from curation.shards import write_shards
from synthesis.candidates import MARK
from tests.builders import a_manifest, a_project, a_synthetic_record, an_id, pixels_of
from validation.lift.judgement import Estimate, Judgement, Verdict, Word
from validation.lift.rulings import record_judgement
from validation.recipe import ReleaseSettings
from validation.release import ReleaseReport, release
from validation.review.issued import IssuedTask, append_lines, issued_path

META = {"name": "test cohort", "description": "phantoms", "licence": "none"}
TRAINING = hashlib.sha256(b"training rows").hexdigest()
SIDES = ("train", "train", "train", "val", "train", "test")


def digest(text: str) -> str:
    """Return 64 hex digits for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def a_cohort(size: int = 24, start: int = 0) -> pl.DataFrame:
    """Return curated acquired rows, with sides and a place, without files behind them."""
    rows = a_manifest(size, start=start)
    return rows.with_columns(
        split=_sides_of_patients(rows),
        group_id=pl.col("patient_id"),
        shard=pl.lit(f"{digest('shard')}.tar"),
        offset=pl.lit(512, pl.Int64),
        size_bytes=pl.lit(400, pl.Int64),
    )


def _sides_of_patients(rows: pl.DataFrame) -> pl.Series:
    patients = {patient: SIDES[number % len(SIDES)] for number, patient in enumerate(sorted(set(rows["patient_id"])))}
    return pl.Series([patients[patient] for patient in rows["patient_id"]])


def a_ready_project(tmp_path: Path, synthetic: int = 0, size: int = 24) -> Project:
    """Return a project that has everything a release needs: curated rows, intake, and accepted synthetic images with what stands behind them."""
    project = a_project(tmp_path, a_cohort(size))
    account(project)
    if synthetic:
        add_synthetic(project, synthetic)
    return project


def account(project: Project) -> None:
    """Write an intake table in which every acquired row comes from one kept file, beside one skipped and one quarantined file."""
    ids = read_manifest(project.manifest).filter(pl.col("origin") == "acquired")["image_id"].to_list()
    kept = [{"outcome": "kept", "code": None, "reason": None, "image_ids": [image_id]} for image_id in ids]
    others = [
        {"outcome": "skipped", "code": "NOT_AN_IMAGE", "reason": "the file is no image", "image_ids": []},
        {"outcome": "quarantined", "code": "TRUNCATED", "reason": "the pixel data ends early", "image_ids": []},
        {"outcome": "duplicate", "code": "SAME_IMAGE", "reason": "an equal image was kept", "image_ids": [ids[0]]},
    ]
    schema = {"outcome": pl.String, "code": pl.String, "reason": pl.String, "image_ids": pl.List(pl.String)}
    table = pl.DataFrame(kept + others, schema=schema).with_columns(source=pl.lit("clinic"))
    project.workspace.mkdir(exist_ok=True)
    table.write_parquet(project.intake)


def add_synthetic(project: Project, count: int, **changes: Any) -> list[str]:
    """Add accepted synthetic images with mark, screens, generator record, issued task and answer; return their ids."""
    rows, files, records = read_manifest(project.manifest), {}, []
    for number in range(count):
        pixels = pixels_of(an_id(f"synthetic {number}"), "melanoma")
        image_id = hash_pixels(pixels)[:32]
        files[f"{image_id}.png"] = encode_png(pixels, {MARK: "YES", "seed": str(number)})
        screens = {
            "memorization": {"passed": True, "feature_distance": 0.41, "power_class": 0.95},
            "class_agreement": {"passed": True, "probability": 0.83, "least": 0.2},
        }
        judged = {"verdict": "accepted", "readers": 1, "agreement": 1.0, "reviewed_at": "2026-11-21T10:00:00Z"}
        own = {"image_id": image_id, "pixels_sha256": hash_pixels(pixels), "seed": number, "screens": json.dumps(screens), "training_manifest_sha256": TRAINING}
        records.append(a_synthetic_record(**{**own, **judged, **changes}))
    places = write_shards(files.items(), project.working_shards)
    placed = [record.model_copy(update=places[f"{record.image_id}.png"]._asdict()) for record in records]
    write_manifest(pl.concat([rows, to_frame(placed)]), project.manifest)
    learn_from(project, rows.filter(pl.col("split") == "train")["image_id"].to_list())
    for number, record in enumerate(placed):
        issue(project, record.image_id)
        answer(project, record.image_id, number, label="melanoma")
    rule(project, [record.image_id for record in placed])
    return [record.image_id for record in placed]


def rule(project: Project, image_ids: list[str], word: Word = "accept", label: str = "melanoma") -> None:
    """Put a verdict of the lift court about these images on record."""
    lift = Estimate(0.06, 0.02, 0.1)
    verdicts = [Verdict(name, word, "as the test says", "accepted", "mix", 1.0, len(image_ids), "duplicated", lift, Estimate(0.6)) for name in (label, None)]
    record_judgement(project.ledger, "colour-2d", Judgement(tuple(verdicts), (), (), (), 1, 1, (), {}, 0.1), digest("inputs"), {label: image_ids})


def learn_from(project: Project, image_ids: list[str]) -> None:
    """Put on record which rows the generator was trained on."""
    folder = project.models / "generator-colour-2d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training_rows.json").write_text(json.dumps({"training_manifest_sha256": TRAINING, "image_ids": image_ids}))


def issue(project: Project, image_id: str) -> None:
    """Put a task for the image on record as issued."""
    task = IssuedTask(
        f"case-{image_id[:8]}", image_id, digest("picture"), digest("questions"), ("nevus", "melanoma"), None, "synthetic", "/x.png", "2026-11-21T09:00:00Z"
    )
    append_lines(issued_path(project), [vars(task) | {"choices": list(task.choices), "signature": digest("signature")}])


def answer(project: Project, image_id: str, number: int, label: str, **changes: Any) -> None:
    """Put a reader's answer on record."""
    fact = {
        "annotation_id": number,
        "updated_at": "2026-11-21T10:00:00Z",
        "case_id": f"case-{image_id[:8]}",
        "image_id": image_id,
        "reader": digest("reader")[:20],
        "label": label,
        "label_issued": None,
        "usable": True,
        "reasons": [],
        "seconds": 4.0,
        "cancelled": False,
        "pulled_at": "2026-11-21T10:01:00+00:00",
    }
    append_lines(project.verdicts, [fact | changes])


def make_release(project: Project, **settings: Any) -> ReleaseReport:
    """Release the project with the test's recipe."""
    return release(project, ReleaseSettings(**settings), digest("recipe"), META, "0" * 40)


def change(project: Project, column: str, value: Any, where: pl.Expr) -> None:
    """Set one column of some rows of the working manifest."""
    rows = read_manifest(project.manifest)
    changed = rows.with_columns(pl.when(where).then(pl.lit(value)).otherwise(pl.col(column)).cast(SCHEMA[column]).alias(column))
    write_manifest(changed, project.manifest)
