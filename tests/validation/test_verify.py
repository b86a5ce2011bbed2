"""Verification finds every planted change of a release, and nothing in one that was left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from curation.git import run_git
from curation.project import Project
from tests.validation.builders import a_ready_project, make_release
from validation.verify import tree_md5, verify


def broken(project: Project, version: str | None = None) -> set[str]:
    """Return the names of the checks that do not pass."""
    return {check.name for check in verify(project, version) if not check.passed}


def flip_a_byte(project: Project) -> None:
    """Flip one bit in the middle of a shard."""
    shard = next(project.released_shards.glob("*.tar"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(bytes(content))


def edit_manifest(project: Project) -> None:
    """Move all images to train."""
    path = project.data / "manifest.parquet"
    path.chmod(0o644)
    pl.read_parquet(path).with_columns(split=pl.lit("train")).write_parquet(path)


def add_a_file(project: Project) -> None:
    """Put a file beside the released ones."""
    (project.data / "names.txt").write_text("x")


def edit_ledger(project: Project) -> None:
    """Change a number in the ledger."""
    project.ledger.write_text(project.ledger.read_text().replace('"seq": 0', '"seq": 1'))


def truncate_ledger(project: Project) -> None:
    """Lose the end of the ledger."""
    project.ledger.write_text("\n".join(project.ledger.read_text().splitlines()[:-1]))


def spoil_the_cache(project: Project) -> None:
    """Flip one bit of the manifest that DVC stores, everywhere."""
    content = (project.data / "manifest.parquet").read_bytes()
    for path in [*project.root.glob(".dvc/cache/**/*"), *(project.root.parent / "remote").rglob("*")]:
        if path.is_file() and path.read_bytes() == content:
            path.chmod(0o644)
            path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])


@pytest.mark.parametrize(
    ("plant", "names"),
    [
        (flip_a_byte, {"7a released files unchanged", "data.dvc fits data/"}),
        (edit_manifest, {"7a released files unchanged", "data.dvc fits data/"}),
        (add_a_file, {"7a released files unchanged", "data.dvc fits data/"}),
        (edit_ledger, {"7b ledger verifies"}),
        (truncate_ledger, {"7b ledger verifies"}),
        (spoil_the_cache, {"files as stored"}),
    ],
    ids=["byte", "manifest", "file", "ledger edited", "ledger cut", "cache"],
)
def test_a_planted_change_is_found(tmp_path: Path, plant: Callable[[Project], None], names: set[str]) -> None:
    """Exactly the checks that guard it fail."""
    project = a_ready_project(tmp_path, synthetic=1)
    make_release(project)
    plant(project)
    assert broken(project) == names


def test_a_release_that_was_left_alone_verifies_also_in_a_clone_without_workspace_and_tags(tmp_path: Path) -> None:
    """Nothing fails for the current version, for it by name, and in a clone; the hash of data/ is DVC's own."""
    project = a_ready_project(tmp_path, synthetic=1)
    make_release(project)
    assert broken(project) == set()
    assert tree_md5(project.data) in (project.root / "data.dvc").read_text()
    run_git(tmp_path, "clone", "-q", "--no-tags", str(project.root), "clone")
    clone = Project(tmp_path / "clone")
    assert broken(clone, "data-v1") == set()
    assert not clone.workspace.exists()
