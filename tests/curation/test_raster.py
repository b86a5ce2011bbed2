"""PNG, JPEG and TIFF to pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from curation import raster
from curation.errors import ImageError
from curation.raster import decode_raster, read_raster
from tests.curation_builders import a_picture, a_raster

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def test_gray_of_16_bits_keeps_them() -> None:
    """Pillow's own conversion to 8 bits clips 300 to 255."""
    deep = np.array([[0, 300], [40000, 65535]], np.uint16)
    np.testing.assert_array_equal(decode_raster(a_raster(deep), colour=False), deep)
    assert decode_raster(a_raster(deep), colour=False).dtype == np.uint16


def test_the_orientation_of_exif_is_applied() -> None:
    """Orientation 6 means that the picture must be turned clockwise by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode_raster(a_raster(GRAY, "PNG", exif=exif), colour=False)
    np.testing.assert_array_equal(turned, np.rot90(GRAY, -1))


def test_palette_alpha_and_cmyk_become_what_was_asked_for() -> None:
    """A palette is looked up, alpha lies over black, CMYK is converted; gray and RGB come out."""
    picture = a_picture(1, 16)
    indexed = Image.fromarray(picture).quantize(8)
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG")
    np.testing.assert_array_equal(decode_raster(buffer.getvalue(), colour=True), np.asarray(indexed.convert("RGB")))
    clear = np.dstack([picture, np.zeros((16, 16), np.uint8)])
    assert decode_raster(a_raster(clear), colour=True).max() == 0
    assert decode_raster(a_raster(picture, "JPEG", mode="CMYK"), colour=True).shape == (16, 16, 3)
    assert decode_raster(a_raster(picture), colour=False).shape == (16, 16)


def code_of(content: bytes, modality: str = "DX") -> str:
    """Return the code with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        read_raster(content, modality, "patient")
    return caught.value.code


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated_files_are_refused(kind: str) -> None:
    """Never half a picture."""
    content = a_raster(a_picture(2, 64), kind)
    assert code_of(content[: len(content) // 2]) == "TRUNCATED"


def test_what_is_not_one_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, bombs, garbage, floating point values and unknown modalities have their codes."""
    buffer = io.BytesIO()
    Image.fromarray(GRAY).save(buffer, "TIFF", save_all=True, append_images=[Image.fromarray(GRAY)])
    assert code_of(buffer.getvalue()) == "MULTIPAGE"
    assert code_of(a_raster(GRAY.astype(np.float32), "TIFF")) == "DTYPE"
    assert code_of(b"\x89PNG\r\n\x1a\n" + bytes(40)) == "DECODE"
    assert code_of(a_raster(GRAY), modality="SR") == "MODALITY"
    monkeypatch.setattr(raster, "MAX_PIXELS", 63)
    assert code_of(a_raster(GRAY)) == "BOMB"
