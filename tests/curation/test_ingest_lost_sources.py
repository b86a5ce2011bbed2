"""Sources that are gone, empty, closed to us or full of bad files: nothing is wiped, and every file keeps an answer."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from curation.errors import UsageError, WorkerLostError
from curation.ingest import ingest
from curation.merge import read_parts
from curation.project import Project
from curation.reading import crash_part
from curation.sources.table import Lookup
from curation.units import Chunk, Unit, UnitFile
from tests.curation.ingest_builders import KEY, SETTINGS, Here, a_source, fill, intake_of, run
from tests.curation_builders import a_picture, a_raster


def test_a_file_that_kills_its_reader_goes_to_quarantine(tmp_path: Path) -> None:
    """What the parent writes in the name of a dead worker is read like any other part."""
    path = fill(tmp_path / "in", [1]) / "001.png"
    file = UnitFile("001.png", path, path.stat().st_size, path.stat().st_mtime_ns, None, Lookup())
    chunk = Chunk("chunk", (Unit("clinic", "raster", "001.png", (file,)),), SETTINGS, KEY, tmp_path / "parts")
    files, rows = read_parts(chunk.folder, [crash_part(chunk, WorkerLostError("CRASHED", "reading it kills the process"))])
    assert [(told["outcome"], told["code"], told["sha256"] is not None) for told in files] == [("quarantined", "CRASHED", True)]
    assert rows.is_empty()


BAD = {
    "empty.png": (b"", "EMPTY"),
    "half.png": (a_raster(a_picture(1, 64))[:3000], "TRUNCATED"),
    "text.png": (b"hello", "BAD_MAGIC"),
    "readme.md": (b"hello", "NOT_AN_IMAGE"),
    "scan.bin": (bytes(128) + b"DICM" + bytes(200), "OTHER_KIND"),
}


def test_bad_files_have_codes_and_do_not_stop_the_run(tmp_path: Path) -> None:
    """Quarantine names path, hash, code, sentence, stage and time."""
    folder = fill(tmp_path / "in", [1])
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    project = Project(tmp_path / "p")
    report = run(project, a_source(folder))
    assert {path: code for path, (_, code) in intake_of(project).items() if code} == {name: code for name, (_, code) in BAD.items()}
    assert (report.kept, report.quarantined, report.skipped) == (1, 3, 2)
    lines = [json.loads(line) for line in (project.quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == ["empty.png", "half.png", "text.png"]
    assert all(set(line) == {"source", "path", "sha256", "code", "reason", "stage", "time"} for line in lines)
    assert all(len(line["sha256"]) == 64 for line in lines)


def test_a_missing_source_names_its_key(tmp_path: Path) -> None:
    """Nothing is removed because a disk is not mounted."""
    with pytest.raises(UsageError, match="source 'clinic': path"):
        ingest(Project(tmp_path / "p"), (a_source(tmp_path / "nowhere"),), SETTINGS, KEY, Here())


@pytest.mark.parametrize("left", [[], ["NOT MOUNTED.txt"]])
def test_a_source_that_is_suddenly_empty_wipes_nothing(tmp_path: Path, left: list[str]) -> None:
    """Planted: the mount point is there without the disk, also with a note in it, also after the workspace was deleted. Out of the recipe means out."""
    source, other = a_source(fill(tmp_path / "in", range(3))), a_source(fill(tmp_path / "other", [9]), name="other")
    project = Project(tmp_path / "p")
    run(project, source, other)
    before = project.manifest.read_bytes()
    shutil.move(source.path, tmp_path / "away")
    source.path.mkdir()
    for name in left:
        (source.path / name).touch()
    with pytest.raises(UsageError, match="source 'clinic': path: 3 images"):
        run(project, source, other)
    assert project.manifest.read_bytes() == before
    assert run(project, other).removed_images == 3


def test_an_empty_source_does_not_wipe_what_was_released(tmp_path: Path) -> None:
    """Planted: the workspace was deleted too, so only the released manifest knows that there were images."""
    source = a_source(fill(tmp_path / "in", range(3)))
    project = Project(tmp_path / "p")
    run(project, source)
    shutil.copytree(project.working_shards, project.released_shards)
    shutil.copy(project.manifest, project.data / "manifest.parquet")
    shutil.rmtree(project.workspace)
    shutil.rmtree(source.path)
    source.path.mkdir()
    with pytest.raises(UsageError, match="3 images came from it"):
        run(project, source)


def test_a_folder_that_may_not_be_read_any_more_wipes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: one folder of two fails to list, as on a share that is half gone (root may read everything, so the call itself fails)."""
    source = a_source(tmp_path / "in")
    fill(source.path / "a", range(2))
    fill(source.path / "b", range(2, 4))
    project = Project(tmp_path / "p")
    run(project, source)
    before, scan = project.manifest.read_bytes(), os.scandir

    def fail(folder: str) -> Any:
        if str(folder).endswith("/in/b"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(UsageError, match="2 files in it gave images"):
        run(project, source)
    assert project.manifest.read_bytes() == before


def test_a_source_whose_files_are_all_bad_now_is_quarantined_not_refused(tmp_path: Path) -> None:
    """The files are there, so quarantine tells what is wrong with them."""
    source = a_source(fill(tmp_path / "in", range(2)))
    project = Project(tmp_path / "p")
    run(project, source)
    for path in source.path.iterdir():
        path.write_bytes(b"hello")
    assert run(project, source).codes == {"BAD_MAGIC": 2}


def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the disk fails once; neither size nor time tell that it was repaired (root may open everything, so the call itself fails)."""
    source = a_source(fill(tmp_path / "in", range(2)))
    project, opened = Project(tmp_path / "p"), Path.open

    def fail(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "001.png":
            raise OSError(5, "Input/output error")
        return opened(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        assert run(project, source).codes == {"UNREADABLE": 1}
    report = run(project, source)
    assert (report.kept, report.quarantined, report.reused_files) == (2, 0, 1)


@pytest.mark.parametrize("path", [".", "workspace", "workspace/review/images", "data"])
def test_a_source_that_holds_the_project_s_own_images_is_refused(tmp_path: Path, path: str) -> None:
    """Else rendered and synthetic images came back as if a hospital had sent them."""
    fill(tmp_path / path, [1])
    with pytest.raises(UsageError, match="source 'clinic': path: holds the project's own"):
        ingest(Project(tmp_path), (a_source(tmp_path / path),), SETTINGS, KEY, Here())
