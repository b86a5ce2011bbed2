"""The court as the command line calls it."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import typer

from curation.errors import UsageError
from flows import stages
from flows.commands.lift import tell_proof
from flows.lifting import needs_court, run_foresight, run_lift
from flows.showing_lift import show_foresight, show_lift
from flows.stages import open_work
from tests.builders import LABELS
from tests.flows.builders import a_sourced_project
from tests.validation.lift.cohorts import a_planted_cohort, few_trainings
from validation.lift.holding import LiftReport, TaskOutcome
from validation.lift.judgement import Estimate
from validation.lift.judging import judge
from validation.lift.proof import Proof, Run, rate_errors
from validation.lift.rulings import read_rulings

LITTLE = '\n[gaps]\ntarget = 1.0\n\n[synthesis]\ntask = "colour-2d"\n\n[lift]\ndoses = [1.0]\nschedules = ["mix"]\nseeds = 1\nsteps = 50\ndraws = 100\n'


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


@pytest.mark.parametrize(
    ("wrong", "said", "ends"), [(1, "proven", nullcontext()), (2, "not proven", pytest.raises(typer.Exit, check=lambda e: e.exit_code == 1))]
)
@pytest.mark.parametrize("as_json", [True, False])
def test_a_court_that_is_wrong_too_often_ends_with_one(
    capsys: pytest.CaptureFixture[str], wrong: int, said: str, ends: AbstractContextManager[object], as_json: bool
) -> None:
    """One wrong verdict of 20 is let pass, two are not; both are told."""
    runs = tuple(Run("cannot help", "images", n, "accept" if n < wrong else "reject", n < wrong, Estimate(0.0), Estimate(0.5), "") for n in range(20))
    proof = Proof((rate_errors(runs),), runs, {}, 1.0)
    with ends:
        tell_proof(proof, as_json)
    shown = capsys.readouterr().out
    assert f'"is_proven": {str(wrong == 1).lower()}' in shown if as_json else f"{said}: wrong in" in shown


def test_what_real_images_would_bring_is_asked_before_anything_is_generated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a project that only curated: both batches for the class with a gap, shown, kept, and no verdict in the ledger."""
    project = a_sourced_project(tmp_path, patients=72)
    table = tmp_path / "source" / "table.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if f",{LABELS[1]}," not in line or line[-1] in "12345") + "\n")
    project.recipe_path.write_text(project.recipe_path.read_text() + LITTLE)
    work = open_work(project.root)
    stages.run_ingest(work)
    with pytest.raises(UsageError, match="curaloop curate"):
        run_foresight(work)
    stages.run_curate(work)
    found = run_foresight(work)
    assert [part.kind for part in found.found] == ["real", "moved"]
    (label,) = found.test_patients
    assert label == LABELS[1]
    show_foresight(found)
    shown = capsys.readouterr().out
    assert f"{label}: " in shown
    assert "real images of other patients" in shown
    (kept,) = (path for path in project.runs.iterdir() if path.name.endswith("-foresight.json"))
    assert json.loads(kept.read_text())["report"]["test_patients"] == found.test_patients
    assert not read_rulings(project.ledger)
