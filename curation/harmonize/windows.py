"""CT windows by name, and whether values can be Hounsfield units at all."""

from __future__ import annotations

from typing import Literal

import numpy as np

from curation.errors import ImageError
from curation.pixels import Pixels

WindowName = Literal["", "lung", "soft_tissue", "bone", "brain", "stroke", "subdural", "liver", "mediastinum"]

WINDOWS_HU: dict[str, tuple[float, float]] = {
    "lung": (-600.0, 1500.0), "soft_tissue": (40.0, 400.0), "bone": (400.0, 1800.0), "brain": (40.0, 80.0),
    "stroke": (40.0, 40.0), "subdural": (75.0, 215.0), "liver": (30.0, 150.0), "mediastinum": (50.0, 350.0),
}  # fmt: skip
"""Centre and width."""

POSSIBLE_HU = (-8192.0, 31743.0)
FAT_HU = -200.0


def window_range(name: str) -> tuple[float, float]:
    """Return the darkest and brightest HU of a window. Worked value: brain, centre 40 and width 80: 0 to 80."""
    centre, width = WINDOWS_HU[name]
    return centre - width / 2, centre + width / 2


def check_hu(volume_hu: Pixels) -> None:
    """Raise `ImageError` VALUE_RANGE when the values cannot be HU: no number, beyond what a CT can store, or nothing darker than -200 HU (no air, no fat)."""
    low, high = float(np.min(volume_hu)), float(np.max(volume_hu))
    if not (POSSIBLE_HU[0] <= low and high <= POSSIBLE_HU[1]):
        raise ImageError("VALUE_RANGE", "the values of a CT lie beyond what Hounsfield units can be")
    if low > FAT_HU:
        raise ImageError("VALUE_RANGE", "nothing in the CT is as dark as air or fat: the values are no Hounsfield units")
