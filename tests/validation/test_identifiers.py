"""What looks like a raw identifier, what does not, and where a stored file can hide one."""

from __future__ import annotations

import numpy as np
import pytest

from curation.pixels import encode_nifti, encode_png
from validation.identifiers import hidden_text, kinds_in


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.2.840.113619.2.55.3.604688119", "UID"),
        ("mail a.b@clinic.example now", "e-mail"),
        ("seen on 2019-03-12", "date"),
        ("seen on 12/03/2019", "date"),
        ("seen 20190312.", "date"),
        ("/home/weber/scan.dcm", "path"),
        ("C:\\scans\\1.dcm", "path"),
        ("file:///x", "path"),
    ],
)
def test_raw_identifiers_are_found(text: str, kind: str) -> None:
    """Each kind is named."""
    assert any(kind in found for found in kinds_in(text))


@pytest.mark.parametrize(
    "text",
    [
        "2.25.329800735698586629295641978511506172918",
        "https://schema.org/Dataset",
        "data/shards/*.tar",
        "version 1.2.3",
        "0.20190312",
        "8-bit and/or z",
        "e3b0c44298fc1c14",
    ],
)
def test_pseudonyms_addresses_and_numbers_are_left_alone(text: str) -> None:
    """What a release holds on purpose is not called an identifier."""
    assert kinds_in(text) == []


def test_a_hash_that_looks_dated_is_left_alone_and_a_date_in_other_letters_is_not() -> None:
    """Among thousands of our own ids some hold eight digits that read as a day; a scanner's file name with a day is found."""
    for length in (20, 32, 40, 64):
        assert kinds_in(("ab20240131" + "c" * 64)[:length]) == []
    assert kinds_in("IMG20240131.dcm") == ["a date"]
    assert kinds_in("ab20240131 of " + "c" * 20) == ["a date"]


def test_the_day_of_the_release_may_stand_there() -> None:
    """Only that day."""
    assert kinds_in("made 2026-11-21", frozenset({"2026-11-21"})) == []
    assert kinds_in("made 2026-11-21, seen 2026-11-20", frozenset({"2026-11-21"})) == ["a date"]


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_text_and_trailing_bytes_of_a_png_are_found(shape: tuple[int, ...]) -> None:
    """Our own PNG has none; a text chunk and bytes after the end are named."""
    pixels = np.zeros(shape, np.uint8)
    assert hidden_text(encode_png(pixels), ".png") == []
    assert hidden_text(encode_png(pixels, {"PatientName": "x"}), ".png") == ["PNG chunk tEXt"]
    assert hidden_text(encode_png(pixels) + b"Weber", ".png") == ["bytes after the end of the PNG"]


def test_text_of_a_nifti_header_is_found() -> None:
    """Our own volume has none; a description, an extension and a broken stream are named."""
    import gzip

    import nibabel as nib

    volume = np.zeros((2, 4, 4), np.int16)
    assert hidden_text(encode_nifti(volume, np.eye(4)), ".nii.gz") == []
    image = nib.Nifti1Image(volume, np.eye(4))
    image.header["descrip"] = b"Weber"
    assert hidden_text(gzip.compress(image.to_bytes()), ".nii.gz") == ["NIfTI field descrip"]
    extended = nib.Nifti1Image(volume, np.eye(4))
    extended.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Weber"))
    assert hidden_text(gzip.compress(extended.to_bytes()), ".nii.gz") == ["NIfTI extension"]
    assert hidden_text(b"no gzip at all", ".nii.gz") == ["stream that is not gzip"]
