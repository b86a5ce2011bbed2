"""Builders of image files as bytes, for tests of reading."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt


def a_raster(pixels: npt.NDArray[Any], kind: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    """Return pixels as a PNG, JPEG or TIFF file."""
    from PIL import Image

    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def a_picture(seed: int, size: int = 24) -> npt.NDArray[np.uint8]:
    """Return a random `(size, size, 3)` uint8 picture."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def a_volume(shape: tuple[int, int, int] = (6, 5, 4), dtype: Any = np.int16) -> npt.NDArray[Any]:
    """Return `(columns, rows, slices)` voxels that all differ."""
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def a_nifti(
    voxels: npt.NDArray[Any] | None = None, affine: npt.NDArray[np.float64] | None = None, *, packed: bool = False, qform: Any = "same", **header: Any
) -> bytes:
    """Return a NIfTI-1 file with sform and qform codes 1.

    Args:
        voxels: `(columns, rows, slices)`.
        affine: sform.
        packed: gzip.
        qform: another qform; None leaves its code 0.
        header: raw fields that are set last, e.g. `scl_slope=np.nan`.
    """
    import gzip

    import nibabel as nib

    chosen = np.diag([2.0, 2, 3, 1]) if affine is None else affine
    image = nib.Nifti1Image(a_volume() if voxels is None else voxels, chosen)
    image.set_sform(chosen, 1)
    image.set_qform(chosen if isinstance(qform, str) else qform, 0 if qform is None else 1)
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    raw = np.frombuffer(content, nib.Nifti1Header.template_dtype, count=1)
    for name, value in header.items():
        raw[name] = value
    return gzip.compress(bytes(content), mtime=0) if packed else bytes(content)
