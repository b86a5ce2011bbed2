"""Tests of curation.versions, with real git, real DVC and a local-folder remote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curation.errors import ServiceError, UsageError
from curation.git import commit_files, run_git
from curation.project import Project
from curation.versions import init_dvc, list_versions, next_version, open_version, pull, push, tag_untagged, track_and_tag


def a_repository(tmp_path: Path, remote: str) -> Project:
    """Return an empty project in git and DVC."""
    project = Project(tmp_path / "project")
    project.root.mkdir(exist_ok=True)
    init_dvc(project.root, remote)
    project.records.mkdir(exist_ok=True)
    (project.records / "ledger.jsonl").write_text("{}\n")
    return project


def put(project: Project, version: str, shard: bytes = b"0123456789") -> None:
    """Lay one small version into data/."""
    project.released_shards.mkdir(parents=True, exist_ok=True)
    (project.released_shards / "a.tar").write_bytes(shard)
    (project.data / "release.json").write_text(json.dumps({"version": version}))


def test_a_version_is_read_without_checkout_after_the_cache_is_gone(tmp_path: Path) -> None:
    """The remote alone gives back the first version's bytes while the second lies in data/."""
    project = a_repository(tmp_path, str(tmp_path / "remote"))
    put(project, "data-v1", b"first version")
    track_and_tag(project, "data-v1", "Release data-v1")
    put(project, "data-v2", b"second version")
    track_and_tag(project, "data-v2", "Release data-v2")
    shutil.rmtree(project.root / ".dvc" / "cache")
    with open_version(project, "data-v1") as version:
        assert version.read({"shard": "a.tar", "offset": 0, "size_bytes": 5}) == b"first"
        assert version.release == {"version": "data-v1"}
    assert (project.released_shards / "a.tar").read_bytes() == b"second version"
    assert list_versions(project) == ["data-v1", "data-v2"]
    assert next_version(project) == "data-v3"


@pytest.mark.parametrize("tags", [True, False])
def test_a_clone_reads_every_version_with_and_without_tags(tmp_path: Path, tags: bool) -> None:
    """The commit message names the version when the clone has no tags."""
    project = a_repository(tmp_path, str(tmp_path / "remote"))
    for name in ("data-v1", "data-v2"):
        put(project, name)
        track_and_tag(project, name, f"Release {name}")
    clone = Project(tmp_path / "clone")
    run_git(tmp_path, "clone", "-q", *([] if tags else ["--no-tags"]), str(project.root), str(clone.root))
    assert list_versions(clone) == ["data-v1", "data-v2"]
    with open_version(clone, "data-v1") as version:
        assert version.release["version"] == "data-v1"
    with open_version(clone) as version:
        assert version.name == "data-v2"
    pull(clone)
    assert (clone.released_shards / "a.tar").read_bytes() == b"0123456789"


def test_a_remote_inside_the_project_is_found_from_a_copy_elsewhere(tmp_path: Path) -> None:
    """A relative remote is written relative to the configuration."""
    project = a_repository(tmp_path, "store")
    put(project, "data-v1")
    track_and_tag(project, "data-v1", "Release data-v1")
    assert "url = ../store" in (project.root / ".dvc" / "config").read_text()
    shutil.rmtree(project.root / ".dvc" / "cache")
    moved = Project(tmp_path / "elsewhere")
    project.root.rename(moved.root)
    with open_version(moved, "data-v1") as version:
        assert version.release == {"version": "data-v1"}


def test_a_remote_that_takes_nothing_stops_the_release_before_it_has_a_name(tmp_path: Path) -> None:
    """A failed push raises ServiceError and leaves no commit and no tag; when the remote is back, the same call does the rest."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the remote's folder should be")
    project = a_repository(tmp_path, str(blocked))
    commit_files(project, ["records"], "Begin")
    put(project, "data-v1")
    with pytest.raises(ServiceError) as caught:
        track_and_tag(project, "data-v1", "Release data-v1")
    assert caught.value.exit_code == 3
    assert list_versions(project) == []
    with pytest.raises(UsageError):
        open_version(project)
    blocked.unlink()
    track_and_tag(project, "data-v1", "Release data-v1")
    assert list_versions(project) == ["data-v1"]
    push(project)


def test_a_version_is_never_changed(tmp_path: Path) -> None:
    """A name that exists is refused."""
    project = a_repository(tmp_path, "")
    put(project, "data-v1")
    track_and_tag(project, "data-v1", "Release data-v1")
    put(project, "data-v1", b"other")
    with pytest.raises(UsageError):
        track_and_tag(project, "data-v1", "Release data-v1")


def test_a_release_without_its_tag_gets_it_back(tmp_path: Path) -> None:
    """A process killed between commit and tag leaves a release that only lacks its tag."""
    project = a_repository(tmp_path, "")
    put(project, "data-v1")
    track_and_tag(project, "data-v1", "Release data-v1")
    released = run_git(project.root, "rev-parse", "HEAD")
    run_git(project.root, "tag", "-d", "data-v1")
    (project.records / "ledger.jsonl").write_text("{}\n{}\n")
    commit_files(project, ["records"], "Go on")
    assert tag_untagged(project) == "data-v1"
    assert tag_untagged(project) is None
    assert run_git(project.root, "tag", "--list") == "data-v1"
    assert run_git(project.root, "rev-parse", "data-v1^{commit}") == released


def test_a_missing_version_names_those_that_exist(tmp_path: Path) -> None:
    """The message helps."""
    project = a_repository(tmp_path, "")
    put(project, "data-v1")
    track_and_tag(project, "data-v1", "Release data-v1")
    with pytest.raises(UsageError, match="data-v1"):
        open_version(project, "data-v9")
    with pytest.raises(UsageError):
        push(project)


def test_a_version_touches_no_network(tmp_path: Path) -> None:
    """A process that may open no socket makes, pushes and reads a version."""
    script = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
        raise SystemExit(f"network: {event} {arguments}")
sys.addaudithook(refuse)
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from curation.project import Project
from curation.versions import init_dvc, open_version, track_and_tag
project = Project(Path(sys.argv[1]) / "project")
project.data.mkdir(parents=True)
init_dvc(project.root, str(Path(sys.argv[1]) / "remote"))
(project.data / "release.json").write_text('{"version": "data-v1"}')
track_and_tag(project, "data-v1", "Release data-v1")
with open_version(project, "data-v1") as version:
    print(version.release["version"])
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path), str(Path.cwd())], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "data-v1"), done.stderr
    assert done.stdout == "data-v1\n"
    assert "analytics = False" in (tmp_path / "project" / ".dvc" / "config").read_text()


def test_a_project_and_its_remote_may_have_any_name(tmp_path: Path) -> None:
    """Umlauts, blanks, brackets and commas in the path; DVC's own config writer knows ASCII only."""
    home = tmp_path / "Kohorte [ü], #2 ß"
    home.mkdir()
    project = a_repository(home, "../Ablage ü, #1")
    put(project, "data-v1", b"first version")
    track_and_tag(project, "data-v1", "Release data-v1")
    shutil.rmtree(project.root / ".dvc" / "cache")
    with open_version(project) as version:
        assert version.read({"shard": "a.tar", "offset": 0, "size_bytes": 5}) == b"first"
    assert (home / "Ablage ü, #1").is_dir()


def test_a_version_in_the_cache_is_read_without_dvc(tmp_path: Path) -> None:
    """A run over unchanged input reads the version before, and must not pay for importing DVC."""
    project = a_repository(tmp_path, str(tmp_path / "remote"))
    put(project, "data-v1", b"first version")
    track_and_tag(project, "data-v1", "Release data-v1")
    code = (
        "import sys; from pathlib import Path; from curation.project import Project; from curation.versions import open_version\n"
        f"with open_version(Project(Path({str(project.root)!r}))) as version: print(version.name, version.read_file('shards/a.tar'), 'dvc' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "data-v1 b'first version' False"
