"""What is published: the table, the curve with every control, the sentence about the turn, and the oracle."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.lift.courtroom import make_cohort
from benchmarks.lift.curve import draw_curve, name_plainly, nice_ticks, write_curve
from benchmarks.lift.cuts import make_cuts
from benchmarks.lift.oracle import choose, hold_back, lend, move
from benchmarks.lift.pictures import Pictures
from benchmarks.lift.publishing import conclude, price, publish
from benchmarks.lift.study import Study
from benchmarks.lift.turning import describe_turn, fit_lines
from validation.lift.judgement import CONTROLS


def an_estimate(value: float, width: float = 0.04) -> dict[str, float]:
    """Return a value with its interval."""
    return {"value": value, "low": value - width / 2, "high": value + width / 2}


def a_row(label: str = "df", arm: str = "free", lesions: int = 10, steps: int | None = 100, lift: float = -0.05, **changes: Any) -> dict[str, Any]:
    """Return one row as the benchmark makes it."""
    arms = [{"arm": name, "schedule": "mix", "dose": 1.0, "auprc": an_estimate(0.3), "lift": an_estimate(lift), "is_judged": False} for name in CONTROLS]
    arms.append({"arm": "accepted", "schedule": "mix", "dose": 1.0, "auprc": an_estimate(0.3), "lift": an_estimate(0), "is_judged": True})
    word = "accept" if lift > 0.02 else "reject" if lift < -0.01 else "inconclusive"
    row = {"name": f"{label}-{arm}", "label": label, "arm": arm, "lesions": lesions, "base_steps": steps, "verdict": word, "reason": "Because."}
    row |= {"auprc": an_estimate(0.3), "best_control": "smote", "lift": an_estimate(lift), "lift_real": an_estimate(lift), "dose": "mix 1x", "arms": arms}
    row |= {"source_auc": an_estimate(0.7), "near_copies": 0.0, "network": "net", "spent_s": 60.0, "spent_images": 1000, "images_seen": 1000 * (steps or 0)}
    return row | changes


def a_cohort(rare_groups: int = 40) -> tuple[Pictures, Study]:
    """Return images of two classes, two of each rare patient, and a study of them."""
    labels = np.array(["nv"] * 50 + ["df"] * 2 * rare_groups)
    groups = np.array([f"n{row}" for row in range(50)] + [f"d{row // 2}" for row in range(2 * rare_groups)])
    ids = np.array([f"{row:03d}" for row in range(len(labels))])
    pictures = Pictures(ids, labels, groups, {}, np.zeros((len(labels), 8, 8), np.uint8), np.arange(len(labels)))
    return pictures, Study(Path(), Path(), Path(), ("df",), lesions=(4,), val_groups=6, draws=2, most_samples=15)


def test_images_of_the_oracle_leave_test_and_are_on_one_side_only() -> None:
    """Half of the test patients at most, 2.5 times those in train at most; of what is not handed in nothing comes back into test."""
    pictures, study = a_cohort()
    features = np.arange(len(pictures.ids), dtype=np.float32)[:, None]
    for cut in make_cuts(pictures, study):
        case = hold_back(pictures, cut, features, study)
        lent = set(pictures.groups[case.batch.features[:, 0].astype(int)].tolist())
        kept = {side: set(pictures.groups[case.cut.split == side].tolist()) for side in ("train", "val", "test")}
        assert len(lent) == 8
        assert len(case.batch.labels) == 15
        assert not any(lent & groups for groups in kept.values())
        assert len({group for group in kept["test"] if group.startswith("d")}) == 20
        assert (cut.split[case.batch.features[:, 0].astype(int)] == "test").all()
        cohort = make_cohort(pictures, features, (np.zeros((0, 0), np.float32), np.zeros(0, np.int64)), case.cut)
        assert not lent & set(cohort.patients.tolist())


def test_the_oracle_is_left_out_where_too_few_patients_could_be_lent() -> None:
    """19 rare groups leave nine for test, of which it would get four."""
    pictures, study = a_cohort(19)
    assert [lend(pictures, cut, study) for cut in make_cuts(pictures, study)] == [{}, {}]


def test_moved_images_stand_around_the_rare_mean_and_come_from_common_train_images() -> None:
    """Every one is a common train image plus the difference of the two means."""
    pictures, study = a_cohort()
    features = (pictures.labels == "df").astype(np.float32)[:, None] * 1000 + np.arange(len(pictures.ids), dtype=np.float32)[:, None]
    for cut in make_cuts(pictures, study):
        case = move(pictures, cut, features, study)
        train = {label: features[(pictures.labels == label) & (cut.split == "train"), 0] for label in ("nv", "df")}
        origins = np.rint(case.batch.features[:, 0] - train["df"].mean() + train["nv"].mean())
        assert set(case.batch.labels) == {"df"}
        assert len(origins) == 5 * len(train["df"])
        assert set(origins.tolist()) <= set(train["nv"].tolist())


def test_chosen_images_are_unchanged_parents_and_the_readers_take_those_that_look_like_the_class() -> None:
    """Half of the common images look like the rare class here; only these are accepted, but for the readers' errors, and all know their parent."""
    pictures, study = a_cohort()
    study = replace(study, candidates=50, most_samples=200, reader_error=0.0)
    looks = (pictures.labels == "df") | (np.arange(len(pictures.ids)) % 2 == 0)
    features = np.random.default_rng(0).normal(size=(len(looks), 4)).astype(np.float32)
    features[:, 0] += 40 * looks
    for cut in make_cuts(pictures, study):
        batch = choose(pictures, cut, features, study).batch
        parents = batch.parents.astype(int)
        assert len(batch.labels) == 200
        assert np.array_equal(batch.features, features[parents])
        assert set(pictures.labels[parents]) == {"nv"}
        assert set(cut.split[parents]) == {"train"}
        assert batch.accepted.any()
        assert looks[parents[batch.accepted]].all()


def test_every_control_is_in_table_and_curve_of_every_class(tmp_path: Path) -> None:
    """With intervals, source, near-copies and compute."""
    rows = [a_row(label, arm, steps=steps, lift=lift) for label in ("df", "vasc") for arm in ("free", "edits") for steps, lift in ((100, -0.05), (200, -0.02))]
    verdict = publish([*rows, a_row(arm="oracle", steps=None, lift=0.1)], ["9 rows left out"], tmp_path, "Lift")
    found = list(csv.DictReader(io.StringIO((tmp_path / "curve.csv").read_text())))
    for label in ("df", "vasc"):
        own = [line for line in found if (line["label"], line["arm"], line["base_steps"]) == (label, "free", "200")]
        assert [line["control"] for line in own] == list(CONTROLS)
        assert all(line["lift"] and line["low"] and line["high"] and line["compute_cpu_min"] and line["source_auc"] and line["near_copies"] for line in own)
    table = (tmp_path / "table.md").read_text()
    assert table.count("smote (best control)") == 9
    assert "| df | free | 10 | 100 | logit_adjusted | mix 1x | 0.300 [0.280, 0.320] | -0.050 [-0.070, -0.030] |" in table
    assert verdict in table
    assert "9 rows left out" in table
    assert {row["label"] for row in json.loads((tmp_path / "table.json").read_text())} == {"df", "vasc"}


def test_the_verdict_says_what_the_oracle_says_of_the_court() -> None:
    """No lift, and no power, are two things."""
    lost, blind = a_row(), a_row(arm="oracle", steps=None, lift=0.0)
    assert conclude([lost]).startswith("**Verdict: reject.**")
    assert "nobody knows" in conclude([lost])
    assert "none was shown says little" in conclude([lost, blind])
    assert "nothing to gain" in conclude([lost, blind | {"verdict": "reject", "reason": "No useful lift is possible: 0."}])
    assert "could see a lift" in conclude([lost, a_row(arm="oracle", steps=None, lift=0.1)])
    assert conclude([lost, a_row(lift=0.0)]).startswith("**Verdict: inconclusive.**")
    assert conclude([lost, a_row(lift=0.1)]).startswith("**Verdict: accept** for df, free, n = 10, base of 100 steps (+0.100 [+0.080, +0.120] over smote).")


def test_an_accepted_row_is_weighed_against_the_choice_of_the_readers_alone() -> None:
    """Not judged, as good, and clearly less."""
    won = a_row(lift=0.1)
    assert "--arms chosen" in conclude([won])
    assert "the lift of df, free, n = 10, base of 100 steps may be theirs" in conclude([won, a_row(arm="chosen", steps=None, lift=0.09)])
    assert "theirs" not in conclude([won, a_row(arm="chosen", steps=None, lift=0.0)])
    assert "chosen" not in conclude([a_row()])


def test_compute_has_one_price_whatever_the_load_was() -> None:
    """Twice the images is twice the compute, though the second row was trained on busy cores."""
    first, second = price([a_row(steps=100, spent_s=10.0), a_row(steps=200, spent_s=90.0)])
    assert second["compute_cpu_min"] == pytest.approx(2 * first["compute_cpu_min"], rel=0.01)
    assert first["compute_cpu_min"] == pytest.approx(100_000 * 100 / 2000 / 60, rel=0.01)


def test_a_line_through_three_points_says_where_it_would_turn() -> None:
    """The worked value of `fit_lines`, and the words for too few points, a flat line and a rising one."""
    slopes, crossings = fit_lines([1, 10, 100], [an_estimate(value) for value in (-0.2, -0.1, 0.0)])
    assert slopes[0] == pytest.approx(0.1)
    assert crossings[0] == pytest.approx(2)
    rising = [a_row(lift=value) | {"compute_cpu_min": minutes} for value, minutes in ((-0.3, 1.0), (-0.2, 10.0), (-0.1, 100.0))]
    flat = [a_row(lift=value) | {"compute_cpu_min": minutes} for value, minutes in ((-0.2, 1.0), (-0.21, 10.0), (-0.2, 100.0))]
    assert "would cross 0 at 1,000 [" in describe_turn(rising)
    assert "not shown to rise: the curve suggests no compute" in describe_turn(flat)
    assert describe_turn(rising[:2]).startswith("2 points of compute with images to judge, fewer than 3: the curve suggests no compute")
    assert describe_turn([row | {"reason": "No image passed the screens."} for row in rising]).startswith("0 points")
    assert "within what was run" in describe_turn([row | {"lift": an_estimate(row["lift"]["value"] + 0.25)} for row in rising])


@pytest.mark.parametrize("classes", [1, 6])
def test_a_picture_has_a_panel_for_each_class_and_room_for_its_legend(classes: int) -> None:
    """Long names and unknown lifts, too."""
    labels = [f"a class with a rather long name, number {number}" for number in range(classes)]
    rows = [a_row(label, lesions=lesions) | {"compute_cpu_min": 3.0} for label in labels for lesions in (10, 20)]
    rows[0] |= {"lift": {"value": None, "low": None, "high": None}, "compute_cpu_min": None}
    picture = Image.open(io.BytesIO(draw_curve(rows)))
    assert picture.size == (760, 220 * classes + 64)
    assert len(write_curve(rows).splitlines()) == 1 + 12 * classes


def test_a_class_is_written_in_letters_that_the_font_has() -> None:
    """The worked value of `name_plainly`; the table keeps the name as it is."""
    assert name_plainly("mélanome") == "melanome"
    assert name_plainly("a class with a rather long name") == "a class with a rather l..."


def test_ticks_are_round_and_hold_zero() -> None:
    """The worked value of `nice_ticks`."""
    assert nice_ticks(-0.05, 0.12) == [-0.05, 0, 0.05, 0.1]
