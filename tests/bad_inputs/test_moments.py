"""Bad moments: files that change, that may not be read, a disk that is full, markup where a word should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from curation.ingest import ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from flows.executors import SerialExecutor
from tests.curation_builders import a_picture, a_raster
from validation.review.config import labeling_config, task_choices

ROOT = Path(__file__).parents[2]
SETTINGS = HarmonizeSettings(colour=ColourSettings(size_px=16))
SCRIPT = """
import resource, signal, sys
from pathlib import Path
from curation.ingest import ingest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from flows.executors import SerialExecutor

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
source = SourceSettings(name="clinic", kind="raster", path=Path(sys.argv[2]), modality="XC")
ingest(Project(Path(sys.argv[1])), (source,), HarmonizeSettings(colour=ColourSettings(size_px=16)), b"k" * 32, SerialExecutor())
"""


class Touching(SerialExecutor):
    """Changes a file between finding and reading it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Touch the file, then run `fn`."""
        os.utime(self.path, ns=(1, 1))
        return super().submit(fn, *args, **kwargs)


def a_source(folder: Path, count: int = 3) -> SourceSettings:
    """Write pictures and return the source that reads them."""
    folder.mkdir(parents=True)
    for seed in range(count):
        (folder / f"{seed}.png").write_bytes(a_raster(a_picture(seed)))
    return SourceSettings(name="clinic", kind="raster", path=folder, modality="XC")


def answers(project: Project) -> dict[str, tuple[str, str]]:
    """Return outcome and code by path."""
    return {row["path"]: (row["outcome"], row["code"]) for row in read_intake(project.intake).iter_rows(named=True)}


def test_a_file_that_changes_while_it_is_read_is_tried_again(tmp_path: Path) -> None:
    """It is no image of this run, and one of the next."""
    source, project = a_source(tmp_path / "in"), Project(tmp_path / "project")
    ingest(project, (source,), SETTINGS, b"k" * 32, Touching(source.path / "1.png"))
    assert answers(project)["1.png"] == ("quarantined", "CHANGED")
    ingest(project, (source,), SETTINGS, b"k" * 32, SerialExecutor())
    assert set(answers(project).values()) == {("kept", "")}


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, for whom everything is readable, so the system's answer is put in its mouth."""
    source, project = a_source(tmp_path / "in"), Project(tmp_path / "project")
    original = Path.open

    def refusing(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == "1.png":
            raise PermissionError(13, "Permission denied")
        return original(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refusing)
    ingest(project, (source,), SETTINGS, b"k" * 32, SerialExecutor())
    assert answers(project) == {"0.png": ("kept", ""), "1.png": ("quarantined", "UNREADABLE"), "2.png": ("kept", "")}


@pytest.mark.parametrize("room_bytes", [0, 500, 4_000, 20_000, 60_000])
def test_a_full_disk_loses_nothing(tmp_path: Path, room_bytes: int) -> None:
    """No file may grow beyond the room; a run with room then ends like one that never met a full disk."""
    source = a_source(tmp_path / "in", 60)
    full, whole = Project(tmp_path / "full"), Project(tmp_path / "whole")
    command = [sys.executable, "-c", SCRIPT, str(full.root), str(source.path), str(room_bytes)]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode != 0
    assert "File too large" in died.stderr
    for project in (full, whole):
        ingest(project, (source,), SETTINGS, b"k" * 32, SerialExecutor())
    assert full.manifest.read_bytes() == whole.manifest.read_bytes()
    assert read_manifest(full.manifest).height == 60


def test_a_class_name_that_is_markup_stays_text() -> None:
    """Reasons are quoted in the configuration; classes travel as values of a task."""
    hostile = '"/><script>alert(1)</script>'
    tree = ET.fromstring(labeling_config((hostile, "blurred")))  # noqa: S314 (our own text)
    assert [choice.get("value") for choice in tree.iter("Choice")] == ["yes", "no", hostile, "blurred"]
    assert list(tree.iter("script")) == []
    assert task_choices((hostile,)) == [{"value": hostile, "hotkey": "1"}]
