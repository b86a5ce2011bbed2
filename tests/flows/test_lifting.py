"""The court as the command line calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.errors import UsageError
from flows import stages
from flows.lifting import needs_court, run_lift
from flows.showing_lift import show_lift
from flows.stages import open_work
from tests.flows.builders import a_sourced_project
from tests.validation.lift.cohorts import a_planted_cohort, few_trainings
from validation.lift.holding import LiftReport, TaskOutcome
from validation.lift.judging import judge


def test_the_court_says_what_to_run_first(tmp_path: Path) -> None:
    """Without a manifest, without a split, without synthetic images."""
    work = open_work(a_sourced_project(tmp_path, patients=6).root)
    with pytest.raises(UsageError, match="curaloop ingest"):
        run_lift(work)
    stages.run_ingest(work)
    with pytest.raises(UsageError, match="curaloop curate"):
        run_lift(work)
    stages.run_curate(work)
    assert "curaloop synthesize" in run_lift(work).skipped
    assert not needs_court(work)


def test_every_arm_and_every_verdict_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """In words, with intervals and notes; a task that could not be judged says why."""
    plain = judge(*a_planted_cohort("shortcut"), few_trainings()).to_json()
    show_lift(LiftReport((TaskOutcome("colour-2d", plain), TaskOutcome("xray-2d", None, skipped="val is empty"))))
    shown = capsys.readouterr().out
    assert "reject" in shown
    assert "Shortcut" in shown
    assert "logit adjusted" in shown
    assert "xray-2d: not judged: val is empty" in shown
    assert "Classical augmentation was not given" in shown
