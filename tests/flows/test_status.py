"""`curaloop status`: counts from the project's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.manifest import write_manifest
from curation.records import to_frame
from flows.stages import open_work, run_ingest
from flows.status import LabelCount, count_labels, read_last_report, read_status, show_status
from tests.builders import a_record, a_synthetic_record, an_id
from tests.flows.builders import a_sourced_project


def test_counts_are_by_task_label_and_split() -> None:
    """Synthetic images are counted apart, whatever their split."""
    rows = [a_record(image_id=an_id(number), split=split) for number, split in enumerate(("train", "train", "test", None))]
    table = to_frame([*rows, a_synthetic_record(image_id=an_id(9), label="nevus"), a_record(image_id=an_id(10), label=None, label_source=None, split="val")])
    assert count_labels(table) == (LabelCount("colour-2d", "nevus", 2, 0, 1, 1, 1), LabelCount("colour-2d", None, 0, 1, 0, 0, 0))


def test_a_project_tells_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the first command to the verdicts."""
    work = open_work(a_sourced_project(tmp_path, patients=3).root)
    assert read_status(work).advice == "curaloop run"
    run_ingest(work)
    status = read_status(work)
    assert (status.images, status.version, status.advice, status.quarantined) == (6, None, "curaloop curate", {})
    assert list(status.last_runs) == ["ingest"]
    show_status(status)
    shown = capsys.readouterr().out
    assert "Test Cohort" in shown
    assert "next: curaloop curate" in shown


def test_candidates_that_wait_are_counted(tmp_path: Path) -> None:
    """Until a verdict is there; a first version can wait for them."""
    work = open_work(a_sourced_project(tmp_path, patients=3).root)
    waiting, accepted = a_synthetic_record(image_id=an_id(1)), a_synthetic_record(image_id=an_id(2), verdict="accepted")
    write_manifest(to_frame([waiting, accepted, a_record(image_id=an_id(3))]), work.project.manifest)
    status = read_status(work)
    assert (status.images, status.candidates, status.accepted) == (1, 1, 1)
    assert status.advice.startswith("1 candidates wait for the experts: curaloop review push")


def test_accepted_images_are_sent_to_the_court(tmp_path: Path) -> None:
    """A release would leave them out without a word of the court."""
    work = open_work(a_sourced_project(tmp_path, patients=3).root)
    write_manifest(to_frame([a_synthetic_record(image_id=an_id(2), verdict="accepted"), a_record(image_id=an_id(3))]), work.project.manifest)
    assert "has not judged 1 synthetic images" in read_status(work).advice
    write_manifest(to_frame([a_synthetic_record(image_id=an_id(2), verdict="rejected"), a_record(image_id=an_id(3))]), work.project.manifest)
    assert read_status(work).advice == "curaloop release"


def test_the_newest_report_of_a_stage_is_found(tmp_path: Path) -> None:
    """By its name, which begins with the time."""
    work = open_work(a_sourced_project(tmp_path, patients=3).root)
    assert read_last_report(work.project.runs, "ingest") is None
    run_ingest(work)
    run_ingest(work)
    report = read_last_report(work.project.runs, "ingest")
    assert report is not None
    assert report["report"]["new_images"] == 0
