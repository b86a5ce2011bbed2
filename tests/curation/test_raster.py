"""PNG, JPEG and TIFF to pixels."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, TiffImagePlugin

from curation import raster
from curation.errors import ImageError
from curation.pixels import Pixels
from curation.raster import read_raster
from tests.curation_builders import a_picture, a_raster

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def test_gray_of_16_bits_keeps_them() -> None:
    """Pillow's own conversion to 8 bits clips 300 to 255."""
    deep = np.array([[0, 300], [40000, 65535]], np.uint16)
    np.testing.assert_array_equal(pixels_of(a_raster(deep)), deep)
    assert pixels_of(a_raster(deep)).dtype == np.uint16


def test_the_orientation_of_exif_is_applied() -> None:
    """Orientation 6 means that the picture must be turned clockwise by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = pixels_of(a_raster(GRAY, "PNG", exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(GRAY, -1))


def test_palette_alpha_and_cmyk_become_what_was_asked_for() -> None:
    """A palette is looked up, alpha lies over black, CMYK is converted; gray and RGB come out."""
    picture = a_picture(1, 16)
    indexed = Image.fromarray(picture).quantize(8)
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG")
    np.testing.assert_array_equal(pixels_of(buffer.getvalue(), colour=True), np.asarray(indexed.convert("RGB")))
    clear = np.dstack([picture, np.zeros((16, 16), np.uint8)])
    assert pixels_of(a_raster(clear), colour=True).max() == 0
    assert pixels_of(a_raster(picture, "JPEG", mode="CMYK"), colour=True).shape == (16, 16, 3)
    assert pixels_of(a_raster(picture)).shape == (16, 16)


def pixels_of(content: bytes, *, colour: bool = False) -> Pixels:
    """Return the only image of a file."""
    (found,) = read_raster(content, "XC" if colour else "DX", "patient")
    return found.pixels


def code_of(content: bytes, modality: str = "DX") -> str:
    """Return the code with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        list(read_raster(content, modality, "patient"))
    return caught.value.code


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated_files_are_refused(kind: str) -> None:
    """Never half a picture."""
    content = a_raster(a_picture(2, 64), kind)
    assert code_of(content[: len(content) // 2]) == "TRUNCATED"


def a_tiff(*pages: npt.NDArray[Any], **options: Any) -> bytes:
    """Return a TIFF file of several pages."""
    buffer = io.BytesIO()
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(buffer, "TIFF", save_all=True, append_images=others, **options)
    return buffer.getvalue()


def test_each_page_of_a_tiff_is_an_image() -> None:
    """Pages may differ in size and depth; `attributes` says which one it is."""
    deep = np.full((4, 6), 40000, np.uint16)
    first, second, third = read_raster(a_tiff(GRAY, deep, GRAY.T), "DX", "p")
    np.testing.assert_array_equal(first.pixels, GRAY)
    np.testing.assert_array_equal(second.pixels, deep)
    np.testing.assert_array_equal(third.pixels, GRAY.T)
    assert [page.fields["attributes"] for page in (first, second, third)] == [f'{{"page_index": {n}}}' for n in range(3)]
    (alone,) = read_raster(a_tiff(GRAY), "DX", "p")
    assert alone.fields == {}


def test_thumbnails_and_masks_in_a_tiff_are_no_pages() -> None:
    """Their tag says that they belong to another page."""
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer) as writer:
        for kind, page in ((0, GRAY), (1, GRAY[::2, ::2].copy()), (4, GRAY)):
            Image.fromarray(page).save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    assert len(list(read_raster(buffer.getvalue(), "DX", "p"))) == 1


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_white_is_the_largest_value_at_any_depth(depth: Any) -> None:
    """A TIFF whose photometric interpretation is WhiteIsZero is turned round, also with 16 bits, which Pillow leaves."""
    stored = np.array([[0, 1], [2, 3]], depth)
    content = a_raster(stored, "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(pixels_of(content), np.iinfo(depth).max - stored if depth == np.uint16 else stored)
    with Image.open(io.BytesIO(content)) as image:
        assert image.tag_v2[262] == 0  # type: ignore[attr-defined]


def test_a_transparent_gray_value_is_black() -> None:
    """Also without an alpha channel: PNG may name one value that is clear."""
    content = a_raster(np.array([[50, 60]], np.uint8), transparency=60)
    np.testing.assert_array_equal(pixels_of(content), [[50, 0]])


def test_colours_of_16_bits_keep_the_upper_eight_and_a_note() -> None:
    """The loss is told."""
    import cv2

    deep = np.full((4, 4, 3), (0x1234, 0x5678, 0x9ABC), np.uint16)
    content = cv2.imencode(".png", deep)[1].tobytes()
    (found,) = read_raster(content, "XC", "p")
    assert found.notes == ("EIGHT_BITS",)
    np.testing.assert_array_equal(found.pixels[0, 0], [0x9A, 0x56, 0x12])
    (plain,) = read_raster(a_raster(GRAY), "DX", "p")
    assert plain.notes == ()


def test_the_first_frame_of_a_multi_picture_jpeg_is_the_image() -> None:
    """The second one is a preview or the other eye."""
    buffer = io.BytesIO()
    Image.fromarray(GRAY).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(255 - GRAY)], quality=100)
    (found,) = read_raster(buffer.getvalue(), "DX", "p")
    np.testing.assert_allclose(found.pixels.astype(int), GRAY, atol=3)


def test_a_page_that_is_cut_short_refuses_the_file() -> None:
    """Never half of it."""
    content = a_tiff(a_picture(1, 64), a_picture(2, 64))
    assert code_of(content[:-3000], "XC") in ("TRUNCATED", "DECODE")


def test_what_is_not_one_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Films, bombs, garbage, floating point values and unknown modalities have their codes."""
    buffer = io.BytesIO()
    Image.fromarray(GRAY).save(buffer, "PNG", save_all=True, append_images=[Image.fromarray(255 - GRAY)])
    assert code_of(buffer.getvalue()) == "MULTIPAGE"
    assert code_of(a_raster(GRAY.astype(np.float32), "TIFF")) == "DTYPE"
    assert code_of(b"\x89PNG\r\n\x1a\n" + bytes(40)) == "DECODE"
    assert code_of(a_raster(GRAY), modality="SR") == "MODALITY"
    monkeypatch.setattr(raster, "MAX_PIXELS_OF_PAGES", 100)
    assert code_of(a_tiff(GRAY, GRAY)) == "BOMB"
    monkeypatch.setattr(raster, "MAX_PAGES", 1)
    assert code_of(a_tiff(GRAY, GRAY)) == "BOMB"
    monkeypatch.setattr(raster, "MAX_PIXELS", 63)
    assert code_of(a_raster(GRAY)) == "BOMB"


def test_a_png_that_declares_more_pixels_than_it_holds_is_not_allocated() -> None:
    """A header of a few bytes may promise 30,000 by 30,000."""
    content = bytearray(a_raster(GRAY))
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    assert code_of(bytes(content)) == "BOMB"


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("how", [{"quality": 90}, {"quality": 75, "progressive": True}, {"quality": 60, "subsampling": 1}, {"quality": 100, "subsampling": 0}])
def test_a_jpeg_has_the_pixels_that_pillow_gives_it(mode: str, colour: bool, how: dict[str, int]) -> None:
    """Whichever library decodes it."""
    pixels = np.random.default_rng(3).integers(0, 256, (37, 51) if mode == "L" else (37, 51, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **how)
    opened = Image.open(io.BytesIO(stream.getvalue())).convert("RGB")
    wanted = opened if colour else opened.convert("L")
    assert np.array_equal(pixels_of(stream.getvalue(), colour=colour), np.asarray(wanted))
