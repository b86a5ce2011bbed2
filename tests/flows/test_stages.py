"""The stages as the command line calls them, on a small source."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from curation.errors import LockedError, UsageError
from curation.manifest import read_manifest, write_manifest
from flows import stages
from flows.stages import open_work
from tests.flows.builders import a_sourced_project


def test_the_loop_makes_a_version_and_the_second_turn_does_not(tmp_path: Path) -> None:
    """Raw images become a tagged version; unchanged sources make no new one and cost little."""
    work = open_work(a_sourced_project(tmp_path).root)
    began = time.process_time()
    first = stages.run_loop(work)
    cost = time.process_time() - began
    assert (first.ingest.found, first.ingest.kept, first.release.version) == (48, 48, "data-v1")
    assert "curaloop up" in first.review_note
    assert "curaloop finetune data-v1" in first.announced
    began = time.process_time()
    second = stages.run_loop(work)
    assert second.release.version is None
    assert second.ingest.new_images == 0
    assert time.process_time() - began < cost
    reports = [path.stem.split("-", 1)[1] for path in work.project.runs.glob("*.json")]
    assert [reports.count(stage) for stage in ("ingest", "curate", "release", "run")] == [2, 2, 2, 2]


def test_what_a_model_thinks_makes_no_version(tmp_path: Path) -> None:
    """Otherwise release, fine-tuning and review push would chase each other every night."""
    work = open_work(a_sourced_project(tmp_path, patients=12).root)
    for stage in (stages.run_ingest, stages.run_curate, stages.run_release):
        stage(work)
    judged = read_manifest(work.project.manifest).with_columns(
        uncertainty=pl.lit(0.5), label_issue_score=pl.lit(0.9), route=pl.lit("uncertain"), route_reason=pl.lit("the model is unsure")
    )
    write_manifest(judged, work.project.manifest)
    assert stages.run_release(work).version is None


def test_a_report_says_when_and_by_which_recipe(tmp_path: Path) -> None:
    """Every stage leaves its typed report."""
    work = open_work(a_sourced_project(tmp_path, patients=6).root)
    stages.run_ingest(work)
    [path] = work.project.runs.glob("*-ingest.json")
    report = json.loads(path.read_text())
    assert report["stage"] == "ingest"
    assert report["recipe_sha256"] == stages.recipe_sha256(work.settings)
    assert report["report"]["kept"] == 12


def test_stages_before_ingest_say_what_to_run_first(tmp_path: Path) -> None:
    """Wrong order is wrong use, not a crash."""
    work = open_work(a_sourced_project(tmp_path, patients=6).root)
    for stage in (stages.run_curate, stages.run_gaps):
        with pytest.raises(UsageError, match="curaloop ingest"):
            stage(work)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer is refused; a stage inside the loop uses the loop's lock."""
    work = open_work(a_sourced_project(tmp_path, patients=6).root)
    with work.project.writing("another"):
        with pytest.raises(LockedError, match="another"):
            stages.run_ingest(work)
        assert stages.run_ingest(replace(work, locked=True)).kept == 12
