"""Pictures for the eye: what a reader sees of an image or a volume, as an 8-bit PNG without any text in it.

Every picture is made the same way whatever its origin, so its size or style does not give a synthetic image away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels, decode, encode_png, read_affine

SIDE_PX = 512
TILE_PX = 256
TILES = (3, 4)  # rows, columns of a montage
WINDOWS: dict[str, tuple[float, float]] = {"brain": (40.0, 80.0), "soft": (40.0, 400.0), "lung": (-600.0, 1500.0)}  # centre, width in HU

Bytes8 = npt.NDArray[np.uint8]


def render(content: bytes, suffix: str, modality: str, spacing_mm: list[float] | None) -> bytes:
    """Return the PNG that a reader sees of a stored image.

    Args:
        content: the bytes in the shard.
        suffix: `.png` or `.nii.gz`.
        modality: DICOM code; CT volumes get a Hounsfield window.
        spacing_mm: slices, rows, columns of a volume; keeps its proportions.
    """
    pixels = decode(content, suffix)
    if pixels.ndim == 3 and suffix == ".nii.gz":
        pixels = _face_reader(pixels, read_affine(content))
        picture = montage(window_volume(pixels, modality), spacing_mm or [1.0, 1.0, 1.0])
    else:
        picture = fit(stretch(pixels), SIDE_PX)
    return encode_png(picture)


def stretch(pixels: Pixels) -> Bytes8:
    """Return `(H, W)` or `(H, W, 3)` as uint8: 8-bit images as they are, others between their 0.5 and 99.5 percentiles."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, (0.5, 99.5))
    return scale(pixels, float(low), float(high))


def scale(values: Pixels, low: float, high: float) -> Bytes8:
    """Map `low..high` to 0..255, with what lies outside cut off.

    Worked value: `scale([-160, 40, 240], -160, 240)` is `[0, 128, 255]`.
    """
    unit = np.clip((values.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    return np.round(unit * 255).astype(np.uint8)


def window_volume(volume: Pixels, modality: str) -> Bytes8:
    """Return a `(D, H, W)` volume as uint8: CT in HU through the window that fits its content, MR from z = -3 to 3, others by percentiles."""
    if modality == "CT":
        centre, width = WINDOWS[choose_window(volume)]
        return scale(volume, centre - width / 2, centre + width / 2)
    if modality == "MR":
        return scale(volume, -3.0, 3.0)
    return stretch(volume)


def choose_window(volume: Pixels) -> str:
    """Return which of `WINDOWS` suits a CT volume in HU: `lung` when much of it is lung, `brain` when bone is much of the body, else `soft`."""
    sample = volume[:: max(1, volume.shape[0] // 24), ::2, ::2]
    body = int(np.count_nonzero(sample > -300))
    lung = int(np.count_nonzero((sample > -950) & (sample < -500)))
    bone = int(np.count_nonzero(sample > 300))
    if lung > 0.15 * (body + lung):
        return "lung"
    return "brain" if bone > 0.12 * body else "soft"


def _face_reader(volume: Pixels, affine: npt.NDArray[np.float64]) -> Pixels:
    """Flip rows and columns so that, as radiologists read, the patient's right is on the left and anterior or superior is up."""
    import nibabel as nib

    columns, rows, _ = nib.aff2axcodes(affine)
    volume = volume[:, ::-1, :] if rows in ("A", "S") else volume
    return volume[:, :, ::-1] if columns in ("R", "A") else volume


def montage(volume: Bytes8, spacing_mm: list[float]) -> Bytes8:
    """Return 12 slices between 8 and 92 % of the depth as one `(768, 1024)` picture, first slice at the top left.

    Args:
        volume: `(D, H, W)` uint8.
        spacing_mm: slices, rows, columns.
    """
    down, across = TILES
    chosen = np.round(np.linspace(0.08, 0.92, down * across) * (volume.shape[0] - 1)).astype(int)
    height, width = volume.shape[1] * spacing_mm[1], volume.shape[2] * spacing_mm[2]
    factor = (TILE_PX - 4) / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    picture = np.zeros((down * TILE_PX, across * TILE_PX), np.uint8)
    for position, index in enumerate(chosen):
        tile = _resize(volume[index], size)
        top = position // across * TILE_PX + (TILE_PX - size[1]) // 2
        left = position % across * TILE_PX + (TILE_PX - size[0]) // 2
        picture[top : top + size[1], left : left + size[0]] = tile
    return picture


def fit(picture: Bytes8, side_px: int) -> Bytes8:
    """Return the picture with its longest side at `side_px`, or at twice that at most when it is larger."""
    longest = max(picture.shape[:2])
    wanted = side_px if longest < side_px else min(longest, 2 * side_px)
    height, width = (max(1, round(length * wanted / longest)) for length in picture.shape[:2])
    return _resize(picture, (width, height))


def _resize(picture: Bytes8, size: tuple[int, int]) -> Bytes8:
    """Resize to (width, height): cubic when it grows, area when it shrinks."""
    import cv2

    grows = size[0] >= picture.shape[1]
    resized = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)
