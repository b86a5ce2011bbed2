"""Replay: an image from its row, bit by bit, or a sentence that says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from curation.errors import UsageError
from curation.manifest import read_manifest, write_manifest
from curation.pixels import decode, hash_pixels, read_png_mark
from curation.project import Project
from synthesis.candidates import DRAWN_WITH
from synthesis.replay import replay
from synthesis.synthesize import synthesize
from tests.synthesis.builders import a_gap_table, a_phantom_project, embed_phantoms, tiny_generator, tiny_synthesis


def a_drawn_project(tmp_path: Path) -> tuple[Project, pl.DataFrame]:
    """Return a project with candidates of one sex, and their rows."""
    project = a_phantom_project(tmp_path, sex="F")
    settings = tiny_synthesis(generator=tiny_generator(conditions=("sex",)))
    gaps = a_gap_table(missing=3).with_columns(sex=pl.lit("F"))
    report = synthesize(project, settings, gaps, embed_phantoms)
    assert report.requested_conditions == ("3 x disc, sex F",)
    return project, read_manifest(project.manifest).filter(pl.col("origin") == "synthetic")


def change(project: Project, image_id: str, **values: object) -> None:
    """Change one row of the working manifest."""
    rows = read_manifest(project.manifest)
    hit = pl.col("image_id") == image_id
    write_manifest(
        rows.with_columns(pl.when(hit).then(pl.lit(value)).otherwise(name).cast(rows[name].dtype).alias(name) for name, value in values.items()),
        project.manifest,
    )


def test_a_row_is_enough_to_make_its_image_again(tmp_path: Path) -> None:
    """The second of three, which was drawn together with the others, comes out the same alone; it was made for a cell and stands in it."""
    project, made = a_drawn_project(tmp_path)
    assert set(made["sex"]) == {"F"}
    row = made.row(1, named=True)
    assert json.loads(row["condition"])[DRAWN_WITH]["threads"] == "1"
    report = replay(project, row["image_id"])
    content = (project.root / report.picture).read_bytes()
    assert hash_pixels(decode(content, ".png")) == row["pixels_sha256"]
    assert read_png_mark(content)["Curaloop-Synthetic"] == "YES"
    assert (report.seed, report.label, report.threads) == (row["seed"], "disc", 1)


def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    """No such image; another seed in the row; another torch; a generator that is gone."""
    project, made = a_drawn_project(tmp_path)
    image_id = made["image_id"][0]
    with pytest.raises(UsageError, match=r"no synthetic image of .* has this image_id; \d+ are there, the first is [0-9a-f]{32}"):
        replay(project, "0" * 32)
    change(project, image_id, seed=1234)
    with pytest.raises(UsageError, match="the generator, the row or its parent was changed"):
        replay(project, image_id)
    asked = json.loads(made["condition"][0])
    asked[DRAWN_WITH]["torch"] = "1.0"
    change(project, image_id, condition=json.dumps(asked))
    with pytest.raises(UsageError, match=r"torch 1\.0 then"):
        replay(project, image_id)
    shutil.rmtree(next(project.models.glob("generator-*")))
    with pytest.raises(UsageError, match="generators are not versioned"):
        replay(project, image_id)
