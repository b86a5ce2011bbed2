"""Stored pixels to what an encoder sees: one or a few square 8-bit RGB planes an image.

Every constant here is fixed, none is fitted, so nothing can leak from val or test. An image of any family gives planes
with values that fill 0 to 255; `encoders.py` embeds the planes and takes the mean of their features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels

Planes = npt.NDArray[np.uint8]

CT_WINDOWS_HU: tuple[tuple[float, float], ...] = ((-600.0, 1500.0), (40.0, 400.0), (400.0, 1800.0))
"""Centre and width of the lung, soft tissue and bone windows, shown as red, green and blue."""

Z_RANGE: tuple[float, float] = (-3.0, 5.0)
"""Robust z-scores of MR that are shown as black and white."""

AXIAL_PLACES: tuple[float, ...] = (0.25, 0.5, 0.75)
"""Where axial slices of a volume are taken, as a share of its depth; a mid coronal and a mid sagittal slice join them."""

FEATURES_VERSION = f"1|{CT_WINDOWS_HU}|{Z_RANGE}|{AXIAL_PLACES}"
"""Enters the encoder's hash, so that a change here never mixes with features of before."""


def planes_of(pixels: Pixels, size_px: int) -> Planes:
    """Return the planes of an image or volume.

    Args:
        pixels: `(H, W)` uint8, uint16, int16 HU or float32 z; `(H, W, 3)` uint8 RGB; `(D, H, W)` int16 HU, float32 z or SUV, uint8 or uint16.
            uint8 with a last axis of 3 is RGB.
        size_px: side of a plane.

    Returns:
        `(K, size_px, size_px, 3)` uint8; K is 1 for an image, 5 for a volume.
    """
    is_colour = pixels.ndim == 3 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8
    slices = [pixels] if pixels.ndim == 2 or is_colour else _slices_of(_in_16_bits(pixels))
    return np.stack([_fit_square(_to_rgb(one), size_px) for one in slices])


def _in_16_bits(volume: Pixels) -> Pixels:
    """Return a volume without negative values, as PET in SUV, over the range of uint16; z-scores and all others stay as they are."""
    if volume.dtype.kind != "f" or volume.min() < 0:
        return volume
    return np.rint(volume * (65535 / max(float(volume.max()), 1e-12))).astype(np.uint16)


def _slices_of(volume: Pixels) -> list[Pixels]:
    """Return three axial slices, the mid coronal and the mid sagittal slice of a `(D, H, W)` volume."""
    depth, height, width = volume.shape
    axial = [volume[min(depth - 1, int(place * depth))] for place in AXIAL_PLACES]
    return [*axial, volume[:, height // 2], volume[:, :, width // 2]]


def _to_rgb(plane: Pixels) -> Planes:
    """Return one `(H, W)` or `(H, W, 3)` plane as `(H, W, 3)` uint8."""
    if plane.ndim == 3:
        return np.ascontiguousarray(plane, dtype=np.uint8)
    if plane.dtype == np.int16:
        return np.stack([_stretch(plane, centre - width / 2, centre + width / 2) for centre, width in CT_WINDOWS_HU], axis=-1)
    if plane.dtype == np.uint8:
        gray = plane
    elif plane.dtype == np.uint16:
        low, high = np.percentile(plane, (0.5, 99.5))
        gray = _stretch(plane, float(low), float(high))
    else:
        gray = _stretch(plane, *Z_RANGE)
    return np.repeat(gray[..., None], 3, axis=-1)


def _stretch(plane: Pixels, low: float, high: float) -> Planes:
    """Return `plane` with `low` as 0 and `high` as 255."""
    scaled = (plane.astype(np.float32) - low) * (255.0 / max(high - low, 1e-6))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _fit_square(plane: Planes, size_px: int) -> Planes:
    """Return the `(H, W, 3)` plane with its longest side at `size_px`, centred on black, so that shapes are kept."""
    import cv2

    height, width = plane.shape[:2]
    scale = size_px / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.zeros((size_px, size_px, 3), np.uint8)
    top, left = (size_px - rows) // 2, (size_px - columns) // 2
    square[top : top + rows, left : left + columns] = cv2.resize(np.ascontiguousarray(plane), (columns, rows), interpolation=method)
    return square
