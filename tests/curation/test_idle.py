"""A run with nothing to do is recognized, and nothing else is taken for one."""

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from curation.idle import nothing_changed
from curation.manifest import read_manifest
from curation.plan import find_files, open_reader
from curation.project import Project
from curation.recipe import SourceSettings
from tests.curation.ingest_builders import KEY, SETTINGS, Here, a_source, fill, run, write_table


def is_idle(project: Project, *sources: SourceSettings) -> bool:
    """Ask as `ingest` asks."""
    readers = tuple(open_reader(source, SETTINGS, KEY) for source in sources)
    rows = read_manifest(project.manifest)
    shards = [path.name for path in project.working_shards.glob("*.tar")]
    usable_ids = rows.filter(pl.col("shard").is_in(shards))["image_id"]
    return nothing_changed(find_files(readers), project.intake, readers, usable_ids, set(rows["source"]))


def test_a_run_over_known_files_reports_them_as_the_first_did(tmp_path: Path) -> None:
    """Kept, duplicate, quarantined and skipped: the counts are those of the table, and no worker is asked."""
    folder = fill(tmp_path / "in", range(5))
    (folder / "again.png").write_bytes((folder / "000.png").read_bytes())
    (folder / "notes.txt").write_text("not an image")
    project, executor = Project(tmp_path / "p"), Here()
    first = run(project, a_source(folder))
    second = run(project, a_source(folder), executor=executor)
    assert is_idle(project, a_source(folder))
    assert executor.calls == 0
    assert (second.found, second.kept, second.duplicates, second.skipped) == (first.found, first.kept, first.duplicates, first.skipped) == (7, 5, 1, 1)
    assert (second.codes, second.images, second.new_images, second.reused_files, second.removed_images) == (first.codes, 5, 0, 7, 0)


def a_shard(folder: Path) -> Path:
    """Return a shard of the project beside `folder`."""
    return next((folder.parent / "p").rglob("*.tar"))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: os.utime(folder / "001.png", (1, 1)),
        lambda folder: (folder / "001.png").unlink(),
        lambda folder: (folder / "001.png").rename(folder / "renamed.png"),
        lambda folder: fill(folder, [9]),
        lambda folder: (folder / "link.png").symlink_to(folder / "000.png"),
        lambda folder: write_table(folder.parent / "t.csv", {"000": "nevus", "001": "melanoma", "002": "nevus"}),
        lambda folder: a_shard(folder).unlink(),
        lambda folder: (folder.parent / "p" / "workspace" / "intake.parquet").write_bytes(b"PAR1 no table PAR1"),
    ],
    ids=["touched", "gone", "renamed", "new", "link", "label", "shard", "damaged"],
)
def test_no_change_is_overlooked(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """Files, table, shards, the intake table itself: each of them wakes the whole run."""
    folder = fill(tmp_path / "in", range(3))
    table = write_table(tmp_path / "t.csv", {"000": "nevus", "001": "nevus", "002": "nevus"})
    source, project = a_source(folder, table=table, key="image", label="dx"), Project(tmp_path / "p")
    run(project, source)
    assert is_idle(project, source)
    change(folder)
    assert not is_idle(project, source)


def test_another_order_of_the_sources_is_a_change_when_they_share_an_image(tmp_path: Path) -> None:
    """The source that comes first owns the image; without a shared one, the order decides nothing."""
    one, two = a_source(fill(tmp_path / "a", [1, 2]), name="a"), a_source(fill(tmp_path / "b", [2, 3]), name="b")
    alone = a_source(fill(tmp_path / "c", [4]), name="c")
    project = Project(tmp_path / "p")
    run(project, one, two, alone)
    assert is_idle(project, one, alone, two)
    assert not is_idle(project, two, one, alone)
    assert not is_idle(project, one, two)
