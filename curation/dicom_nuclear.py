"""Reconstructed nuclear medicine tomograms (SPECT): all slices in one file, whose places follow from the first one's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curation.dicom_fields import text_of
from curation.dicom_geometry import plane_geometry
from curation.dicom_pixels import padding_of, rescale_of
from curation.dicom_planes import Plane, numbers_of
from curation.errors import ImageError
from curation.pixels import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def is_tomogram(dataset: Dataset) -> bool:
    """Return whether a nuclear medicine object holds the slices of one reconstructed volume."""
    return text_of(dataset, "Modality") == "NM" and "RECON TOMO" in (dataset.get("ImageType") or ())


def nuclear_planes(path: Path, dataset: Dataset, frames: Pixels) -> list[Plane]:
    """Return the slices of a tomogram (PS3.3 C.8.4.8 and C.8.4.15).

    The first slice lies where the first detector's position says, each further one the spacing between slices on along the normal; a negative spacing goes
    against it.

    Raises:
        ImageError: POSITION, ORIENTATION, SPACING, COLOUR or FOUR_D.
    """
    if frames.ndim != 3:
        raise ImageError("COLOUR", "a slice of a volume cannot be in colour")
    first = (dataset.get("DetectorInformationSequence") or [dataset])[0]
    geometry = plane_geometry(numbers_of(first, "ImagePositionPatient"), numbers_of(first, "ImageOrientationPatient"), numbers_of(dataset, "PixelSpacing"))
    step_mm = float(dataset.get("SpacingBetweenSlices") or 0)
    if step_mm == 0:
        raise ImageError("SPACING", "the spacing between the slices is not said")
    slices = [int(number) for number in numbers_of(dataset, "SliceVector")] or list(range(1, len(frames) + 1))
    if len(slices) != len(frames) or len(set(slices)) != len(slices):
        raise ImageError("FOUR_D", "the frames are not one slice each of one volume")
    normal = np.cross(geometry.orientation[:3], geometry.orientation[3:])
    number, rescale, padding = int(dataset.get("InstanceNumber") or 0), rescale_of(dataset), padding_of(dataset, frames.dtype)
    return [
        Plane(path, (number, index), geometry._replace(position=geometry.position + (place - 1) * step_mm * normal), frame, rescale, padding)
        for index, (place, frame) in enumerate(zip(slices, frames, strict=True))
    ]
