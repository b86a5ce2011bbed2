"""PNG, JPEG and TIFF to pixels: nothing but pixels comes out, no text, no EXIF, no bytes after the end.

Every conversion is explicit: EXIF orientation is applied, palettes and CMYK become RGB, alpha is laid over black, 16-bit gray keeps its 16 bits.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

import numpy as np

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.modalities import family_of
from curation.pixels import SYNTHETIC_MARK, Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 100_000_000
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def read_raster(content: bytes, modality: str, patient: str) -> Acquired:
    """Return the image in the bytes of a PNG, JPEG or one-page TIFF file.

    Args:
        content: the whole file.
        modality: DICOM code; colour modalities become `(H, W, 3)` RGB, all others `(H, W)` gray.
        patient: raw patient identifier.

    Raises:
        ImageError: MODALITY, TRUNCATED, DECODE, BOMB, MULTIPAGE, SYNTHETIC or DTYPE.
    """
    family = family_of(modality)
    if family is None:
        raise ImageError("MODALITY", "the modality is not one that is taken in")
    return Acquired(decode_raster(content, colour=family == "colour"), modality, patient)


def decode_raster(content: bytes, *, colour: bool) -> Pixels:
    """Return `(H, W, 3)` uint8 RGB when `colour`, else `(H, W)` uint8 or uint16 gray."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                _refuse_what_is_not_one_image(image)
                image.load()
                return _to_array(ImageOps.exif_transpose(image), colour=colour)
    except Image.DecompressionBombError:
        raise ImageError("BOMB", "the image declares more than 100 million pixels") from None
    except DECODE_ERRORS as error:
        code = "TRUNCATED" if "truncat" in str(error).lower() or isinstance(error, EOFError) else "DECODE"
        reason = "the file ends before the image does" if code == "TRUNCATED" else f"the image cannot be decoded ({type(error).__name__})"
        raise ImageError(code, reason) from None


def _refuse_what_is_not_one_image(image: Image) -> None:
    """Check what the header declares, before anything is allocated."""
    if image.width * image.height > MAX_PIXELS:
        raise ImageError("BOMB", "the image declares more than 100 million pixels")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise ImageError("MULTIPAGE", "the file holds several pages, and it is not said which one is the image")
    if SYNTHETIC_MARK in image.info:
        raise ImageError("SYNTHETIC", "the file is marked as synthetic: no patient's image")


def _to_array(image: Image, *, colour: bool) -> Pixels:
    """Convert any Pillow mode on purpose."""
    if image.mode in _DEEP_MODES:
        return _deep_gray(np.asarray(image), colour=colour)
    if image.mode == "F":
        raise ImageError("DTYPE", "the image has floating point values without a known meaning")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or (image.mode == "P" and "transparency" in image.info):
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
