"""What a terminal says when there is too little of something."""

from __future__ import annotations

import pytest

from adaptation.finetune import FinetuneReport
from curation.curate import CurateReport
from curation.gaps import find_gaps
from curation.recipe import GapSettings
from flows.showing import show_curate, show_finetune, show_gaps
from tests.builders import a_manifest


def test_sides_of_the_split_without_images_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """One patient cannot be on two sides; with images on all three nothing is said."""
    show_curate(a_report({"train": 12}))
    assert "no image is in val or test: whole patients go to one side" in capsys.readouterr().out
    show_curate(a_report({"train": 8, "val": 2, "test": 2}))
    assert "no image is in" not in capsys.readouterr().out


def test_a_cohort_without_labels_is_not_a_cohort_without_gaps(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody reads that no cell lacks images where there is no cell."""
    show_gaps(find_gaps(a_manifest(3, split="train", label=None, label_source=None), GapSettings()))
    printed = capsys.readouterr().out
    assert "no image has a label" in printed
    assert "no cell lacks images" not in printed


def test_a_training_without_two_classes_says_that_there_is_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    """And where the images are counted."""
    show_finetune(FinetuneReport("data-v1", "/models/data-v1", False, {}, 0, 0, 0, 0, 1.0))
    printed = capsys.readouterr().out
    assert "no model: no task has two classes" in printed
    assert "model in" not in printed


def a_report(splits: dict[str, int]) -> CurateReport:
    """Return what a curation of so many images says."""
    return CurateReport(12, 0, 0, 0, 12, 0, 0, 0, splits, 0, False, 1.0)
