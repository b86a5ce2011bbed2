"""Fine-tuning on real DVC versions: exactly once, resumable, features reused."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from adaptation.finetune import finetune, latest_uncertainty, list_models, read_metrics
from adaptation.recipe import FinetuneSettings
from curation.errors import UsageError
from curation.project import Project
from tests.adaptation.builders import a_released_project, release, split_rows

SETTINGS = FinetuneSettings(bootstrap=100, least_train_images=2, batch_size=4)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with `data-v1` of 24 images, not yet trained on."""
    return a_released_project(tmp_path_factory.mktemp("loop"), split_rows(24))


def test_two_starts_at_once_train_once(project: Project) -> None:
    """Two threads race; one trains, the other waits and returns the same results."""
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: finetune(project, None, SETTINGS), range(2)))
    assert sorted(report.reused for report in reports) == [False, True]
    assert reports[0].tasks == reports[1].tasks
    assert len(list_models(project)) == 1


def test_the_folder_holds_what_the_report_says(project: Project) -> None:
    """metrics.json names version, recipe, encoder and manifest; the tables have every image."""
    report = finetune(project, "data-v1", SETTINGS)
    metrics = read_metrics(Path(report.folder))
    assert metrics["version"] == "data-v1"
    assert metrics["recipe_sha256"] == SETTINGS.sha256()
    assert metrics["manifest_sha256"] == json.loads((project.data / "release.json").read_text())["files"]["manifest.parquet"]
    assert metrics["encoder"]["dimension"] == 1280
    assert metrics["tasks"]["colour-2d"]["macro"]["auprc"][0] > 0.5
    rows = split_rows(24)
    assert set(latest_uncertainty(project)["image_id"]) == set(rows["image_id"])
    predictions = pl.read_parquet(Path(report.folder) / "predictions.parquet")
    assert predictions.filter(split="test").height == metrics["tasks"]["colour-2d"]["test"]["images"] == rows.filter(split="test").height
    assert report.train_images == rows.filter(split="train").height


def test_another_recipe_trains_again_but_embeds_nothing(project: Project) -> None:
    """Features are found by encoder and pixels."""
    first = finetune(project, "data-v1", SETTINGS)
    second = finetune(project, "data-v1", SETTINGS.model_copy(update={"seed": 1}))
    assert (first.embedded, first.reused_features) == (24, 0)
    assert (second.reused, second.embedded, second.reused_features) == (False, 0, 24)


def test_a_killed_training_starts_again_and_keeps_its_features(project: Project) -> None:
    """SIGKILL right after the features are written: no metrics.json, and the next call embeds nothing."""
    settings = SETTINGS.model_copy(update={"seed": 2, "batch_size": 4})
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom adaptation.finetune import finetune\nfrom adaptation.recipe import FinetuneSettings\n"
        "from curation.project import Project\n"
        "def kill(done, total, what):\n    if what.startswith('training'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "finetune(Project(Path(sys.argv[1])), 'data-v1', FinetuneSettings.model_validate_json(sys.argv[2]), kill)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(project.root), settings.model_dump_json()], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()
    folder = project.models / f"data-v1-{settings.sha256()[:12]}"
    assert folder.exists()
    assert not (folder / "metrics.json").exists()
    assert finetune(project, "data-v1", settings).embedded == 0
    assert (folder / "metrics.json").exists()


def test_a_new_version_embeds_only_what_is_new(project: Project) -> None:
    """12 more images: 12 go through the encoder, and the newest model's uncertainties are the ones that count."""
    finetune(project, "data-v1", SETTINGS)
    release(project, split_rows(36), "data-v2")
    report = finetune(project, None, SETTINGS)
    assert (report.version, report.embedded, report.reused_features) == ("data-v2", 12, 24)
    assert latest_uncertainty(project).height == 36


def test_a_version_that_is_none_is_refused(project: Project) -> None:
    """No folder is left behind."""
    before = sorted(project.models.iterdir())
    with pytest.raises(UsageError):
        finetune(project, "data-v99", SETTINGS)
    assert sorted(project.models.iterdir()) == before


def test_a_version_in_which_nothing_can_be_modelled_says_so(tmp_path: Path) -> None:
    """One class only: a finished model without tasks and the reason."""
    project = a_released_project(tmp_path, split_rows(6).with_columns(label=pl.lit("nevus")))
    report = finetune(project, None, SETTINGS)
    assert (report.tasks, report.test_patients, report.embedded) == ({}, 0, 0)
    assert "fewer than two classes" in read_metrics(Path(report.folder))["tasks_not_modelled"]["colour-2d"]["reason"]
    assert latest_uncertainty(project).height == 0
    assert finetune(project, None, SETTINGS).reused


def test_combat_leaves_a_task_of_one_site_as_it_was(tmp_path: Path) -> None:
    """Asked for, impossible, told; a column that is not there is wrong use."""
    project = a_released_project(tmp_path, split_rows(24).with_columns(site=pl.lit("north")))
    plain = finetune(project, None, SETTINGS)
    asked = finetune(project, None, SETTINGS.model_copy(update={"combat": "site"}))
    assert asked.tasks == plain.tasks
    assert "as they were: ComBat needs two sites" in " ".join(read_metrics(Path(asked.folder))["tasks"]["colour-2d"]["notes"])
    with pytest.raises(UsageError, match="no column 'shoe'"):
        finetune(project, None, SETTINGS.model_copy(update={"combat": "site", "combat_preserve": ("shoe",)}))
