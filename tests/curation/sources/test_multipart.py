"""Multipart answers: wherever the network cuts them into pieces, the parts are the same, and an answer that ends early is never taken for whole."""

from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.multipart import instance_uid, split_parts
from tests.curation.dicom_builders import a_dicom

PARTS = st.lists(st.binary(max_size=60).filter(lambda content: b"--mark" not in content), max_size=4)


def an_answer(parts: list[bytes]) -> bytes:
    """Return the body of an answer whose boundary is `mark`."""
    return b"".join(b"\r\n--mark\r\nContent-Type: application/dicom\r\n\r\n" + part for part in parts) + b"\r\n--mark--\r\n"


def cut(body: bytes, size: int) -> list[bytes]:
    """Return the body in pieces."""
    return [body[start : start + size] for start in range(0, len(body), size)]


@given(parts=PARTS, size=st.integers(1, 40))
def test_parts_do_not_depend_on_how_the_network_cuts(parts: list[bytes], size: int) -> None:
    """Also when a mark is torn apart, and whether or not the answer begins with an empty line."""
    body = an_answer(parts)
    for start in (0, 2):
        assert [b"".join(part) for part in split_parts(cut(body[start:], size), b"mark")] == parts


@given(parts=PARTS.filter(bool), size=st.integers(1, 40), data=st.data())
def test_an_answer_that_ends_early_is_an_error(parts: list[bytes], size: int, data: st.DataObject) -> None:
    """At any byte before the last mark is whole."""
    body = an_answer(parts)
    kept = data.draw(st.integers(0, len(body) - 3))
    with pytest.raises(requests.ConnectionError):
        [b"".join(part) for part in split_parts(cut(body[:kept], size), b"mark")]


def test_an_answer_that_is_something_else_is_not_kept_in_memory() -> None:
    """A page of a portal, without any mark."""
    with pytest.raises(requests.ConnectionError, match="not what it says"):
        list(split_parts([b"<html>" * 1000] * 1000, b"mark"))


def test_the_uid_is_read_from_the_file_meta(tmp_path: Path) -> None:
    """Without a parser; nothing is found in what is no DICOM file or is cut before it."""
    head = a_dicom(tmp_path, SOPInstanceUID="1.2.3.4.5").read_bytes()[:4096]
    assert instance_uid(head) == "1.2.3.4.5"
    assert instance_uid(head[:140]) == instance_uid(b"x" * 4096) == instance_uid(b"") == ""


@given(content=st.binary(max_size=300))
def test_the_uid_of_anything_is_text(content: bytes) -> None:
    """Whatever a server sends."""
    assert isinstance(instance_uid(bytes(128) + b"DICM" + content), str)
