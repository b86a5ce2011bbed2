"""One decoded image or volume between reading and harmonizing; it lives inside one worker and is never stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels
from curation.records import ValueUnit


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
        label_map: uint8 or uint16 of the shape of the image (without its channels); 0 is the background. None when there is none.
        label_values: what each value of the label map means: a name from a list of ours, from the user's table, or `structure-N`.
        value_unit: what a value means where the modality alone does not say it (PT, NM); empty elsewhere.
        notes: codes of what the reader corrected or could not do, e.g. `BITS_FROM_STREAM`.
        text_risk: what the header says of text in the pixels: nothing, that pictures of this kind often show some, or that there is some.
    """

    pixels: Pixels
    modality: str
    patient: str
    spacing_mm: tuple[float, ...] | None = None
    affine: npt.NDArray[np.float64] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    label_map: npt.NDArray[np.uint8 | np.uint16] | None = None
    label_values: dict[int, str] = field(default_factory=dict)
    value_unit: ValueUnit | Literal[""] = ""
    notes: tuple[str, ...] = ()
    text_risk: Literal["low", "high", "said"] = "low"
