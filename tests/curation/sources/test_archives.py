"""Archives: every member is a file of the run, nothing leaves its place, nothing fills the disk, and what did not change is not opened."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curation.errors import UsageError
from curation.ingest import IngestReport, ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from curation.sources import archives
from curation.sources.archives import archive_kind
from flows.executors import SerialExecutor
from tests.curation.dicom_builders import a_dataset, a_series
from tests.curation.sources.archive_builders import a_tar, a_zip, pictures, states
from tests.curation_builders import a_nifti, a_picture, a_raster

KEY = b"k" * 32
SETTINGS = HarmonizeSettings(colour=ColourSettings(size_px=16))


def run(project: Project, folder: Path, **changes: Any) -> IngestReport:
    """Ingest one source of pictures and check that the numbers add up."""
    source = SourceSettings(**{"name": "clinic", "kind": "raster", "path": folder, "modality": "XC", **changes})
    report = ingest(project, (source,), SETTINGS, KEY, SerialExecutor())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    assert not (project.workspace / "unpacked").exists()
    return report


def codes(project: Project) -> dict[str, str]:
    """Return code by path of every file that is not kept."""
    rows = read_intake(project.intake).filter(pl.col("outcome") != "kept")
    return dict(rows.select("path", "code").iter_rows())


@pytest.mark.parametrize(("name", "mode"), [("a.zip", ""), ("a.tar", "w"), ("a.tgz", "w:gz"), ("no-suffix", "w:gz")])
def test_every_member_is_a_file_of_the_run(tmp_path: Path, name: str, mode: str) -> None:
    """Pictures are kept, text is skipped, and the same pictures beside the archive are duplicates."""
    members = pictures(1, 2) | {"notes.txt": b"hello"}
    if mode:
        a_tar(tmp_path / "in" / "deep" / name, dict(members), mode)
    else:
        a_zip(tmp_path / "in" / "deep" / name, members)
    (tmp_path / "in" / "1.png").write_bytes(a_raster(a_picture(1)))
    project = Project(tmp_path / "p")
    report = run(project, tmp_path / "in")
    assert (report.found, report.kept, report.duplicates, report.skipped, report.images) == (5, 2, 1, 2, 2)
    assert codes(project) == {f"deep/{name}": "ARCHIVE", f"deep/{name}!/notes.txt": "NOT_AN_IMAGE", f"deep/{name}!/day 1/1.png": "SAME_IMAGE"}


def test_an_unchanged_archive_is_not_opened_again(tmp_path: Path) -> None:
    """Even when it may not be read any more; a changed one is, and members that left take their images with them."""
    path = a_zip(tmp_path / "in" / "a.zip", pictures(1, 2, 3))
    project = Project(tmp_path / "p")
    first = run(project, tmp_path / "in")
    content, status = path.read_bytes(), path.stat()
    path.write_bytes(b"\0" * len(content))
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    second = run(project, tmp_path / "in")
    assert (second.reused_files, second.kept, second.codes) == (3, 3, first.codes)
    a_zip(path, pictures(1, 2, 4))
    os.utime(path, ns=(status.st_mtime_ns + 1_000_000_000,) * 2)
    third = run(project, tmp_path / "in")
    assert (third.kept, third.new_images, third.removed_images, third.reused_files) == (3, 1, 1, 2)


def test_another_recipe_reads_the_members_again(tmp_path: Path) -> None:
    """They are laid out again, though their archive did not change; the rows are what a fresh project gets."""
    a_zip(tmp_path / "in" / "a.zip", pictures(1, 2))
    project, other = Project(tmp_path / "p"), HarmonizeSettings(colour=ColourSettings(size_px=20))
    source = SourceSettings(name="clinic", kind="raster", path=tmp_path / "in", modality="XC")
    for settings in (SETTINGS, other):
        ingest(project, (source,), settings, KEY, SerialExecutor())
    ingest(Project(tmp_path / "q"), (source,), other, KEY, SerialExecutor())
    again, fresh = (read_manifest(Project(tmp_path / name).manifest) for name in "pq")
    assert again["pixels_sha256"].to_list() == fresh["pixels_sha256"].to_list()
    assert set(again["rows"]) == {20}


def test_a_lost_shard_is_made_again_from_the_archive(tmp_path: Path) -> None:
    """The archive did not change, but its images are gone."""
    a_zip(tmp_path / "in" / "a.zip", pictures(1, 2))
    project = Project(tmp_path / "p")
    run(project, tmp_path / "in")
    shutil.rmtree(project.working_shards)
    assert run(project, tmp_path / "in").kept == 2
    assert list(project.working_shards.glob("*.tar"))


def test_a_dicom_series_in_a_zip_is_one_volume(tmp_path: Path) -> None:
    """Also when some slices lie beside the archive, and when a table changes later."""
    paths = a_series(tmp_path / "loose")
    (tmp_path / "in").mkdir()
    shutil.copy2(paths[0], tmp_path / "in" / "beside")
    a_zip(tmp_path / "in" / "study.zip", {f"IM{n}": path.read_bytes() for n, path in enumerate(paths[1:])})
    table = tmp_path / "labels.csv"
    project, uid = Project(tmp_path / "p"), str(a_dataset().SeriesInstanceUID)
    for finding in ("nodule", "clear"):
        table.write_text(f"series,finding\n{uid},{finding}\n")
        report = run(project, tmp_path / "in", kind="dicom", modality=None, table=table, key="series", label="finding")
        assert (report.kept, report.images, report.skipped) == (5, 1, 1)
        assert read_manifest(project.manifest)["label"].to_list() == [finding]


def test_a_member_may_be_the_whole_source(tmp_path: Path) -> None:
    """The recipe's path names the archive itself."""
    path = a_zip(tmp_path / "a.zip", pictures(1, 2))
    project = Project(tmp_path / "p")
    assert run(project, path).kept == 2
    assert run(project, path).reused_files == 2


def test_two_members_of_one_name_are_both_counted(tmp_path: Path) -> None:
    """The first is used, the second is not lost silently."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened_zip:
        opened_zip.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            opened_zip.writestr("a.png", b"2")
    assert states(tmp_path / "a.zip", tmp_path) == {"a.png": "file", "a.png #1": "same_name"}


def test_what_an_archive_is_not(tmp_path: Path) -> None:
    """Packed NIfTI, DICOM with a zip's mark in its preamble, and office documents; other packers are named."""
    assert archive_kind(a_nifti(packed=True)[:1024]) is None
    assert archive_kind((b"PK\x03\x04" + bytes(124) + b"DICM" + bytes(900))[:1024]) is None
    assert archive_kind(b"7z\xbc\xaf\x27\x1c" + bytes(100)) == "other"
    assert states(a_zip(tmp_path / "a.docx", {"[Content_Types].xml": b"<x/>", "word/media/1.png": b"1"}), tmp_path) == {"": "archive_document"}


def test_refused_archives_are_in_quarantine_once(tmp_path: Path) -> None:
    """They are not opened again, their code stays, and the folder with the ! is never mistaken for members."""
    (tmp_path / "in" / "a.zip!").mkdir(parents=True)
    (tmp_path / "in" / "a.zip!" / "x.png").write_bytes(a_raster(a_picture(1)))
    a_zip(tmp_path / "in" / "a.zip", {"x.png": a_raster(a_picture(2))})
    (tmp_path / "in" / "b.rar").write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(100))
    project = Project(tmp_path / "p")
    for _ in range(2):
        report = run(project, tmp_path / "in")
        assert (report.kept, report.codes) == (1, {"ARCHIVE_FORMAT": 1, "ARCHIVE_NAME": 1})


def test_an_archive_that_may_not_be_read_for_now_keeps_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the second run must not look like images that were withdrawn."""
    path = a_zip(tmp_path / "in" / "a.zip", pictures(1, 2))
    (tmp_path / "in" / "3.png").write_bytes(a_raster(a_picture(3)))
    project = Project(tmp_path / "p")
    run(project, tmp_path / "in")
    os.utime(path, ns=(1, 1))
    monkeypatch.setattr(archives, "SPARE_DISK_BYTES", 1 << 60)
    with pytest.raises(UsageError, match="2 files in it gave images"):
        run(project, tmp_path / "in")
    assert read_manifest(project.manifest).height == 3
    monkeypatch.undo()
    assert run(project, tmp_path / "in").kept == 3


def test_what_a_mac_puts_beside_each_file_is_no_damaged_image(tmp_path: Path) -> None:
    """It has the image's suffix, and none of its bytes."""
    a_zip(tmp_path / "in" / "a.zip", pictures(1) | {"__MACOSX/day 1/._1.png": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "})
    project = Project(tmp_path / "p")
    assert run(project, tmp_path / "in").codes == {"ARCHIVE": 1, "NOT_AN_IMAGE": 1}
