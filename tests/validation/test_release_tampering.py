"""What was released may not change: a planted change of each part of a release stops the next one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from curation.errors import GateError
from curation.project import Project
from tests.validation.builders import a_ready_project, change, make_release
from tests.validation.release_builders import ACQUIRED, Plant, ids, state


def spoil_shard(project: Project) -> None:
    """Flip one bit of a released shard."""
    shard = next(project.released_shards.glob("*.tar"))
    content = bytearray(shard.read_bytes())
    content[2000] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(bytes(content))


def spoil_manifest(project: Project) -> None:
    """Edit the released manifest."""
    path = project.data / "manifest.parquet"
    path.chmod(0o644)
    rows = pl.read_parquet(path)
    rows.with_columns(label=pl.lit("nevus")).write_parquet(path)


def edit_ledger(project: Project) -> None:
    """Change a word in the ledger."""
    project.ledger.write_text(project.ledger.read_text().replace("every check passed", "every check failed"))


def cut_ledger(project: Project) -> None:
    """Cut the end of the ledger off."""
    project.ledger.write_text("")


def edit_release(project: Project) -> None:
    """Change what a release said, and the file list with it."""
    path = project.data / "release.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"licence": "none"', '"licence": "free"'))


@pytest.mark.parametrize(
    ("spoil", "check"),
    [(spoil_shard, "7a"), (spoil_manifest, "7a"), (edit_ledger, "7b"), (cut_ledger, "7b"), (edit_release, "7c")],
    ids=["shard", "manifest", "ledger edited", "ledger cut", "release"],
)
def test_a_changed_release_stops_the_next_one(tmp_path: Path, spoil: Plant, check: str) -> None:
    """Released files and the ledger are immutable: when one was changed, nothing is released on top of it."""
    project = a_ready_project(tmp_path)
    make_release(project)
    change(project, "label", "keratosis", pl.col("image_id") == ids(project, ACQUIRED)[0])
    spoil(project)
    before = state(project)
    with pytest.raises(GateError) as refused:
        make_release(project)
    assert any(failure.startswith(check) for failure in refused.value.failures), refused.value.failures
    assert state(project) == before
