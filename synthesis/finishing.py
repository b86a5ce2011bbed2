"""What an engine drew becomes what is stored: a PNG as it is, or a volume in the unit and with the extent of the train volumes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curation.pixels import Pixels, encode_nifti, encode_png, hash_pixels
from synthesis.volumes import centred_affine, middle_spacing_mm, restore_values


class Finished(NamedTuple):
    """One image, ready to be stored.

    Attributes:
        pixels: `(H, W)` uint8 or uint16, `(H, W, 3)` uint8, or `(D, H, W)` int16 or float32.
        unit: what a value means.
        spacing_mm: slices, rows, columns of a volume; None for an image.
    """

    pixels: Pixels
    unit: str = "8-bit"
    spacing_mm: list[float] | None = None

    @property
    def sha256(self) -> str:
        """Hash of pixels, shape, dtype and spacing."""
        return hash_pixels(self.pixels, self.spacing_mm)

    @property
    def suffix(self) -> str:
        """Type of the file."""
        return ".png" if self.spacing_mm is None else ".nii.gz"

    def encode(self, mark: dict[str, str]) -> bytes:
        """Return the file's bytes, marked as synthetic."""
        if self.spacing_mm is None:
            return encode_png(self.pixels, mark)
        return bytes(encode_nifti(self.pixels, centred_affine(self.spacing_mm, self.pixels.shape), mark=mark))

    def columns(self) -> dict[str, Any]:
        """Return the columns of the record that describe the pixels."""
        is_volume, shape = self.spacing_mm is not None, self.pixels.shape
        return {
            "ndim": 3 if is_volume else 2,
            "rows": shape[-2] if is_volume else shape[0],
            "columns": shape[-1] if is_volume else shape[1],
            "slices": shape[0] if is_volume else 1,
            "channels": 3 if len(shape) == 3 and not is_volume else 1,
            "spacing_mm": self.spacing_mm,
            "dtype": self.pixels.dtype.name,
            "value_unit": self.unit,
            "pixels_sha256": self.sha256,
            "suffix": self.suffix,
        }


def finish(drawn: Pixels, unit: str, spacing_mm: list[float] | None) -> Finished:
    """Return what was drawn as it is stored.

    Args:
        drawn: what an engine returned: uint8, uint16 when it changed such an image, or gray levels of a volume.
        unit: of the stored values.
        spacing_mm: of a volume, None for an image.
    """
    return Finished(drawn, unit) if spacing_mm is None else Finished(restore_values(drawn, unit), unit, spacing_mm)


def finish_like(drawn: Pixels, rows: pl.DataFrame) -> Finished:
    """Return what was drawn as it is stored; a volume gets the commonest unit and the median extent of the train rows."""
    if rows["ndim"][0] == 2:
        return Finished(drawn, "16-bit" if drawn.dtype == np.uint16 else "8-bit")
    unit = rows["value_unit"].value_counts().sort("count", "value_unit", descending=[True, False])["value_unit"][0]
    return finish(drawn, unit, middle_spacing_mm(rows, drawn.shape))
