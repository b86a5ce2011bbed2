"""Reading DICOM X-rays and other single images: windows, inversion, bits, and what the header says of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.dicom import read_series
from tests.curation.dicom_builders import SIZE, a_dataset, a_dicom, a_pattern, an_xray
from tests.curation.dicom_codes import KEY, codes_of


def test_an_xray_is_shown_through_its_window(tmp_path: Path) -> None:
    """Window centre 2048, width 1024, 12 bits: below black, above white, the middle gray."""
    image = read_series([an_xray(tmp_path, WindowCenter=2048, WindowWidth=1024)], KEY).images[0]
    stored = a_pattern(0).astype(np.float64)
    expected = np.rint(np.clip((stored - 2047.5) / 1023 + 0.5, 0, 1) * 65535)
    np.testing.assert_array_equal(image.pixels, expected.astype(np.uint16))
    assert image.spacing_mm == (0.2, 0.2)
    assert image.affine is None
    assert image.fields["view_position"] == "PA"


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    """What was stored as bright comes out dark."""
    plain = read_series([an_xray(tmp_path)], KEY).images[0].pixels
    inverted = read_series([an_xray(tmp_path, PhotometricInterpretation="MONOCHROME1")], KEY).images[0].pixels
    np.testing.assert_array_equal(inverted, 65535 - plain)


def test_eight_bits_stay_eight_bits_and_bits_above_those_stored_are_dropped(tmp_path: Path) -> None:
    """An overlay that hides in the high bits is not part of the image."""
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": bytes(range(256))}
    assert read_series([an_xray(tmp_path, **eight)], KEY).images[0].pixels.dtype == np.uint8
    hidden = (a_pattern(0) | 0x8000).tobytes()
    np.testing.assert_array_equal(
        read_series([an_xray(tmp_path, PixelData=hidden)], KEY).images[0].pixels, read_series([an_xray(tmp_path / "b")], KEY).images[0].pixels
    )


def test_a_voi_lut_wins_over_a_window(tmp_path: Path) -> None:
    """The table inverts the values here, so that its use is seen."""
    dataset, lut = a_dataset(), Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 12], np.arange(4095, -1, -1, dtype=np.uint16).tobytes()
    path = an_xray(tmp_path, VOILUTSequence=Sequence([lut]), WindowCenter=100, WindowWidth=10)
    stored = np.frombuffer(dataset.PixelData, np.uint16).reshape(SIZE, SIZE)
    np.testing.assert_array_equal(read_series([path], KEY).images[0].pixels, np.rint((4095 - stored.astype(np.float64)) / 4095 * 65535).astype(np.uint16))


@pytest.mark.parametrize("spacing", [[0, 0], [-1, 1]])
def test_an_impossible_spacing_of_an_xray_is_refused(tmp_path: Path, spacing: list[float]) -> None:
    """Missing is fine for a 2-D image, wrong is not."""
    assert codes_of([an_xray(tmp_path, ImagerPixelSpacing=spacing)]) == {"SPACING"}
    assert codes_of([an_xray(tmp_path, ImagerPixelSpacing=None)]) == {""}


def test_what_a_header_says_of_text_goes_with_the_image(tmp_path: Path) -> None:
    """Screens and ultrasound are suspect, unless they deny that text is burned in; the pixels, in RGB, are looked at later."""
    rgb = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    colour = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US", "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB",
              "PlanarConfiguration": 0,
              "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": rgb.tobytes()}  # fmt: skip
    for said, risk in ((None, "high"), ("NO", "low"), ("YES", "said")):
        kept = read_series([a_dicom(tmp_path, BurnedInAnnotation=said, **colour)], KEY).images[0]
        assert kept.text_risk == risk
        np.testing.assert_array_equal(kept.pixels, rgb)
