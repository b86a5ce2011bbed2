"""The report's sections on synthesis and lift: every verdict, arm and dose of the court, and what the screens measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.report.forest import Curve, Mark, Point, Row, curve_chart, forest_chart, nice_end, strip_chart
from flows.report.lift import OVERALL, flatten_arms, flatten_costs, flatten_doses, flatten_verdicts
from flows.report.synthesis import NUMBERS, count_candidates
from flows.report.write_report import write_report
from tests.flows.test_report import read_evidence, read_page_table
from tests.validation.builders import a_ready_project, add_synthetic, make_release
from validation.evidence import CANDIDATES_SCHEMA
from validation.lift.judging import judge
from validation.lift.rulings import judgement_path, record_judgement
from validation.lift.simulation import simulate
from validation.recipe import LiftSettings

SETTINGS = LiftSettings(seeds=1, steps=60, draws=100, doses=(0.5, 1.0), schedules=("mix",))


@pytest.fixture(scope="module")
def judged() -> dict[str, Any]:
    """A judgement on a simulated batch that helps, as a project keeps it."""
    return judge(*simulate("helps", "features", 0), SETTINGS).to_json() | {"task": "colour-2d", "inputs": "0" * 64}


def test_every_verdict_arm_and_dose_of_the_court_is_in_a_table(judged: dict[str, Any]) -> None:
    """Nothing is dropped but classes that only go along; the numbers are the court's."""
    leading = {verdict["label"] for verdict in judged["verdicts"] if not verdict["is_companion"]}
    assert flatten_verdicts([judged]).height == len(leading)
    arms = [arm for arm in judged["arms"] if arm["label"] in leading]
    assert flatten_arms([judged])["lift"].to_list() == [arm["lift"]["value"] for arm in arms]
    assert flatten_doses([judged]).height == sum(point["label"] in leading for point in judged["doses"])
    assert OVERALL in flatten_verdicts([judged])["class"]


def test_harm_and_doubt_are_told_apart(judged: dict[str, Any]) -> None:
    """Harm rejects; a doubt is what the correction for many places hides. Older judgements know no doubt."""
    costs = [{"kind": "class", "name": name, "change": {"value": -0.1, "low": -0.2, "high": -0.01}} for name in ("a", "b", "c")]
    costs = [costs[0] | {"is_harm": True, "is_suspected": True}, costs[1] | {"is_harm": False, "is_suspected": True}, costs[2] | {"is_harm": False}]
    verdicts = [judged["verdicts"][0] | {"costs": costs}]
    assert flatten_costs([judged | {"verdicts": verdicts}])["harm"].to_list() == ["harm", "doubt", ""]


def test_the_page_shows_verdicts_forest_and_dose_curve(tmp_path: Path) -> None:
    """From the judgement that the release carries; the table on the page is the evidence that it cites."""
    project = a_ready_project(tmp_path)
    judgement = judge(*simulate("helps", "features", 0), SETTINGS)
    made = judgement.to_json() | {"task": "colour-2d", "inputs": "0" * 64}
    path = judgement_path(project, "0" * 64)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, sort_keys=True))
    record_judgement(project.ledger, "colour-2d", judgement, "0" * 64, {})
    make_release(project)
    page = write_report(project).read_text()
    assert [row[1] for row in read_page_table(page, "table-verdicts")] == flatten_verdicts([made])["class"].to_list()
    assert read_page_table(page, "table-arms") == read_evidence(project, "data-v1", "lift.csv")
    assert page.count("the synthetic images are better") >= 1
    lifts = [arm["lift"] for arm in made["arms"] if not arm["is_judged"] and arm["lift"]["low"] is not None]
    assert lifts
    assert all(f"{lift['value']:+.3f} ({lift['low']:+.3f} to {lift['high']:+.3f})" in page for lift in lifts)
    assert "on validation" in page


def test_candidates_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    """What was drawn = what a screen stopped + what experts saw; the marks of the chart are the evidence's distances."""
    project = a_ready_project(tmp_path)
    add_synthetic(project, 3)
    make_release(project)
    page = write_report(project).read_text()
    rows = read_page_table(page, "table-candidates")
    assert sum(int(row[2]) for row in rows) == 3
    assert len(read_evidence(project, "data-v1", "candidates.csv")) == 3


def test_a_stopped_candidate_was_shown_to_nobody() -> None:
    """Each screen has its own count: a screen that is too weak to rule copies out has not seen any."""
    row = dict.fromkeys(CANDIDATES_SCHEMA) | {"task": "colour-2d", "label": "disc", "power": 0.9}
    stopped = ["memorization", "power", "power class_agreement", "class_agreement", "shortcut", "reward"]
    found = pl.DataFrame(
        [*(row | {"screens": screens} for screens in stopped), *(row | {"verdict": word} for word in ("accepted", "rejected"))], CANDIDATES_SCHEMA
    )
    counts = count_candidates(found).row(0, named=True)
    assert [counts[name] for name in NUMBERS] == [8, 1, 2, 2, 1, 1, 2, 1, 1, 0.9]


def test_without_a_judgement_the_page_says_what_to_do(tmp_path: Path) -> None:
    """And that nothing synthetic enters without it."""
    project = a_ready_project(tmp_path)
    make_release(project)
    page = write_report(project).read_text()
    assert "The lift court has not judged any synthetic image" in page
    assert "No synthetic image was drawn yet" in page


def test_a_scale_around_zero_holds_its_values() -> None:
    """Ends are 1, 2 or 5 times a power of ten."""
    assert [nice_end(values) for values in ([], [0.03, -0.04], [0.2], [-0.21], [7.0])] == [1e-3, 0.05, 0.2, 0.5, 10.0]


def test_charts_of_differences_escape_their_labels_and_colour_what_is_shown() -> None:
    """Green when the interval is above 0, red when it is below."""
    rows = [Row("<b>up</b>", 0.2, 0.1, 0.3, "a"), Row("down", -0.2, -0.3, -0.1, "b"), Row("open", 0.1, -0.1, 0.3, "c")]
    drawn = forest_chart(rows, ("left", "right"), "t")
    assert "<b>" not in drawn
    assert re.findall(r'class="dot (\w+)"', drawn) == ["yes", "no", "before"]
    curve = curve_chart([Curve("<b>", "now", (Point(0.5, 0.1, 0.0, 0.2), Point(1.0, 0.2, None, None)))], ("dose", "<i>"), "t")
    assert "<b>" not in curve
    assert "<i>" not in curve
    assert curve.count("<circle") == 2
    assert strip_chart([Mark(0.1, "no", "<b>")], 0.2, "t").count("chance") == 1
