"""Walking a source: everything is seen, nothing is followed."""

import os
from pathlib import Path

from curation.sources.walk import PARTIAL, printable_path, walk


def test_links_and_pipes_are_seen_but_not_followed(tmp_path: Path) -> None:
    """A link to a folder above would otherwise never end; a pipe would block who opens it."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.png").write_bytes(b"abc")
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    found = {entry.path: (entry.state, entry.size_bytes) for entry in walk(tmp_path)}
    assert found["deep/er/a.png"] == ("file", 3)
    assert found["deep/up"][0] == "link"
    assert found["pipe"][0] == "special"
    assert len(found) == 3


def test_names_that_are_not_utf_8_become_text_and_still_open(tmp_path: Path) -> None:
    """Two different names stay different, also when one is written like the escape of the other."""
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes(b"1")
    (tmp_path / "caf\\xe9.png").write_bytes(b"2")
    found = {entry.path: Path(entry.real).read_bytes() for entry in walk(tmp_path)}
    assert found == {"caf\\xe9.png": b"1", "caf\\\\xe9.png": b"2"}
    assert all(path.encode() for path in found)


def test_one_file_may_be_the_source(tmp_path: Path) -> None:
    """Its path is its name."""
    (tmp_path / "a.png").write_bytes(b"abc")
    assert [(entry.path, entry.state) for entry in walk(tmp_path / "a.png")] == [("a.png", "file")]
    assert printable_path("a/b.png") == "a/b.png"


def test_what_is_still_received_is_told_apart(tmp_path: Path) -> None:
    """A file with the mark of our own receivers, and a folder of them, which is not entered."""
    (tmp_path / f"a.dcm{PARTIAL}").write_bytes(b"abc")
    (tmp_path / f"receiving{PARTIAL}").mkdir()
    (tmp_path / f"receiving{PARTIAL}" / "tmp1").write_bytes(b"abc")
    assert {entry.path: entry.state for entry in walk(tmp_path)} == {f"a.dcm{PARTIAL}": "partial", f"receiving{PARTIAL}": "partial"}
