"""The hash chain of decisions."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import IntegrityError
from curation.ledger import GENESIS, append_decision, last_line, read_ledger, verify_ledger


def a_ledger(folder: Path, lines: int = 5) -> tuple[Path, str]:
    """Write a ledger and return its path and head."""
    path, head = folder / "ledger.jsonl", GENESIS
    for number in range(lines):
        head = append_decision(path, "relabelled", what=f"image {number}", why="an expert said so", old="a", new="b")
    return path, head


def test_a_whole_chain_verifies(tmp_path: Path) -> None:
    """Lines that were appended one after the other hold, also with the head of the last."""
    path, head = a_ledger(tmp_path)
    assert verify_ledger(path, head) == 5
    assert last_line(path) == list(read_ledger(path))[-1]


def test_every_single_changed_byte_is_found(tmp_path: Path) -> None:
    """Planted: each byte of the file is changed once; no change goes unnoticed."""
    path, head = a_ledger(tmp_path, lines=2)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises((IntegrityError, UnicodeDecodeError)):
            verify_ledger(path, head)


@pytest.mark.parametrize("missing", range(5))
def test_a_removed_line_is_found(tmp_path: Path, missing: int) -> None:
    """Planted: one line is cut out, also the last."""
    path, head = a_ledger(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:missing] + lines[missing + 1 :]))
    with pytest.raises(IntegrityError):
        verify_ledger(path, head)


def test_exchanged_lines_are_found(tmp_path: Path) -> None:
    """Planted: two lines change places."""
    path, head = a_ledger(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(IntegrityError):
        verify_ledger(path, head)


@given(st.text(), st.text(max_size=9000), st.none() | st.integers() | st.text())
def test_any_text_can_be_written_and_read(tmp_path_factory: pytest.TempPathFactory, what: str, why: str, new: object) -> None:
    """Line breaks, quotes and long reasons survive."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    append_decision(path, "noted", what="first", why="first")
    head = append_decision(path, "noted", what=what, why=why, new=new)
    assert verify_ledger(path, head) == 2
    line = last_line(path)
    assert line is not None
    assert (line["what"], line["why"], line["new"]) == (what, why, new)
    assert json.loads(json.dumps(line)) == line


@pytest.mark.parametrize("cut", [1, 7, 5000])
def test_a_line_that_a_crash_cut_short_does_not_stop_the_project(tmp_path: Path, cut: int) -> None:
    """Planted: the power failed in the middle of a write. The line was never acknowledged: it does not count, and the next decision replaces it."""
    path, head = a_ledger(tmp_path)
    append_decision(path, "relabelled", what="image 5", why="w" * 9000)
    path.write_bytes(path.read_bytes()[:-cut])
    assert verify_ledger(path, head) == 5
    last = last_line(path)
    assert last is not None
    assert last["hash"] == head
    assert verify_ledger(path, append_decision(path, "noted", what="next", why="it goes on")) == 6
