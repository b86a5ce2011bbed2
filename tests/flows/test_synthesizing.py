"""`curaloop synthesize --plan`: what it shows, keeps, and stops at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.errors import UsageError
from flows.settings import DatasetSettings, Settings
from flows.showing_synthesis import show_plan, show_synthesis
from flows.stages import Work
from flows.synthesizing import run_asked_synthesis, run_plan
from synthesis.planning.fingerprint import DataFingerprint, Machine
from synthesis.planning.plan import Choice, Plan
from synthesis.recipe import GeneratorSettings, PlanSettings
from synthesis.screening import ScreenPower
from synthesis.screens.memorization import Power
from synthesis.screens.rates import Rate
from synthesis.synthesize import SynthesisReport
from tests.synthesis.builders import a_phantom_project, tiny_generator, tiny_synthesis


def a_plan(stop: str = "") -> Plan:
    """Return a plan as it would be made on two cores."""
    data = DataFingerprint("colour-2d", {"naevus": 1200, "melanoma": 70}, {"naevus": 900, "melanoma": 61}, 450, 3)
    choices = (Choice("preset", "cpu-64", "2 cores and no GPU"), Choice("threads", "1", "a step takes 9.10 s with 2 threads and 2.20 s with one"))
    return Plan(
        stop,
        "cpu-64",
        data,
        Machine("x86_64", 2, 16.0),
        GeneratorSettings(size_px=64, steps=1600),
        choices=choices,
        warnings=("a demonstration",),
        minutes_training=58.7,
        minutes_sampling=1.2,
        minutes_screening=8.4,
        peak_gb=1.4,
    )


def test_a_plan_is_shown_with_reasons_costs_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """What will be trained, why, how long it takes, and what to expect of it."""
    show_plan(a_plan())
    printed = capsys.readouterr().out
    for text in (
        "melanoma",
        "61",
        "cpu-64",
        "9.10 s with 2 threads",
        "58.7 min of training",
        "8.4 min of screens",
        "1.4 GiB",
        "! a demonstration",
        "1,600 steps",
    ):
        assert text in printed, text


def test_too_little_data_is_shown_instead_of_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """No costs of something that would not be trained."""
    show_plan(a_plan("too little data: 4 train patients of melanoma"))
    printed = capsys.readouterr().out
    assert "Nothing would be trained" in printed
    assert "too little data: 4 train patients" in printed
    assert "Costs" not in printed


def a_round(**changes: Any) -> SynthesisReport:
    """Return a round that drew 24 images of a class, all of which were stopped because they do not show it."""
    screens = ScreenPower(
        memorization=(Power("melanoma", 20, Rate(19, 20, 0.95, 0.76, 0.99), {}, None, 1.0),),
        agreement_by_condition={"label=melanoma": Rate(0, 24, 0.0, 0.0, 0.14)},
    )
    stopped = {"memorization": 2, "class_agreement": 24}
    known = {"generator_sha256": "9" * 64, "classes": {"melanoma": 70}, "requested": {"melanoma": 24}, "sampled": 24, "rejected": stopped, "screens": screens}
    return SynthesisReport(**known | {"steps": 300, "first_step": 100, "sample_grid": "workspace/models/g/samples-0.png"} | changes)


def test_a_round_without_survivors_says_why_and_what_to_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends nobody to the experts, who would find nothing."""
    monkeypatch.setenv("COLUMNS", "200")
    show_synthesis(a_round(warnings=("the autoencoder keeps less",)))
    printed = capsys.readouterr().out
    for text in (
        "24 drawn, 0 passed",
        "from step 100 to 300",
        "0 of 24",
        "95% (76%–99%)",
        "class agreement 24",
        "samples-0.png",
        "train longer",
        "! the autoencoder keeps less",
    ):
        assert text in printed, text
    assert "review push" not in printed


def test_a_round_with_survivors_sends_them_to_the_experts(capsys: pytest.CaptureFixture[str]) -> None:
    """And one that drew nothing says why."""
    show_synthesis(a_round(passed=3, new_candidates=3, first_step=300))
    printed = capsys.readouterr().out
    assert "was trained before" in printed
    assert "next: curaloop review push" in printed
    show_synthesis(SynthesisReport(skipped="no cell of colour-2d asks for synthesis"))
    assert "nothing drawn: no cell of colour-2d asks for synthesis" in capsys.readouterr().out


@pytest.mark.parametrize("command", [run_plan, run_asked_synthesis])
def test_a_task_without_images_is_told_with_those_that_there_are(tmp_path: Path, command: Callable[[Work], Any]) -> None:
    """A misspelled task would else look like a project that lacks nothing."""
    settings = Settings(dataset=DatasetSettings(name="phantoms"), synthesis=tiny_synthesis(task="color-2d"))
    with pytest.raises(UsageError, match=r"synthesis\.task is 'color-2d'.*colour-2d \(\d+ images\)"):
        command(Work(a_phantom_project(tmp_path), settings))


def test_an_engine_that_makes_other_images_is_told_before_it_is_planned(tmp_path: Path) -> None:
    """Minutes of a training that would never begin are of no use."""
    synthesis = tiny_synthesis(generator=tiny_generator(engine="volume"))
    with pytest.raises(UsageError, match=r"engine is 'volume', which makes volumes only, and synthesis\.task is 'colour-2d'"):
        run_plan(Work(a_phantom_project(tmp_path), Settings(dataset=DatasetSettings(name="phantoms"), synthesis=synthesis)))


def test_planning_leaves_a_report_and_trains_nothing(tmp_path: Path) -> None:
    """The plan is on record with its whole recipe; there is no generator."""
    project = a_phantom_project(tmp_path)
    settings = Settings(dataset=DatasetSettings(name="phantoms"), synthesis=tiny_synthesis(plan=PlanSettings(least_class_patients=50)))
    plan = run_plan(Work(project, settings))
    assert "4 train patients of disc; 50 would be enough" in plan.stop
    [path] = project.runs.glob("*-plan.json")
    kept = json.loads(path.read_text())["report"]
    assert kept["stop"] == plan.stop
    assert kept["generator"]["steps"] == 8
    assert not list(project.models.glob("generator-*"))


def test_what_is_drawn_follows_the_plan_whether_or_not_the_loop_draws(tmp_path: Path) -> None:
    """`curaloop synthesize` turns synthesis on for itself; the plan that was shown before holds all the same, and nothing is timed again."""
    project = a_phantom_project(tmp_path)
    synthesis = tiny_synthesis(enabled=False, plan=PlanSettings(preset="cpu-32", least_class_patients=50))
    settings = Settings(dataset=DatasetSettings(name="phantoms"), synthesis=synthesis)
    run_plan(Work(project, settings))
    assert "50 would be enough" in run_asked_synthesis(Work(project, settings)).skipped
    run_plan(Work(project, settings.model_copy(update={"synthesis": synthesis.model_copy(update={"enabled": True})})))
    assert len(list(project.models.glob("plan-*.json"))) == 1
