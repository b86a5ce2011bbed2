"""Archives: every member is a file of the run, nothing leaves its place, nothing fills the disk, and what did not change is not opened."""

import gzip
import io
import os
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import UsageError
from curation.ingest import IngestReport, ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from curation.sources import archives
from curation.sources.archives import Archive, archive_kind, is_safe, member_place, open_archive
from flows.executors import SerialExecutor
from tests.curation.dicom_builders import a_dataset, a_series
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


def a_zip(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    """Write a zip of pictures or whatever."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def a_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    """Write a tar; a `TarInfo` stands for a member without bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            opened.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def pictures(*seeds: int) -> dict[str, bytes]:
    """Return PNG files by name."""
    return {f"day {seed}/{seed}.png": a_raster(a_picture(seed)) for seed in seeds}


def opened(path: Path, tmp_path: Path) -> archives.Opened:
    """Open one archive."""
    status = path.stat()
    return open_archive(Archive("clinic", path.name, str(path), status.st_size, status.st_mtime_ns, tmp_path / "laid-out"))


def states(path: Path, tmp_path: Path) -> dict[str, str]:
    """Return what became of the members, or of the archive alone when it is refused."""
    answer = opened(path, tmp_path)
    laid_out = sorted(place.name for place in (tmp_path / "laid-out").glob("**/*")) if (tmp_path / "laid-out").exists() else []
    assert len(laid_out) == sum(member.state == "file" for member in answer.members)
    return {member.path.partition("!/")[2]: member.state for member in answer.members} if answer.state == "archive" else {"": answer.state}


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


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png", "C:\\x.png", "..\\x.png", "a!/b.png", "//host/x.png"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    """In zip and tar; the members beside them are used."""
    members = {name: a_raster(a_picture(1)), "fine.png": a_raster(a_picture(2))}
    for path in (a_zip(tmp_path / "a.zip", members), a_tar(tmp_path / "a.tar", dict(members))):
        found = sorted(states(path, tmp_path).values())
        assert found == ["file", "unsafe_path"]
        shutil.rmtree(tmp_path / "laid-out")
    assert not is_safe(name)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["a.tar", "a.zip"]


def test_links_devices_and_pipes_in_a_tar_are_not_made(tmp_path: Path) -> None:
    """Each is seen and counted."""
    kinds = {"soft": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "disk": tarfile.BLKTYPE, "tty": tarfile.CHRTYPE}
    members: dict[str, bytes | tarfile.TarInfo] = {"fine.png": b"1"}
    for name, kind in kinds.items():
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        members[name] = info
    found = states(a_tar(tmp_path / "a.tar", members), tmp_path)
    assert found == {"fine.png": "file", "soft": "link", "hard": "link", "pipe": "special", "disk": "special", "tty": "special"}


def test_a_link_in_a_zip_is_not_made(tmp_path: Path) -> None:
    """Zip files hide links in the external attributes."""
    info = zipfile.ZipInfo("soft")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened_zip:
        opened_zip.writestr(info, "/etc/passwd")
    assert states(tmp_path / "a.zip", tmp_path) == {"soft": "link"}


def test_an_encrypted_member_says_so(tmp_path: Path) -> None:
    """The others are used."""
    path = a_zip(tmp_path / "a.zip", {"a.png": b"secret", "b.png": b"open"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[content.index(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(content)
    assert states(path, tmp_path) == {"a.png": "encrypted", "b.png": "file"}


def test_a_bomb_stops_where_it_may_hold_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed zeros in a zip and in a tar.gz; the limit is lowered so that the test is fast."""
    monkeypatch.setattr(archives, "SMALL_UNPACKED_BYTES", 1 << 20)
    zeros = bytes(8 << 20)
    for path in (a_zip(tmp_path / "a.zip", {"a.png": zeros}), a_tar(tmp_path / "a.tgz", {"a.png": zeros}, "w:gz")):
        assert path.stat().st_size < 20_000
        assert states(path, tmp_path) == {"": "archive_bomb"}
        assert not (tmp_path / "laid-out").exists()


def test_many_small_members_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are counted over all members, and so are the members."""
    monkeypatch.setattr(archives, "SMALL_UNPACKED_BYTES", 1 << 20)
    members = {f"{number}.png": bytes(300_000) for number in range(9)}
    path = a_zip(tmp_path / "a.zip", members)
    assert states(path, tmp_path) == {"": "archive_bomb"}
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    assert states(path, tmp_path) == {"": "archive_members"}


def test_a_header_of_a_tar_may_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PAX header that says 100 MB, packed to 100 kB."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 100 << 20
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(info.size) + bytes(1024), 9))
    assert states(path, tmp_path) == {"": "archive_bomb"}


@pytest.mark.parametrize("declared", [3, 3_000_000])
def test_a_forged_size_is_not_believed(tmp_path: Path, declared: int) -> None:
    """The directory of the zip says another number of bytes than come out."""
    path = a_zip(tmp_path / "a.zip", {"a.png": os.urandom(2000)})
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, declared)
    path.write_bytes(content)
    assert states(path, tmp_path) == {"a.png": "member_damaged"}


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Two entries of the directory that point at the same bytes: how the best bombs are made."""
    path = a_zip(tmp_path / "a.zip", {"a.png": os.urandom(500), "b.png": os.urandom(500)})
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, second + 42, 0)
    path.write_bytes(content)
    assert "member_damaged" in states(path, tmp_path).values()


def test_an_archive_in_an_archive_is_refused(tmp_path: Path) -> None:
    """One level is opened; the inner one is named."""
    inner = a_zip(tmp_path / "inner.zip", pictures(1)).read_bytes()
    path = a_tar(tmp_path / "a.tar", {"inner.bin": inner, "b.png": b"1"})
    assert states(path, tmp_path) == {"inner.bin": "nested_archive", "b.png": "file"}


def test_damaged_archives_give_no_half(tmp_path: Path) -> None:
    """Cut short, or one byte wrong where it is not one member's own affair."""
    members = {f"{n}.png": os.urandom(3000) for n in range(5)}
    for path in (a_zip(tmp_path / "a.zip", members), a_tar(tmp_path / "a.tar", dict(members)), a_tar(tmp_path / "a.tgz", dict(members), "w:gz")):
        content = path.read_bytes()
        for length in (len(content) // 2, 5 * 512 + 3072 if path.suffix == ".tar" else len(content) - 30):
            path.write_bytes(content[:length])
            assert states(path, tmp_path) == {"": "archive_damaged"}, (path.name, length)


def test_a_damaged_member_leaves_the_others(tmp_path: Path) -> None:
    """A zip keeps a check sum for each."""
    path = a_zip(tmp_path / "a.zip", {"a.png": os.urandom(3000), "b.png": os.urandom(3000)})
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    assert states(path, tmp_path) == {"a.png": "member_damaged", "b.png": "file"}


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


@given(name=st.text(st.characters(codec="utf-8"), max_size=400))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    """Not even one that `is_safe` would let pass."""
    place = member_place(Path("/laid/out"), name)
    assert place.parent == Path("/laid/out")
    assert place.name.isalnum()


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
@given(data=st.data())
def test_damage_never_escapes(tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject) -> None:
    """Wherever bytes are wrong, missing or doubled, the answer is a state, and refused archives leave nothing behind."""
    folder = tmp_path_factory.mktemp("damage")
    members = {f"{n}.png": bytes(range(256)) * 3 for n in range(3)}
    path = a_zip(folder / "a", members) if kind == "zip" else a_tar(folder / "a", dict(members), "w:gz" if kind == "tgz" else "w")
    content = bytearray(path.read_bytes())
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)):
        content[place] = value
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(bytes(content[:cut]) + (bytes(content[cut // 2 :]) if data.draw(st.booleans()) else b""))
    answer = opened(path, folder)
    assert answer.state == "archive" or (answer.members == [] and not (folder / "laid-out").exists())
    shutil.rmtree(folder)
