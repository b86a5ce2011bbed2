"""Builders: records, manifests and whole projects with a known content, for tests of every room."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curation.git import commit_files
from curation.manifest import write_manifest
from curation.pixels import Pixels, encode_png, hash_pixels
from curation.project import Project
from curation.records import SCHEMA, ImageRecord, to_frame
from curation.shards import write_shards
from curation.versions import init_dvc

LABELS = ("nevus", "melanoma", "keratosis")


def an_id(number: int | str) -> str:
    """Return a well-formed image_id, different for every number."""
    return hashlib.sha256(f"image {number}".encode()).hexdigest()[:32]


def a_record(**changes: Any) -> ImageRecord:
    """Return a labelled colour image of one patient; `changes` replaces columns."""
    image_id = changes.get("image_id", an_id(0))
    defaults: dict[str, Any] = {
        "image_id": image_id,
        "patient_id": hashlib.sha256(b"patient 0").hexdigest()[:20],
        "source": "clinic",
        "modality": "XC",
        "site": "north",
        "age_years": 52.0,
        "sex": "F",
        "ndim": 2,
        "rows": 32,
        "columns": 32,
        "channels": 3,
        "dtype": "uint8",
        "value_unit": "8-bit",
        "recipe_sha256": hashlib.sha256(b"recipe").hexdigest(),
        "pixels_sha256": hashlib.sha256(f"pixels of {image_id}".encode()).hexdigest(),
        "suffix": ".png",
        "label": "nevus",
        "label_source": "source",
    }
    return ImageRecord(**{**defaults, **changes})


def a_synthetic_record(**changes: Any) -> ImageRecord:
    """Return a synthetic candidate with its provenance; nobody has judged it yet."""
    image_id = changes.get("image_id", an_id("synthetic 0"))
    defaults: dict[str, Any] = {
        "image_id": image_id,
        "patient_id": "synthetic",
        "group_id": f"synthetic-{image_id}",
        "source": "synthesis",
        "site": None,
        "age_years": None,
        "sex": None,
        "label": "melanoma",
        "label_source": "condition",
        "split": "train",
        "origin": "synthetic",
        "generator_sha256": hashlib.sha256(b"generator").hexdigest(),
        "training_manifest_sha256": hashlib.sha256(b"training rows").hexdigest(),
        "condition": '{"label": "melanoma"}',
        "seed": 0,
        "guidance_scale": 2.0,
        "steps": 20,
        "screens": "{}",
    }
    return a_record(**{**defaults, **changes})


def a_manifest(n: int, images_per_patient: int = 2, labels: tuple[str | None, ...] = LABELS, start: int = 0, **changes: Any) -> pl.DataFrame:
    """Return `n` acquired rows, not yet curated and not stored.

    Patients have `images_per_patient` images each; the patients take turns with the labels. `start` is the number of the first image,
    so that a second manifest can go on where the first one ended.
    """
    records = []
    for number in range(start, start + n):
        patient = number // images_per_patient
        own = {
            "image_id": an_id(number),
            "patient_id": hashlib.sha256(f"patient {patient}".encode()).hexdigest()[:20],
            "label": labels[patient % len(labels)],
            "label_source": "source" if labels[patient % len(labels)] else None,
            "site": ("north", "south")[patient % 2],
        }
        records.append(a_record(**{**own, **changes}))
    return to_frame(records)


def pixels_of(image_id: str, label: str | None = None, size_px: int = 32) -> Pixels:
    """Return the `(size_px, size_px, 3)` uint8 image of a row: noise that is the same for the same id, brighter for later labels."""
    noise = np.random.default_rng(int(image_id[:8], 16)).integers(0, 120, (size_px, size_px, 3))
    level = 40 * LABELS.index(label) if label in LABELS else 20
    return np.asarray(noise + level, dtype=np.uint8)


def store_images(project: Project, rows: pl.DataFrame) -> pl.DataFrame:
    """Store an image for every row in the project's working shards and return the rows with place, size and hash of their pixels."""
    images = {row["image_id"]: pixels_of(row["image_id"], row["label"], row["columns"]) for row in rows.iter_rows(named=True)}
    places = write_shards(((f"{image_id}.png", encode_png(pixels)) for image_id, pixels in images.items()), project.working_shards)
    stored = [
        row | places[f"{row['image_id']}.png"]._asdict() | {"pixels_sha256": hash_pixels(images[row["image_id"]], row["spacing_mm"])}
        for row in rows.iter_rows(named=True)
    ]
    return pl.DataFrame(stored, schema=SCHEMA)


def a_key(path: Path) -> Path:
    """Write the key of every test, so that a test splits its patients alike in every run; return its path."""
    path.write_text("0123456789abcdef" * 4)
    path.chmod(0o600)
    return path


def a_project(tmp_path: Path, rows: pl.DataFrame | None = None) -> Project:
    """Return a project: git and DVC repository with a local-folder remote, a key outside of it, and stored images.

    Args:
        tmp_path: an empty folder; the project is `project`, the remote `remote`, the key `key` in it.
        rows: rows of the working manifest; default: 12 images of 6 patients. Their images are made and stored.
    """
    project = Project(tmp_path / "project")
    project.root.mkdir()
    os.environ["CURALOOP_KEY_FILE"] = str(a_key(tmp_path / "key"))
    project.recipe_path.write_text('[dataset]\nname = "test cohort"\n')
    (project.root / ".gitignore").write_text("/workspace/\n")
    init_dvc(project.root, str(tmp_path / "remote"))
    project.records.mkdir()
    project.ledger.touch()
    commit_files(project, [".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "curaloop.toml", "records"], "Begin the project")
    rows = a_manifest(12) if rows is None else rows
    write_manifest(store_images(project, rows), project.manifest)
    return project
