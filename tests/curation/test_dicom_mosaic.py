"""Siemens mosaics: tiles with known place and values, and what cannot be placed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from curation.dicom import read_series
from tests.curation.dicom_builders import ROOT, a_dataset, save

KEY = b"k" * 32
TILE = 6
TILES = 7


def a_csa_header(**elements: list[str]) -> bytes:
    """Return a CSA2 header with the elements as Siemens writes them."""
    content = b"SV10\x04\x03\x02\x01" + struct.pack("<2I", len(elements), 77)
    for name, items in elements.items():
        content += struct.pack("<64si4s3i", name.encode(), len(items), b"FD\0\0" if "Vector" in name else b"IS\0\0", 0, len(items), 77)
        for item in items:
            text = item.encode() + b"\0"
            content += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return content


def a_mosaic(number: int = 1, csa: dict[str, list[str]] | None = None, count: int | None = TILES, **tags: Any) -> Dataset:
    """Return a mosaic of 7 tiles of 6 × 6 in a square of 3 × 3; `csa` replaces the private header, an empty one removes it."""
    pixels = np.random.default_rng(number).integers(0, 4096, (3 * TILE, 3 * TILE), dtype=np.uint16)
    dataset = a_dataset(
        **{
            "Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "SOPInstanceUID": f"{ROOT}.7.{number}", "RescaleSlope": None,
            "RescaleIntercept": None,
            "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], "Rows": 3 * TILE, "Columns": 3 * TILE, "InstanceNumber": number,
            "PixelData": pixels.tobytes(), "PixelSpacing": [2.0, 3.0], "SpacingBetweenSlices": 4.0, "ImagePositionPatient": [100.0, 200.0, 50.0],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], **tags,
        }
    )  # fmt: skip
    if count is not None:
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
    elements = {"NumberOfImagesInMosaic": [str(count)], "SliceNormalVector": ["0.0", "0.0", "-1.0"], "ProtocolSliceNumber": ["0"]} if csa is None else csa
    if elements:
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", a_csa_header(**elements))
    return dataset


def code_of(dataset: Dataset, folder: Path) -> str:
    """Return the code of a file."""
    path = save(dataset, folder / "one.dcm")
    return read_series([path], KEY).outcomes[path].code


def test_tiles_become_slices_at_their_places(tmp_path: Path) -> None:
    """The normal of this mosaic points down, so the last tile is the lowest slice; corners lie one tile (half of three, less half) inside."""
    path = save(a_mosaic(), tmp_path / "one.dcm")
    (volume,) = read_series([path], KEY).images
    whole = np.frombuffer(a_mosaic().PixelData, np.uint16).reshape(3 * TILE, 3 * TILE).astype(np.float32)
    for slice_number in range(TILES):
        row, column = divmod(TILES - 1 - slice_number, 3)
        np.testing.assert_array_equal(volume.pixels[slice_number], whole[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE])
    assert volume.spacing_mm == (4.0, 2.0, 3.0)
    assert volume.affine is not None
    lowest = [-(100 + 3.0 * TILE), -(200 + 2.0 * TILE), 50 - 4.0 * (TILES - 1)]
    np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [*lowest, 1])
    np.testing.assert_allclose(volume.affine @ [1, 2, 3, 1], [lowest[0] - 3, lowest[1] - 4, lowest[2] + 12, 1])


def test_each_mosaic_of_a_series_is_a_volume(tmp_path: Path) -> None:
    """In the order of their instance numbers, even where the head is followed and the place moves a little."""
    paths = [save(a_mosaic(number, ImagePositionPatient=[100, 200, 50 + 0.1 * number]), tmp_path / f"{9 - number}.dcm") for number in (1, 2, 3)]
    result = read_series(paths, KEY)
    assert [image.pixels.shape for image in result.images] == [(TILES, TILE, TILE)] * 3
    assert [result.outcomes[path].image_index for path in paths] == [0, 1, 2]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("MOSAIC", {"csa": {}}),
        ("MOSAIC", {"csa": {"SliceNormalVector": []}}),
        ("MOSAIC", {"csa": {"SliceNormalVector": ["1.0", "0.0", "0.0"]}}),
        ("MOSAIC", {"csa": {"SliceNormalVector": ["0.0", "0.0", "1.0"], "ProtocolSliceNumber": ["6"]}}),
        ("MOSAIC", {"count": None, "csa": {"SliceNormalVector": ["0.0", "0.0", "1.0"]}}),
        ("MOSAIC", {"count": 17}),
        ("SPACING", {"SpacingBetweenSlices": None}),
        ("SPACING", {"SpacingBetweenSlices": 0}),
        ("SINGLE_SLICE", {"count": 2, "Rows": 2 * TILE, "Columns": 2 * TILE, "PixelData": bytes(range(144)) * 2}),
    ],
)  # fmt: skip
def test_a_mosaic_that_cannot_be_placed_is_refused(tmp_path: Path, code: str, changes: dict[str, Any]) -> None:
    """No private header, no normal, one across the slices, a reversed order, no count, tiles that do not fit, no distance, too few."""
    assert code_of(a_mosaic(**changes), tmp_path) == code


def test_a_damaged_private_header_is_refused(tmp_path: Path) -> None:
    """Cut short, or nonsense."""
    for content in (b"SV10", a_csa_header(SliceNormalVector=["0.0", "0.0", "1.0"])[:90], b"\xff" * 200):
        dataset = a_mosaic(csa={})
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", content)
        assert code_of(dataset, tmp_path) in ("MOSAIC", "CORRUPT")
