"""Hostile and damaged archives: nothing leaves its place, nothing fills the disk, no half is taken."""

import gzip
import os
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources import archives
from curation.sources.archives import is_safe, member_place
from tests.curation.sources.archive_builders import a_tar, a_zip, opened, pictures, states
from tests.curation_builders import a_picture, a_raster


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
