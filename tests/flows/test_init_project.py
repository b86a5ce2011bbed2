"""`curaloop init`: what lies there afterwards."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from curation.errors import UsageError
from flows.init_project import init_project
from flows.settings import Settings, read_settings

TEMPLATE = Path(__file__).parents[2] / "flows" / "templates" / "curaloop.toml"


@pytest.fixture(autouse=True)
def no_key_yet(key_file: Path) -> None:
    """Begin as on a new machine."""
    key_file.unlink()


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_a_new_project_is_complete_and_committed(tmp_path: Path, key_file: Path) -> None:
    """Recipe, ignore file, DVC with its remote and analytics off, key outside with mode 0600, a clean first commit."""
    made = init_project(tmp_path / "set", name='lesions "A"')
    assert read_settings(made.root / "curaloop.toml").dataset.name == 'lesions "A"'
    config = (made.root / ".dvc" / "config").read_text()
    assert "analytics = False" in config
    assert "../../set-remote" in config
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert made.key == key_file
    assert git(made.root, "status", "--porcelain") == ""
    assert git(made.root, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert {"curaloop.toml", ".gitignore", ".dvc/config"} <= set(git(made.root, "ls-files").splitlines())


def test_data_and_workspace_are_ignored(tmp_path: Path) -> None:
    """Neither images nor passwords can be committed by `git add -A`."""
    made = init_project(tmp_path / "set")
    for folder in ("data", "workspace"):
        (made.root / folder).mkdir()
        (made.root / folder / "file").touch()
    assert git(made.root, "status", "--porcelain") == ""


def test_a_project_is_not_made_twice(tmp_path: Path) -> None:
    """The recipe that somebody wrote is never overwritten."""
    init_project(tmp_path / "set")
    with pytest.raises(UsageError, match="already"):
        init_project(tmp_path / "set")


def test_an_existing_repository_keeps_its_files(tmp_path: Path) -> None:
    """Only what `init` wrote is committed, and the ignore file keeps its lines."""
    (tmp_path / ".gitignore").write_text("/build/\n/data/")
    (tmp_path / "notes.txt").write_text("mine")
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    made = init_project(tmp_path, remote="s3://bucket/set")
    assert not made.is_new_repository
    assert git(tmp_path, "status", "--porcelain") == "?? notes.txt"
    lines = (tmp_path / ".gitignore").read_text().splitlines()
    assert lines[:2] == ["/build/", "/data/"]
    assert lines.count("/data/") == 1
    assert "url = s3://bucket/set" in (tmp_path / ".dvc" / "config").read_text()


def test_a_key_inside_the_project_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key must never travel with the data."""
    monkeypatch.setenv("CURALOOP_KEY_FILE", str(tmp_path / "set" / "key"))
    with pytest.raises(UsageError, match="inside the project"):
        init_project(tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_an_existing_key_is_kept(tmp_path: Path, key_file: Path) -> None:
    """A second project of the same account has the same pseudonyms."""
    init_project(tmp_path / "one")
    before = key_file.read_text()
    assert not init_project(tmp_path / "two").key_is_new
    assert key_file.read_text() == before


def test_every_commented_value_of_the_template_is_the_default(tmp_path: Path) -> None:
    """The template explains the recipe truthfully: uncommented, it is valid and changes nothing."""
    text = re.sub(r"^# (?=[a-z_]+ = )", "", _without_examples(TEMPLATE.read_text()), flags=re.MULTILINE)
    content = tomllib.loads(text)
    content.pop("services")
    assert content["gaps"].pop("columns") == ["sex"]
    assert content["harmonize"]["mr"].pop("spacing_mm") == [1.0, 1.0, 1.0]
    assert content["harmonize"].pop("pt") == {"spacing_mm": [2.0, 2.0, 2.0]}
    assert content["run"].pop("threads") == 1
    content["release"].pop("remote")
    assert content["synthesis"]["generator"].pop("base") == "generators/common"
    given = Settings(**content).model_dump(exclude={"release": {"remote"}})
    assert given == Settings.model_validate({"dataset": content["dataset"]}).model_dump(exclude={"release": {"remote"}})


def test_the_template_names_every_key_of_the_recipe(tmp_path: Path) -> None:
    """Nothing can be set that the template does not show."""
    text = TEMPLATE.read_text()
    named = set(re.findall(r"^#? ?([a-z_]+) = ", text, flags=re.MULTILINE))
    assert _keys(Settings.model_json_schema()) - named == set()


def _without_examples(text: str) -> str:
    """Return the template without the commented [[source]] examples."""
    before, rest = text.split("# --- Where images come from", 1)
    return before + rest[rest.index("# --- How pixels") :]


def _keys(schema: dict[str, object]) -> set[str]:
    """Return the names of all values (not tables) in a JSON schema with its definitions."""
    found: set[str] = set()
    definitions = schema.get("$defs", {})
    assert isinstance(definitions, dict)
    for part in definitions.values():
        found |= {name for name, value in part.get("properties", {}).items() if "$ref" not in value}
    return found
