"""JPEG streams that are not whole are refused before a decoder sees them that would end the process."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from curation.dicom_pixels import decode_frames
from curation.errors import ImageError
from curation.jpeg_streams import check_jpeg
from tests.curation.dicom_builders import a_dataset
from tests.curation_builders import a_raster

PICTURE = np.random.default_rng(1).integers(0, 255, (16, 16), np.uint8)


def a_stream(**options: Any) -> bytes:
    """Return a gray picture as JPEG."""
    return a_raster(PICTURE, "JPEG", **options)


def an_answer(stream: bytes) -> str:
    """Return the code of a refusal, or `taken`."""
    try:
        check_jpeg(stream)
    except ImageError as error:
        return error.code
    return "taken"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"comment": "two words"}, {"quality": 100}])
def test_whole_streams_are_taken(options: dict[str, Any]) -> None:
    """Baseline, progressive, with restarts and comments."""
    assert an_answer(a_stream(**options)) == "taken"
    assert an_answer(a_raster(np.stack([PICTURE] * 3, 2), "JPEG", **options)) == "taken"


@pytest.mark.parametrize("length", [0, 1, 2, 100, 300, -1, -2])
def test_a_stream_that_ends_early_is_refused(length: int) -> None:
    """Wherever it ends."""
    assert an_answer(a_stream()[:length]) in ("TRUNCATED", "CORRUPT")


@pytest.mark.parametrize("marker", [b"\xff\xc4", b"\xff\xdb", b"\xff\xc0"])
def test_a_segment_that_lacks_a_byte_is_refused(marker: bytes) -> None:
    """The decoder takes what follows for a table, and ends the process when it does not fit."""
    stream = a_stream()
    place = stream.index(marker) + 6
    assert an_answer(stream[:place] + stream[place + 1 :]) in ("TRUNCATED", "CORRUPT")


def test_a_picture_within_the_picture_is_refused() -> None:
    """Two starts, as when a block is written twice."""
    stream = a_stream()
    middle = stream.index(b"\xff\xda") + 40
    assert an_answer(stream[:middle] + stream) == "CORRUPT"


def test_damaged_frames_never_end_the_process() -> None:
    """A block of the stream is written twice, or missing: the process that decodes lives, 60 times."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    rng, stream = random.Random(3), a_stream()
    codes = set()
    for _ in range(60):
        start, place, size = rng.randrange(len(stream)), rng.randrange(len(stream)), rng.choice((1, 2, 16, 128))
        damaged = stream[:place] + stream[start : start + size] + stream[place:] if rng.random() < 0.5 else stream[:start] + stream[start + size :]
        dataset = a_dataset(BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=encapsulate([damaged]))
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        try:
            decode_frames(dataset)
        except ImageError as error:
            codes.add(error.code)
    assert codes & {"CORRUPT", "TRUNCATED"}
