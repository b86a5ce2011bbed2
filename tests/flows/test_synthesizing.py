"""`curaloop synthesize --plan`: what it shows, keeps, and stops at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.settings import DatasetSettings, Settings
from flows.showing import show_plan
from flows.stages import Work
from flows.synthesizing import run_plan
from synthesis.planning.fingerprint import DataFingerprint, Machine
from synthesis.planning.plan import Choice, Plan
from synthesis.recipe import GeneratorSettings, PlanSettings
from tests.synthesis.builders import a_phantom_project, tiny_synthesis


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
        peak_gb=1.4,
    )


def test_a_plan_is_shown_with_reasons_costs_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """What will be trained, why, how long it takes, and what to expect of it."""
    show_plan(a_plan())
    printed = capsys.readouterr().out
    for text in ("melanoma", "61", "cpu-64", "9.10 s with 2 threads", "58.7 min of training", "1.4 GiB", "! a demonstration", "1,600 steps"):
        assert text in printed, text


def test_too_little_data_is_shown_instead_of_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """No costs of something that would not be trained."""
    show_plan(a_plan("too little data: 4 train patients of melanoma"))
    printed = capsys.readouterr().out
    assert "Nothing would be trained" in printed
    assert "too little data: 4 train patients" in printed
    assert "Costs" not in printed


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
