"""One decoded image or volume between reading and harmonizing; it lives inside one worker and is never stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels


@dataclass(frozen=True)
class Acquired:
    """What a reader hands to harmonization.

    Attributes:
        pixels: `(H, W)` gray, `(H, W, 3)` uint8 RGB, or `(D, H, W)` with axes slices, rows, columns. CT is in HU, MR and others have
            their rescale applied, projection images have modality and VOI LUT applied and are MONOCHROME2.
        modality: DICOM code.
        patient: the raw patient identifier; only `curation.pseudonyms` may look at it.
        spacing_mm: slices, rows, columns for a volume; rows, columns for an image; None when unknown (2-D only).
        affine: `(4, 4)` voxel index (column, row, slice) to RAS+ millimetres; None for 2-D.
        fields: further columns of the record, already de-identified.
    """

    pixels: Pixels
    modality: str
    patient: str
    spacing_mm: tuple[float, ...] | None = None
    affine: npt.NDArray[np.float64] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
