"""Segmentation objects (SEG): the voxels of each segment on the grid of the image that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curation.dicom_fields import text_of
from curation.dicom_names import structure_name
from curation.dicom_pixels import MAX_PIXEL_BYTES, frames_of
from curation.errors import ImageError
from curation.structures import Grid, Structure

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PACKED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")
"""Transfer syntaxes whose single bits are packed as they are."""
OFF_GRID_VOXELS = 0.2
"""How far a pixel of a segmentation may lie from the centre of its voxel."""


def segments_on(dataset: Dataset, grid: Grid, given: Mapping[str, str]) -> list[Structure]:
    """Return the segments of a SEG object, in the order of their numbers.

    A fractional segment counts from half of its greatest value on.

    Args:
        dataset: a Segmentation or Label Map Segmentation object with its pixels.
        grid: of the image that it belongs to.
        given: the user's names by the labels of segments.

    Raises:
        ImageError: SHAPE, BITS, TRUNCATED, CORRUPT or SEGMENTATION when it cannot be read; OFF_GRID when it lies on another grid.
    """
    found = _described(dataset, given)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if len(groups) != frames_of(dataset):
        raise ImageError("SEGMENTATION", f"{len(groups)} functional groups for {frames_of(dataset)} frames")
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    voxels: dict[int, list[npt.NDArray[np.int64]]] = {number: [] for number in found}
    for frame, group in zip(_frames(dataset), groups, strict=True):
        if not frame.any():
            continue
        place = _Place(group, shared)
        for number, mask in _masks(dataset, frame, place):
            if number not in found:
                raise ImageError("SEGMENTATION", "a frame belongs to a segment that is not described")
            voxels[number].append(place.voxels_on(grid, mask))
    empty = np.empty(0, np.int64)
    return [Structure(found[number], np.unique(np.concatenate([empty, *parts]))) for number, parts in sorted(voxels.items())]


def _described(dataset: Dataset, given: Mapping[str, str]) -> dict[int, str | None]:
    """Return the name of each segment by its number."""
    items = dataset.get("SegmentSequence") or ()
    found = {int(item.SegmentNumber): structure_name(item, text_of(item, "SegmentLabel"), given) for item in items}
    found.pop(0, None)  # the background of a label map
    if not found:
        raise ImageError("SEGMENTATION", "the segmentation describes no segment")
    return found


def _frames(dataset: Dataset) -> Iterator[npt.NDArray[Any]]:
    """Yield the `(H, W)` stored values of each frame; single bits are unpacked frame by frame, for there may be tens of thousands."""
    from pydicom.pixels.utils import pixel_array

    rows, columns, count, bits = int(dataset.Rows), int(dataset.Columns), frames_of(dataset), int(dataset.BitsAllocated)
    if min(rows, columns, count) < 1 or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise ImageError("SHAPE", "the segmentation has no rows, columns or frames")
    if bits not in (1, 8, 16):
        raise ImageError("BITS", f"a segmentation with {bits} bits is not supported")
    if rows * columns * count * bits // 8 > MAX_PIXEL_BYTES:
        raise ImageError("TOO_LARGE", "the segmentation is too large")
    if "PixelData" not in dataset or not dataset.PixelData:
        raise ImageError("TRUNCATED", "the file ends before its pixels")
    if bits == 1 and dataset.file_meta.TransferSyntaxUID in PACKED:
        yield from _unpacked(dataset.PixelData, rows, columns, count)
    else:
        yield from np.asarray(pixel_array(dataset)).reshape(count, rows, columns)


def _unpacked(packed: bytes, rows: int, columns: int, count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield frames of single bits, the lowest bit of a byte first; a frame may begin within a byte."""
    area = rows * columns
    if len(packed) < -(-area * count // 8):
        raise ImageError("TRUNCATED", f"{len(packed)} bytes of pixels where {-(-area * count // 8)} are needed")
    stored = np.frombuffer(packed, np.uint8)
    for begin in range(0, area * count, area):
        bits = np.unpackbits(stored[begin // 8 : -(-(begin + area) // 8)], bitorder="little")
        yield bits[begin % 8 : begin % 8 + area].reshape(rows, columns)


def _masks(dataset: Dataset, frame: npt.NDArray[Any], place: _Place) -> list[tuple[int, npt.NDArray[np.bool_]]]:
    """Return segment number and pixels of what a frame shows: one segment, or all of them in a label map."""
    kind = text_of(dataset, "SegmentationType").upper()
    if kind == "LABELMAP":
        return [(int(number), frame == number) for number in np.unique(frame) if number]
    number = place.number("SegmentIdentificationSequence", "ReferencedSegmentNumber")
    if kind == "FRACTIONAL":
        return [(number, 2 * frame.astype(np.int64) >= int(dataset.get("MaximumFractionalValue") or 255))]
    if kind != "BINARY":
        raise ImageError("SEGMENTATION", "the segmentation is neither binary, fractional nor a label map")
    return [(number, frame > 0)]


class _Place:
    """Where one frame lies: its own functional groups before the shared ones."""

    def __init__(self, own: Dataset, shared: Dataset | None) -> None:
        self._groups = [group for group in (own, shared) if group is not None]

    def _first(self, sequence: str) -> Dataset | None:
        return next((group[sequence].value[0] for group in self._groups if group.get(sequence)), None)

    def number(self, sequence: str, name: str) -> int:
        """Return a whole number of a macro."""
        macro = self._first(sequence)
        if macro is None or macro.get(name) is None:
            raise ImageError("SEGMENTATION", "a frame does not say which segment it shows")
        return int(macro[name].value)

    def _numbers(self, sequence: str, name: str, count: int) -> npt.NDArray[np.float64]:
        macro = self._first(sequence)
        value = macro.get(name) if macro is not None else None
        numbers = np.asarray([float(number) for number in value] if value is not None else [], np.float64)
        if numbers.shape != (count,) or not np.isfinite(numbers).all():
            raise ImageError("OFF_GRID", "a frame of the segmentation does not say where it lies")
        return numbers

    def voxels_on(self, grid: Grid, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the flat indices of the voxels under the marked pixels.

        Raises:
            ImageError: OFF_GRID.
        """
        rows, columns = np.nonzero(mask)
        if grid.affine is None:
            if mask.shape != grid.shape:
                raise ImageError("OFF_GRID", "rows and columns of the segmentation are not those of its image")
            return rows * grid.shape[1] + columns
        spacing_mm = self._numbers("PixelMeasuresSequence", "PixelSpacing", 2)
        direction = self._numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
        corner = self._numbers("PlanePositionSequence", "ImagePositionPatient", 3)
        ends = np.array([[0, 0], [0, mask.shape[1] - 1], [mask.shape[0] - 1, 0]], np.float64)  # row, column
        millimetres = corner + ends[:, 1:] * spacing_mm[1] * direction[:3] + ends[:, :1] * spacing_mm[0] * direction[3:]
        found = grid.indices_of(millimetres)
        whole = np.rint(found)
        if np.abs(found - whole).max() > OFF_GRID_VOXELS:
            raise ImageError("OFF_GRID", "the segmentation lies on another grid than its image")
        steps = [(whole[end] - whole[0]) / max(1, size - 1) for end, size in ((2, mask.shape[0]), (1, mask.shape[1]))]
        if any(np.abs(step - np.rint(step)).max() > 0 for step in steps):
            raise ImageError("OFF_GRID", "the pixels of the segmentation have another size than those of its image")
        return grid.flat(whole[0] + rows[:, None] * steps[0] + columns[:, None] * steps[1])
