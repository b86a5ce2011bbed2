"""Tests of curation.curate and curation.overrides, on a project with stored images."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from curation.curate import curate
from curation.errors import UsageError
from curation.ledger import read_ledger, verify_ledger
from curation.manifest import read_manifest, write_manifest
from curation.project import Project
from curation.recipe import GapSettings, SplitSettings
from curation.records import to_frame
from tests.builders import a_manifest, a_project, a_synthetic_record


def run(project: Project) -> dict[str, dict[str, object]]:
    """Curate and return the rows by image_id."""
    curate(project, SplitSettings(), GapSettings())
    return {row["image_id"]: row for row in read_manifest(project.manifest).iter_rows(named=True)}


def override(project: Project, *lines: str) -> None:
    """Write records/overrides.csv."""
    (project.records / "overrides.csv").write_text("\n".join(["image_id,column,value,who,why", *lines]) + "\n")


def test_curating_splits_every_image_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """The manifest's bytes stay as they are."""
    project = a_project(tmp_path, a_manifest(30))
    report = curate(project, SplitSettings(), GapSettings())
    content = project.manifest.read_bytes()
    assert sum(report.splits.values()) == report.rows == 30
    assert report.groups == 15
    again = curate(project, SplitSettings(), GapSettings())
    assert report.changed
    assert not again.changed
    assert project.manifest.read_bytes() == content
    assert pl.read_parquet(project.workspace / "gaps.parquet").height == 3


def test_verdicts_are_applied_by_the_function_that_the_flows_hand_in(tmp_path: Path) -> None:
    """This room does not know the readers."""
    project = a_project(tmp_path)
    report = curate(project, SplitSettings(), GapSettings(), lambda rows: rows.with_columns(verdict=pl.lit("confirmed")))
    assert report.changed
    assert read_manifest(project.manifest)["verdict"].to_list() == ["confirmed"] * 12


def test_a_person_wins_over_machine_and_verdict_and_the_ledger_says_so_once(tmp_path: Path) -> None:
    """A label and a split; the patient's other image moves along."""
    project = a_project(tmp_path)
    image, patient = read_manifest(project.manifest).select("image_id", "patient_id").row(0)
    override(project, f"{image},label,melanoma,dr-a,seen in histology", f"{image},split,holdout,dr-a,kept for the audit")
    rows = run(project)
    assert (rows[image]["label"], rows[image]["label_source"]) == ("melanoma", "expert")
    assert {row["split"] for row in rows.values() if row["patient_id"] == patient} == {"holdout"}
    run(project)
    decisions = list(read_ledger(project.ledger))
    assert [(line["action"], line["who"], line["new"]) for line in decisions] == [
        ("overridden", "dr-a", {"label": "melanoma"}),
        ("overridden", "dr-a", {"split": "holdout"}),
    ]
    assert verify_ledger(project.ledger) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ID,patient_id,x,a,b", ":2: column must be label or split"),
        ("ID,split,left,a,b", ":2: a split is one of"),
        ("short,label,x,a,b", ":2: image_id must be"),
        ("ID,label,x,,b", ":2: who and why"),
        ("ID,label,x", ":2: 3 fields"),
        ("ID,label,x,a,that is MRN 4711123", ":2: value and why go into the ledger for good"),
        ("ID,label,x,a,born 11.3.1957", ":2: value and why go into the ledger for good"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, line: str, reason: str) -> None:
    """And nothing is changed."""
    project = a_project(tmp_path)
    before = project.manifest.read_bytes()
    image = read_manifest(project.manifest)["image_id"][0]
    override(project, line.replace("ID", image))
    with pytest.raises(UsageError, match=reason):
        run(project)
    assert project.manifest.read_bytes() == before
    assert not list(read_ledger(project.ledger))


def test_a_synthetic_image_cannot_be_moved_by_hand(tmp_path: Path) -> None:
    """It is train, or it is rejected."""
    synthetic = a_synthetic_record()
    project = a_project(tmp_path, pl.concat([a_manifest(4), to_frame([synthetic])]).sort("image_id"))
    override(project, f"{synthetic.image_id},split,test,dr-a,looks real")
    with pytest.raises(UsageError, match=":2: a synthetic image"):
        run(project)


def test_two_lines_that_pull_a_group_apart_are_refused(tmp_path: Path) -> None:
    """Both line numbers are named."""
    project = a_project(tmp_path)
    first, second = read_manifest(project.manifest).sort("patient_id")["image_id"].head(2)
    override(project, f"{first},split,train,dr-a,x", f"{second},split,test,dr-a,y")
    with pytest.raises(UsageError, match=":3: line 2"):
        run(project)


def test_a_deleted_workspace_gets_sides_and_synthetic_images_back_from_the_release(tmp_path: Path) -> None:
    """What was released is not decided anew."""
    project = a_project(tmp_path, a_manifest(30))
    sides = {image: row["split"] for image, row in run(project).items()}
    other = {"train": "val", "val": "test", "test": "train"}
    released = read_manifest(project.manifest).with_columns(pl.col("split").replace(other))
    write_manifest(pl.concat([released, to_frame([a_synthetic_record(verdict="accepted")])]), project.data / "manifest.parquet")
    working = read_manifest(project.manifest).with_columns(split=pl.lit(None, pl.String))
    write_manifest(working, project.manifest)
    rows = run(project)
    assert {image: row["split"] for image, row in rows.items() if row["origin"] == "acquired"} == {i: other[str(s)] for i, s in sides.items()}
    assert [row["verdict"] for row in rows.values() if row["origin"] == "synthetic"] == ["accepted"]
