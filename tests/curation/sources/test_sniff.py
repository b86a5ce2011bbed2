"""Kinds of files by their first bytes."""

import gzip

import numpy as np
import pytest

from curation.sources.sniff import promises_image, sniff
from tests.curation_builders import a_nifti, a_raster

PIXELS = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (bytes(128) + b"DICM", "dicom"),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", "dicom"),
        (a_raster(PIXELS, "PNG"), "png"),
        (a_raster(PIXELS, "JPEG"), "jpeg"),
        (a_raster(PIXELS, "TIFF"), "tiff"),
        (a_nifti(), "nifti"),
        (a_nifti(packed=True), "nifti"),
        (gzip.compress(b"just text, packed" * 100), "other"),
        (b"\x1f\x8b broken", "other"),
        (b"", "other"),
        (b"%PDF-1.7", "other"),
        (b"participant_id\tsex\n", "other"),
    ],
)
def test_the_first_bytes_tell_the_kind(content: bytes, kind: str) -> None:
    """Names are not asked."""
    assert sniff(content[:1024]) == kind


def test_a_name_may_promise_an_image() -> None:
    """Only what this kind of source reads counts."""
    assert promises_image("A/B.JPG", "raster")
    assert not promises_image("A/B.JPG", "dicom")
