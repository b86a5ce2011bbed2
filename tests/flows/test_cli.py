"""The command line: exit codes, one JSON document, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.init_project import init_project
from tests.flows.builders import a_sourced_project

CURALOOP = Path(sys.executable).parent / "curaloop"
HEAVY = ("torch", "prefect", "polars", "pydantic", "dvc", "great_expectations", "pydicom", "numpy", "sklearn", "httpx")


def curaloop(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does; its messages come back in one line, wherever the paths in them made it break."""
    done = subprocess.run([CURALOOP, *map(str, arguments)], capture_output=True, text=True, check=False)
    done.stderr = " ".join(done.stderr.split())
    return done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without sources."""
    return init_project(tmp_path / "set").root


def test_the_command_line_imports_nothing_heavy() -> None:
    """`curaloop --help` answers at once because of this."""
    code = f"import sys, flows.cli; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_help_names_every_command() -> None:
    """The list of the README is the list of the command."""
    shown = curaloop("--help").stdout
    names = "init run ingest curate gaps synthesize review release finetune diff status verify report up down deploy doctor deidentify demo"
    assert [name for name in names.split() if f" {name} " not in shown] == []


def test_status_of_a_new_project_is_done_with_one_json_document(project: Path) -> None:
    """Exit code 0, stdout is JSON and nothing else."""
    answer = curaloop("-C", project, "status", "--json")
    assert answer.returncode == 0
    status = json.loads(answer.stdout)
    assert (status["version"], status["images"], status["services"]["Prefect"]) == (None, 0, "not up")


def test_the_project_is_found_from_below(project: Path) -> None:
    """As git finds its repository."""
    (project / "notes" / "deep").mkdir(parents=True)
    assert json.loads(curaloop("-C", project / "notes" / "deep", "status", "--json").stdout)["root"] == str(project)


@pytest.mark.parametrize("command", [("run",), ("status",), ("gaps",), ("verify",), ("diff", "data-v1", "data-v2")])
def test_errors_are_one_json_document_too(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A script that reads stdout never meets half a document."""
    answer = curaloop("-C", tmp_path, *command, "--json")
    assert answer.returncode == 2
    error = json.loads(answer.stdout)["error"]
    assert error["exit_code"] == 2
    assert "curaloop init" in error["message"]
    assert "curaloop init" in answer.stderr


def test_a_wrong_recipe_is_exit_code_2_with_key_and_line(project: Path) -> None:
    """The message says which key on which line."""
    recipe = project / "curaloop.toml"
    recipe.write_text(recipe.read_text() + "\nbudgit = 3\n")
    answer = curaloop("-C", project, "status")
    line = len(recipe.read_text().splitlines())
    assert answer.returncode == 2
    assert f"curaloop.toml:{line}: services.budgit: no such key" in answer.stderr
    assert answer.stdout == ""


def test_a_wrong_option_is_exit_code_2() -> None:
    """Typer's own refusals have the same code as ours."""
    assert curaloop("status", "--jason").returncode == 2


def test_no_sources_is_wrong_use(project: Path) -> None:
    """The message says what to add."""
    answer = curaloop("-C", project, "run")
    assert answer.returncode == 2
    assert "[[source]]" in answer.stderr


def test_a_service_that_is_not_there_is_exit_code_3(project: Path) -> None:
    """And the message names the command that starts it."""
    answer = curaloop("-C", project, "review", "pull")
    assert answer.returncode == 3
    assert "curaloop up" in answer.stderr


def test_deploy_without_a_server_is_exit_code_3(project: Path) -> None:
    """And the message names the command that starts it."""
    answer = curaloop("-C", project, "deploy")
    assert answer.returncode == 3
    assert "curaloop up" in answer.stderr


def test_down_with_nothing_up_is_done(project: Path) -> None:
    """Stopping twice is no mistake."""
    answer = curaloop("-C", project, "down")
    assert (answer.returncode, answer.stdout) == (0, "nothing was running\n")


def test_a_locked_project_is_wrong_use_and_names_who_holds_it(project: Path, tmp_path: Path) -> None:
    """Two writers never meet."""
    from curation.project import Project

    (project / "curaloop.toml").write_text('[dataset]\nname = "x"\n\n[[source]]\nname = "a"\nkind = "dicom"\npath = "."\n')
    with Project(project).writing("a test"):
        answer = curaloop("-C", project, "ingest")
    assert answer.returncode == 2
    assert "a test, process" in answer.stderr


def test_deidentify_refuses_a_folder_that_is_not_empty(project: Path) -> None:
    """Nothing is overwritten."""
    answer = curaloop("-C", project, "deidentify", ".", ".")
    assert answer.returncode == 2
    assert "not empty" in answer.stderr


def test_deidentify_accounts_for_every_file_and_says_what_it_does_not_see(project: Path, tmp_path: Path) -> None:
    """Found = cleaned + duplicates + skipped + refused, on the screen too."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no image")
    answer = curaloop("-C", project, "deidentify", str(tmp_path / "in"), str(tmp_path / "out"))
    assert answer.returncode == 0
    shown = " ".join(answer.stdout.split())
    assert "1 files = 0 cleaned" in shown
    assert "1 skipped" in shown
    assert "faces" in shown


def test_a_whole_round_in_json_and_a_planted_fault(tmp_path: Path) -> None:
    """`run`, `gaps`, `diff` and `verify` print one document each; a changed byte in a released shard is exit code 1."""
    project = a_sourced_project(tmp_path, patients=12)
    documents = {}
    for command in (("run",), ("gaps",), ("diff", "data-v1", "data-v1"), ("verify",)):
        answer = curaloop("-C", project.root, *command, "--json")
        assert answer.returncode == 0, answer.stderr
        documents[command[0]] = json.loads(answer.stdout)
    assert documents["run"]["release"]["version"] == "data-v1"
    assert {"task", "label", "missing", "action"} <= set(documents["gaps"][0])
    assert documents["diff"]["unchanged"] == 24
    assert documents["verify"]["passed"] is True
    [shard] = project.released_shards.glob("*.tar")
    shard.chmod(0o644)
    content = bytearray(shard.read_bytes())
    content[700] ^= 1
    shard.write_bytes(content)
    answer = curaloop("-C", project.root, "verify", "--json")
    assert answer.returncode == 1
    assert json.loads(answer.stdout)["passed"] is False


def test_deidentify_is_done_when_every_file_was_cleaned_or_refused_with_a_reason(project: Path, tmp_path: Path) -> None:
    """A refusal is a result, not a failure: exit code 0, and the count says so."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "empty.png").touch()
    answer = curaloop("deidentify", tmp_path / "in", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    shown = " ".join(answer.stdout.split())
    assert "1 refused" in shown
    assert "EMPTY" in shown


def test_a_wrong_value_from_the_environment_is_not_blamed_on_the_recipe(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable."""
    monkeypatch.setenv("CURALOOP_REVIEW__BUDGET", "many")
    answer = curaloop("-C", project, "status")
    assert answer.returncode == 2
    assert "the environment: CURALOOP_REVIEW__BUDGET" in answer.stderr
    assert "curaloop.toml:" not in answer.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """`-C` with a typing mistake."""
    answer = curaloop("-C", tmp_path / "nowhere", "status")
    assert answer.returncode == 2
    assert "nowhere is not a folder" in answer.stderr
