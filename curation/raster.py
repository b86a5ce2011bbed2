"""PNG, JPEG and TIFF to pixels: nothing but pixels comes out, no text, no EXIF, no bytes after the end.

Every conversion is explicit: EXIF orientation is applied, palettes and CMYK become RGB, alpha is laid over black, 16-bit gray keeps its 16 bits, and white
is the largest value. Each page of a TIFF is an image; its thumbnails and masks are not.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.modalities import family_of
from curation.pixels import SYNTHETIC_MARK, Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 100_000_000
MAX_PAGES = 10_000
MAX_PIXELS_OF_PAGES = 1_000_000_000
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)
EIGHT_BITS = "EIGHT_BITS"
"""Note of an image whose colours had more than 8 bits: the upper 8 were kept."""
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SUBFILE_TYPE, _WHITE_IS_ZERO = 258, 262, 254, 0
_REDUCED_OR_MASK = 1 | 4
_ORIENTATION = 0x0112
ORIENTING = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where a file may say which side is up."""
END_OF_JPEG = b"\xff\xd9"


def read_raster(content: bytes, modality: str, patient: str) -> Iterator[Acquired]:
    """Yield the image in the bytes of a PNG or JPEG file, or each page of a TIFF file; of several, `attributes` says which page.

    Args:
        content: the whole file.
        modality: DICOM code; colour modalities become `(H, W, 3)` RGB, all others `(H, W)` gray.
        patient: raw patient identifier.

    Raises:
        ImageError: MODALITY, TRUNCATED, DECODE, BOMB, MULTIPAGE, SYNTHETIC, RANGE or DTYPE.
    """
    family = family_of(modality)
    if family is None:
        raise ImageError("MODALITY", "its modality is no DICOM code of images that are taken in; `values` of the source translates words of the table")
    with _open(content) as image:
        with _decoding():
            pages = _pages_of(image)
        for page in pages:
            with _decoding():
                pixels, notes = _decode_page(image, page, content, colour=family == "colour")
            fields = {"attributes": json.dumps({"page_index": page})} if len(pages) > 1 else {}
            yield Acquired(pixels, modality, patient, fields=fields, notes=notes)


def _open(content: bytes) -> Image:
    """Read the header of an image."""
    from PIL import Image

    with _decoding():
        image = Image.open(io.BytesIO(content))
        _refuse_bomb(image)
        if SYNTHETIC_MARK in image.info:
            raise ImageError("SYNTHETIC", "the file is marked as synthetic: no patient's image")
        return image


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn whatever the decoder raises into an `ImageError`."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError:
        raise ImageError("BOMB", "the image declares more than 100 million pixels") from None
    except DECODE_ERRORS as error:
        code = "TRUNCATED" if "truncat" in str(error).lower() or isinstance(error, EOFError) else "DECODE"
        reason = "the file ends before the image does" if code == "TRUNCATED" else f"the image cannot be decoded ({type(error).__name__})"
        raise ImageError(code, reason) from None


def _refuse_bomb(image: Image) -> None:
    """Check what the header declares, before anything is allocated."""
    if image.width * image.height > MAX_PIXELS:
        raise ImageError("BOMB", "the image declares more than 100 million pixels")


def _pages_of(image: Image) -> list[int]:
    """Return the numbers of the pages that are images of their own; a second frame of a JPEG (MPO) is a preview."""
    count = getattr(image, "n_frames", 1)
    if image.format == "MPO" or count == 1:
        return [0]
    if image.format != "TIFF":
        raise ImageError("MULTIPAGE", "the file is a film, and it is not said which frame is the image")
    if count > MAX_PAGES:
        raise ImageError("BOMB", f"the file has more than {MAX_PAGES} pages")
    pages, pixels = [], 0
    for page in range(count):
        image.seek(page)
        if not _tag(image, _SUBFILE_TYPE, 0) & _REDUCED_OR_MASK:
            pages.append(page)
            pixels += image.width * image.height
    if pixels > MAX_PIXELS_OF_PAGES:
        raise ImageError("BOMB", "the pages of the file declare more than 1000 million pixels together")
    return pages or [0]


def _tag(image: Image, number: int, default: int) -> int:
    """Return a tag of a TIFF page; of several values the largest."""
    value = getattr(image, "tag_v2", {}).get(number, default)
    return int(max(value)) if isinstance(value, tuple) else int(value)


def _bits(image: Image, content: bytes) -> int:
    """Return how many bits the file stores of a sample."""
    if image.format == "PNG":
        return content[24]
    return _tag(image, _BITS_PER_SAMPLE, 8)


def _decode_page(image: Image, page: int, content: bytes, *, colour: bool) -> tuple[Pixels, tuple[str, ...]]:
    """Return the pixels of one page, and codes of what was lost."""
    image.seek(page)
    _refuse_bomb(image)
    plain = _decode_plain(image, content)
    if plain is not None:
        return _as_asked(plain, colour=colour), ()
    image.load()
    notes = (EIGHT_BITS,) if _bits(image, content) > 8 and image.mode not in _DEEP_MODES else ()
    return _decode(image, colour=colour), notes


def _decode_plain(image: Image, content: bytes) -> Pixels | None:
    """Return a whole upright 8-bit gray or RGB JPEG as `(H, W)` or `(H, W, 3)` uint8, or None: OpenCV has the same bytes in half of Pillow's time."""
    if image.format != "JPEG" or image.mode not in ("L", "RGB") or not content.endswith(END_OF_JPEG):
        return None
    if not image.info.keys().isdisjoint(ORIENTING) and image.getexif().get(_ORIENTATION, 1) != 1:
        return None
    import cv2

    how = cv2.IMREAD_GRAYSCALE if image.mode == "L" else cv2.IMREAD_COLOR_RGB
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if pixels is None or pixels.shape[:2] != (image.height, image.width) else np.asarray(pixels)


def _as_asked(pixels: Pixels, *, colour: bool) -> Pixels:
    """Return 8-bit pixels as RGB or as gray."""
    from PIL import Image

    if colour:
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def _decode(image: Image, *, colour: bool) -> Pixels:
    """Convert any Pillow mode on purpose."""
    from PIL import ImageOps

    is_inverted = image.mode in _DEEP_MODES and _tag(image, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO  # Pillow turns only 8 bits round
    largest = (1 << min(_tag(image, _BITS_PER_SAMPLE, 16), 16)) - 1
    image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP_MODES:
        gray = _deep_gray(np.asarray(image), colour=colour)
        return (largest - gray).astype(np.uint16) if is_inverted else gray
    if image.mode == "F":
        raise ImageError("DTYPE", "the image has floating point values without a known meaning")
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        image = _over_black(image)
    if colour:
        return np.asarray(image.convert("RGB"))
    return np.asarray(image.convert("RGB").convert("L") if image.mode not in ("L", "1") else image.convert("L"))


def _deep_gray(values: Pixels, *, colour: bool) -> Pixels:
    """Return 16-bit gray as `(H, W)` uint16."""
    if colour:
        raise ImageError("DTYPE", "a colour image has values that are not 8 bits deep")
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise ImageError("RANGE", "values of a gray image do not lie between 0 and 65535")
    return values.astype(np.uint16)


def _over_black(image: Image) -> Image:
    from PIL.Image import alpha_composite, new

    layer = image.convert("RGBA")
    return alpha_composite(new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("RGB")
