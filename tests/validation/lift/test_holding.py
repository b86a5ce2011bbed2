"""The court in a project: rows and stored images go in, verdicts come out and stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from adaptation.encoders import Encoder
from curation.ledger import read_ledger
from curation.manifest import read_manifest
from curation.progress import silent
from tests.validation.builders import a_ready_project, change, make_release, rule
from tests.validation.lift.cohorts import few_trainings
from validation.lift.augmentation import augment
from validation.lift.gathering import list_cases
from validation.lift.holding import LiftReport, hold_court
from validation.lift.judging import RULES
from validation.lift.rulings import judgement_path, read_rulings

if TYPE_CHECKING:
    import torch

    from curation.project import Project


def an_encoder() -> Encoder:
    """Return a small encoder: the mean colour of each of 16 tiles."""

    def forward(images: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import avg_pool2d

        return avg_pool2d(images, 2).flatten(1)

    return Encoder("tiles", "0" * 64, 48, 8, 16, 1, (127.0, 127.0, 127.0), (64.0, 64.0, 64.0), forward)


def hold(project: Project) -> LiftReport:
    """Hold the court with few trainings."""
    return hold_court(project, read_manifest(project.manifest), few_trainings(doses=(0.1, 1.0)), "tiles", an_encoder, ("horizontal",), ("sex",), silent)


def test_a_project_is_judged_once_and_its_release_keeps_to_the_verdict(tmp_path: Path) -> None:
    """The second call finds the first's judgement; a rejected class stays out, with the reason in report, evidence and ledger."""
    project = a_ready_project(tmp_path, synthetic=6, size=96)
    first = hold(project)
    [outcome] = first.tasks
    assert outcome.judgement is not None
    assert outcome.judgement["verdicts"][-1]["label"] is None
    assert {arm["arm"] for arm in outcome.judgement["arms"]} >= {"augmented", "accepted", "duplicated"}
    lines = len(list(read_ledger(project.ledger)))
    assert hold(project).tasks[0].reused
    assert len(list(read_ledger(project.ledger))) == lines
    ruling = read_rulings(project.ledger)["colour-2d", None]
    assert judgement_path(project, ruling.inputs).exists()

    made = read_manifest(project.manifest).filter(origin="synthetic")["image_id"].to_list()
    rule(project, made, "reject")
    report = make_release(project)
    assert sum(report.withheld.values()) == 6
    assert read_manifest(project.data / "manifest.parquet").filter(origin="synthetic").is_empty()
    assert (project.data / "evidence" / "lift.json").exists()
    released = next(line for line in read_ledger(project.ledger) if line["action"] == "released")
    assert released["new"]["withheld"] == report.withheld


def test_a_case_changes_with_what_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another verdict of an expert, another setting, another encoder or another court: another judgement."""
    project = a_ready_project(tmp_path, synthetic=2, size=24)
    rows = read_manifest(project.manifest)
    settings = few_trainings()
    [case] = list_cases(rows, settings, "tiles", (), ())
    assert case.inputs == list_cases(rows, few_trainings(release_inconclusive=True), "tiles", (), ())[0].inputs
    assert case.inputs != list_cases(rows, few_trainings(steps=50), "tiles", (), ())[0].inputs
    assert case.inputs != list_cases(rows, settings, "other", (), ())[0].inputs
    assert case.inputs != list_cases(rows, settings, "tiles", ("horizontal",), ())[0].inputs
    assert case.inputs != list_cases(rows, settings, "tiles", (), ("age_years",))[0].inputs
    moved = rows.with_columns(group_id=pl.when(pl.col("origin") == "acquired").then(pl.lit("one")).otherwise("group_id"))
    assert case.inputs != list_cases(moved, settings, "tiles", (), ())[0].inputs
    assert [len(ids) for ids in case.releasable().values()] == [2]
    first = case.releasable()["melanoma"][0]
    change(project, "verdict", "rejected", pl.col("image_id") == first)
    [changed] = list_cases(read_manifest(project.manifest), settings, "tiles", (), ())
    assert changed.inputs != case.inputs
    assert first not in changed.releasable()["melanoma"]
    monkeypatch.setattr("validation.lift.gathering.RULES", RULES + 1)
    assert list_cases(read_manifest(project.manifest), settings, "tiles", (), ())[0].inputs != changed.inputs


def test_subgroups_are_those_of_the_gap_table(tmp_path: Path) -> None:
    """Planted fault: each age by itself is no subgroup, a decade is; keys of attributes are columns, too."""
    rows = read_manifest(a_ready_project(tmp_path, synthetic=2, size=24).manifest)
    rows = rows.with_columns(age_years=pl.lit(47.0), attributes=pl.lit('{"skin": "II"}'))
    [case] = list_cases(rows, few_trainings(), "tiles", (), ("age_years", "skin"))
    assert set(case.subgroups) == {"site", "sex", "age_years", "skin"}
    assert set(case.subgroups["age_years"].tolist()) == {"40-49"}
    assert set(case.subgroups["skin"].tolist()) == {"II"}


def test_without_synthetic_images_there_is_nothing_to_judge(tmp_path: Path) -> None:
    """The report says what to do."""
    assert "curaloop synthesize" in hold(a_ready_project(tmp_path)).skipped


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
def test_augmentation_changes_an_image_a_little_and_the_same_way_each_time(shape: tuple[int, ...]) -> None:
    """Shape and dtype stay; one seed, one result; the mean moves little."""
    image = np.random.default_rng(0).integers(60, 200, shape).astype(np.uint8)
    one, two, other = augment(image, 1, ("horizontal",)), augment(image, 1, ("horizontal",)), augment(image, 2, ())
    assert (one.shape, one.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    assert abs(float(one.mean()) - float(image.mean())) < 15
