"""Builders of facts and of projects whose pictures a test's Label Studio can serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl

from curation.manifest import write_manifest
from curation.project import Project
from tests.builders import LABELS, a_manifest, a_synthetic_record, an_id, store_images

KEY = b"0123456789abcdef" * 4
CLASSES = {"colour-2d": LABELS}


def a_fact(**changes: Any) -> dict[str, Any]:
    """Return one answer: reader r1 says that image 0, which came as a nevus, is a usable nevus."""
    fact: dict[str, Any] = {
        "annotation_id": 1,
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "case_id": "case",
        "image_id": an_id(0),
        "reader": "r1",
        "label": "nevus",
        "label_issued": "nevus",
        "usable": True,
        "reasons": [],
        "seconds": 4.0,
        "cancelled": False,
        "pulled_at": "2026-01-02T00:00:00+00:00",
    }
    return fact | changes


def a_mixed_manifest() -> pl.DataFrame:
    """Return 20 labelled rows in splits, 4 without a label, 2 with conflicting labels and 4 synthetic candidates."""
    labelled = a_manifest(20, split="train")
    bare = a_manifest(4, labels=(None,), start=20)
    conflicts = a_manifest(2, labels=(None,), start=24, route="label_conflict", route_reason="equal images carry different labels")
    made = [a_synthetic_record(image_id=an_id(f"made {number}"), seed=number).model_dump() for number in range(4)]
    return pl.concat([labelled, bare, conflicts, pl.DataFrame(made, schema=labelled.schema)])


def a_review_project(tmp_path: Path, files_root: Path, rows: pl.DataFrame | None = None) -> Project:
    """Return a project with stored images whose review folder is the one that the test's Label Studio serves.

    Projects of several tests share that folder; their pictures lie in folders by the project's name.
    """
    project = Project(tmp_path / f"project-{os.urandom(4).hex()}")
    project.workspace.mkdir(parents=True)
    project.records.mkdir()
    project.review.symlink_to(files_root, target_is_directory=True)
    write_manifest(store_images(project, a_mixed_manifest() if rows is None else rows), project.manifest)
    return project
