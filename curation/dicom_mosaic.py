"""Siemens mosaics: the slices of a volume, tiled in one image.

How many tiles there are and which way they go stands in Siemens' private CSA header (read by nibabel); a mosaic without it is refused, not guessed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.dicom_geometry import PlaneGeometry, Vector, is_sane_spacing
from curation.errors import ImageError
from curation.pixels import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PRIVATE_CREATOR = "SIEMENS MR HEADER"
IMAGES_IN_MOSAIC = 0x0A
PARALLEL_COSINE = 0.999


def is_mosaic(dataset: Dataset) -> bool:
    """Return whether the header says that many slices are tiled in one image."""
    return "MOSAIC" in (dataset.get("ImageType") or ()) or (dataset.get("Modality") == "MR" and _private_count(dataset) > 1)


def _private_count(dataset: Dataset) -> int:
    """Return the number of tiles after (0019,xx0A) of Siemens; 0 when it is not said."""
    try:
        return int(dataset.private_block(0x0019, PRIVATE_CREATOR)[IMAGES_IN_MOSAIC].value)
    except KeyError:
        return 0


def mosaic_tiles(dataset: Dataset, whole: PlaneGeometry, frame: Pixels) -> list[tuple[PlaneGeometry, Pixels]]:
    """Return place and stored values of every slice of a mosaic, in the order of its tiles.

    The header's position is the corner that the whole mosaic would have if it were one slice with the same centre, so each tile's corner lies half a
    mosaic less half a tile further along rows and columns.

    Args:
        dataset: header of the mosaic.
        whole: geometry that the header gives the mosaic.
        frame: `(H, W)` stored values.

    Raises:
        ImageError: MOSAIC, when the tiles cannot be told apart or placed; SPACING, when their distance is missing or absurd.
    """
    header = _csa_header(dataset)
    count = _private_count(dataset) or int(_first(header, "NumberOfImagesInMosaic") or 0)
    side = math.isqrt(max(count - 1, 0)) + 1
    if count < 1 or any(length % side for length in frame.shape):
        raise ImageError("MOSAIC", f"{frame.shape[0]} rows and {frame.shape[1]} columns cannot be a mosaic of {count} slices")
    spacing_mm = float(dataset.get("SpacingBetweenSlices") or 0)
    if not is_sane_spacing(spacing_mm):
        raise ImageError("SPACING", "the distance of the slices of a mosaic is missing, zero or absurd")
    step = _normal(header, whole) * spacing_mm
    rows, columns = frame.shape[0] // side, frame.shape[1] // side
    tiles = frame.reshape(side, rows, side, columns).swapaxes(1, 2).reshape(side * side, rows, columns)
    corner = (whole.spacing_mm[1] * (frame.shape[1] - columns) / 2, whole.spacing_mm[0] * (frame.shape[0] - rows) / 2)
    first = whole.position + whole.orientation[:3] * corner[0] + whole.orientation[3:] * corner[1]
    return [(whole._replace(position=first + index * step), tiles[index]) for index in range(count)]


def _csa_header(dataset: Dataset) -> dict[str, Any]:
    """Return the elements of the CSA image header.

    Raises:
        ImageError: MOSAIC, when it is not there or damaged.
    """
    from nibabel.nicom import csareader

    try:
        header = csareader.get_csa_header(dataset, "image")
    except (csareader.CSAReadError, AssertionError, ValueError, IndexError):
        raise ImageError("MOSAIC", "the private header that places the slices of a mosaic is damaged") from None
    if header is None:
        raise ImageError("MOSAIC", "the private header that places the slices of a mosaic is gone")
    return dict(header["tags"])


def _first(header: dict[str, Any], name: str) -> Any:
    return next(iter(header.get(name, {}).get("items", ())), None)


def _normal(header: dict[str, Any], whole: PlaneGeometry) -> Vector:
    """Return the unit direction from tile to tile, exactly along the normal of the slices.

    Raises:
        ImageError: MOSAIC, when the header does not say it, or says something else than the orientation.
    """
    said = np.asarray(header.get("SliceNormalVector", {}).get("items", ()), np.float64)
    normal = np.cross(whole.orientation[:3], whole.orientation[3:])
    cosine = float(said @ normal) if said.shape == (3,) and np.isfinite(said).all() else 0.0
    if abs(cosine) < PARALLEL_COSINE:
        raise ImageError("MOSAIC", "the direction of the slices of a mosaic is missing, or not at right angles to them")
    if int(_first(header, "ProtocolSliceNumber") or 0) > 0:
        raise ImageError("MOSAIC", "the tiles of the mosaic do not begin with the first slice, so their direction is not sure")
    return np.asarray(normal * np.sign(cosine), np.float64)
