"""Builders of released versions and of features with known classes, for tests of adaptation."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl

from adaptation.encoders import Features
from curation.manifest import write_manifest
from curation.project import Project
from curation.versions import track_and_tag
from tests.builders import LABELS, a_manifest, a_project, store_images

CLASSES = ("keratosis", "melanoma", "nevus")


def split_rows(n: int = 48, start: int = 0) -> pl.DataFrame:
    """Return `n` labelled rows, two a patient; of every ten rounds of the three labels six go to train, two each to val and test."""
    rows = a_manifest(n, start=start).with_columns(group_id=pl.col("patient_id"))
    sides = ("train", "test", "train", "val", "train", "train", "test", "train", "val", "train")
    number = {patient: place for place, patient in enumerate(_patients(n, start))}
    split = [sides[(number[patient] // len(LABELS)) % len(sides)] for patient in rows["patient_id"]]
    return rows.with_columns(split=pl.Series(split))


def _patients(n: int, start: int) -> list[str]:
    """Return the pseudonyms of `a_manifest`'s patients in the order in which it numbers them."""
    return [hashlib.sha256(f"patient {number // 2}".encode()).hexdigest()[:20] for number in range(start, start + n, 2)]


def a_released_project(tmp_path: Path, rows: pl.DataFrame) -> Project:
    """Return a project whose `data-v1` holds `rows` and their images."""
    project = a_project(tmp_path, rows.head(1))
    release(project, rows, "data-v1")
    return project


def release(project: Project, rows: pl.DataFrame, version: str) -> None:
    """Lay `rows` with images into data/ and track them as `version`, as a release does."""
    stored = store_images(project, rows)
    project.released_shards.mkdir(parents=True, exist_ok=True)
    for shard in stored["shard"].unique():
        (project.released_shards / shard).write_bytes((project.working_shards / shard).read_bytes())
    write_manifest(stored, project.data / "manifest.parquet")
    sha256 = hashlib.sha256((project.data / "manifest.parquet").read_bytes()).hexdigest()
    (project.data / "release.json").write_text(json.dumps({"version": version, "files": {"manifest.parquet": sha256}}))
    track_and_tag(project, version, f"Release {version}")


def features_of(rows: pl.DataFrame, dimension: int = 8, noise: float = 0.5, seed: int = 0) -> Features:
    """Return `(N, dimension)` features: the label's own direction plus noise; a row without label has noise only."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, noise, (rows.height, dimension)).astype(np.float32)
    for place, label in enumerate(rows["label"]):
        if label is not None:
            features[place, CLASSES.index(label)] += 1
    return features
