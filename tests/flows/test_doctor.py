"""`curaloop doctor`: what it finds, on a machine that is in order and on planted faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.project import Project, create_key
from flows.doctor import Finding, default_remote, examine
from flows.init_project import init_project


def state_of(findings: tuple[Finding, ...], name: str) -> str:
    """Return the state of one finding."""
    return next(finding.state for finding in findings if finding.name == name)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A new project."""
    return Project(init_project(tmp_path / "set").root)


def test_a_new_project_on_this_machine_is_in_order(project: Project) -> None:
    """No problem; the missing source is a note."""
    findings = examine(project.root)
    assert [finding for finding in findings if finding.state == "problem"] == []
    assert state_of(findings, "sources") == "note"
    assert all(finding.remedy for finding in findings if finding.state != "ok")


def test_outside_a_project_only_the_machine_is_examined(tmp_path: Path) -> None:
    """It says how to make a project."""
    create_key()
    assert state_of(examine(tmp_path), "project") == "note"


def test_a_key_that_others_can_read_is_a_problem(project: Project, key_file: Path) -> None:
    """Whoever reads the key can undo the pseudonyms."""
    key_file.chmod(0o644)
    assert state_of(examine(project.root), "key") == "problem"


def test_a_source_that_is_not_there_is_a_problem(project: Project) -> None:
    """Before a night's run fails on it."""
    with project.recipe_path.open("a") as recipe:
        recipe.write('\n[[source]]\nname = "archive"\nkind = "dicom"\npath = "nowhere"\n')
    assert state_of(examine(project.root), "sources") == "problem"


def test_a_wrong_recipe_is_a_problem(project: Project) -> None:
    """With key and line in the remedy."""
    project.recipe_path.write_text("[dataset]\nnmae = 'x'\n")
    [finding] = [finding for finding in examine(project.root) if finding.name == "recipe"]
    assert "dataset.name" in finding.remedy or "dataset.nmae" in finding.remedy


def test_secrets_in_the_committed_dvc_configuration_are_a_problem(project: Project) -> None:
    """They would be in the git history of every clone."""
    with (project.root / ".dvc" / "config").open("a") as config:
        config.write("    secret_access_key = abc\n")
    assert state_of(examine(project.root), "DVC secrets") == "problem"


def test_the_remote_is_found_as_dvc_finds_it(project: Project) -> None:
    """The local configuration wins."""
    assert default_remote(project) == "../../set-remote"
    (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = s3://bucket\n")
    assert default_remote(project) == "s3://bucket"


def test_telemetry_that_was_turned_on_is_a_problem(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing about patients' images leaves the machine unasked."""
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    assert state_of(examine(project.root), "telemetry") == "problem"
