"""Kinds of files by their first bytes."""

import gzip

import numpy as np
import pytest

from curation.sources.sniff import foreign_format, is_analyze_header, promises_image, sniff
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


@pytest.mark.parametrize(("kind", "name"), [("GIF", "GIF"), ("BMP", "BMP"), ("WEBP", "WebP"), ("JPEG2000", "JPEG 2000")])
def test_pictures_of_other_formats_are_told_by_name(kind: str, name: str) -> None:
    """They are images that somebody meant to bring, not nothing."""
    assert sniff(a_raster(PIXELS, kind)[:1024]) == "other"
    assert foreign_format(a_raster(PIXELS, kind)[:1024], "raster") == name
    assert foreign_format(a_raster(PIXELS, kind)[:1024], "dicom") is None


def test_volumes_of_other_formats_are_told_by_name() -> None:
    """Also packed; tables and texts are none."""
    assert foreign_format(b"NRRD0004\ntype: short\n", "nifti") == "NRRD"
    assert foreign_format(b"ObjectType = Image\nNDims = 3\n", "nifti") == "MetaImage"
    assert foreign_format(gzip.compress(b"CDF\x01" + bytes(500)), "nifti") == "MINC"
    for text in (b"BMI,age\n21,40\n33,50\n", b"CDFX", b"", b"GI"):
        assert foreign_format(text, "raster") is foreign_format(text, "nifti") is None


def test_analyze_is_told_from_nifti() -> None:
    """The same layout, without the mark."""
    header = bytearray(a_nifti()[:348])
    header[38:39], header[344:348] = b"r", bytes(4)
    assert is_analyze_header(bytes(header))
    assert sniff(bytes(header)) == "other"
    assert not is_analyze_header(a_nifti())
