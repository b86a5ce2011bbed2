"""Projection images and other gray images: displayed values, a target size."""

from __future__ import annotations

import numpy as np

from curation.errors import ImageError
from curation.harmonize.clahe import equalize_locally
from curation.harmonize.resample import resize_longest, round_to
from curation.pixels import Pixels
from curation.recipe import XraySettings


def harmonize_xray(image: Pixels, settings: XraySettings) -> Pixels:
    """Return the image with the target size: uint8 stays uint8, everything deeper becomes uint16.

    Args:
        image: `(H, W)`, displayed values of MONOCHROME2 (bigger is brighter).
        settings: the longest side, and the clip limit of the local equalization. Its crop was done before, as a label map has to follow it.

    Raises:
        ImageError: `RANGE`, values do not fit into 16 bits without a sign.
    """
    dtype: type[np.unsignedinteger] = np.uint8 if image.dtype == np.uint8 else np.uint16
    if image.dtype not in (np.uint8, np.uint16) and (not np.isfinite(image).all() or image.min() < 0 or image.max() > np.iinfo(np.uint16).max):
        raise ImageError("RANGE", "values of a gray image do not lie between 0 and 65535")
    return equalize_locally(_resized(image, settings.size_px, dtype), settings.clahe) if settings.clahe else _resized(image, settings.size_px, dtype)


def _resized(image: Pixels, size_px: int, dtype: type[np.unsignedinteger]) -> Pixels:
    if max(image.shape) == size_px:
        return round_to(image.astype(np.float32), dtype) if image.dtype != dtype else image
    return round_to(resize_longest(image, size_px), dtype)
