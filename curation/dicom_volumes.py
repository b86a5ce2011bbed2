"""CT and MR slices to volumes: which planes belong together, in which order, and whether they are complete.

A plane is one slice with its place, from a single-frame file or from one frame of an enhanced file. A series may hold several volumes (orientations,
echoes, b-values); each is kept only if it is complete by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.dicom_fields import text_of
from curation.dicom_geometry import MIN_SLICES, PlaneGeometry, StackGeometry, is_same_grid, levels, plane_geometry, stack_geometry
from curation.dicom_pixels import rescale_of, rescaled
from curation.errors import ImageError
from curation.pixels import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_PARTS = 4
CT_RANGE_HU = (-8192.0, 31743.0)
CT_AIR_HU = -200.0
AIR_HU = -1024.0
VOLUME_KEYS = (
    "EchoTime",
    "EffectiveEchoTime",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "ImageType",
    "AcquisitionNumber",
    "TriggerTime",
)


class Plane(NamedTuple):
    """One slice.

    Attributes:
        path: the file it came from.
        number: order in the file's own counting; only used to tell volumes at the same place apart.
        geometry: where it lies.
        pixels: `(H, W)` float32, rescaled.
        keys: values of `VOLUME_KEYS`.
    """

    path: Path
    number: tuple[int, int]
    geometry: PlaneGeometry
    pixels: npt.NDArray[np.float32]
    keys: tuple[str, ...]


class Volume(NamedTuple):
    """Planes that make one volume, already in order."""

    planes: list[Plane]
    stack: StackGeometry


class Refused(NamedTuple):
    """Planes that make no volume, and why."""

    planes: list[Plane]
    error: ImageError


def planes_of(path: Path, dataset: Dataset, frames: Pixels) -> list[Plane]:
    """Return the planes of one file.

    Args:
        path: the file.
        dataset: its header.
        frames: `(F, H, W)` stored values.

    Raises:
        ImageError: SPACING, POSITION, ORIENTATION, RESCALE, MULTIFRAME or ENHANCED.
    """
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return _enhanced_planes(path, dataset, frames)
    if len(frames) > 1:
        raise ImageError("MULTIFRAME", "several frames without the place of each")
    geometry = plane_geometry(_numbers(dataset, "ImagePositionPatient"), _numbers(dataset, "ImageOrientationPatient"), _numbers(dataset, "PixelSpacing"))
    pixels = _values(dataset, frames[0], *rescale_of(dataset))
    number = int(dataset.get("InstanceNumber") or 0)
    return [Plane(path, (number, 0), geometry, pixels, tuple(text_of(dataset, name) for name in VOLUME_KEYS))]


def _enhanced_planes(path: Path, dataset: Dataset, frames: Pixels) -> list[Plane]:
    """Return one plane a frame, from the functional groups of an enhanced CT or MR file."""
    groups = dataset.PerFrameFunctionalGroupsSequence
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    if len(groups) != len(frames):
        raise ImageError("ENHANCED", f"{len(groups)} functional groups for {len(frames)} frames")
    number = int(dataset.get("InstanceNumber") or 0)
    planes = []
    for index, (group, frame) in enumerate(zip(groups, frames, strict=True)):
        macros = _FrameMacros(group, shared)
        geometry = plane_geometry(
            macros.numbers("PlanePositionSequence", "ImagePositionPatient"),
            macros.numbers("PlaneOrientationSequence", "ImageOrientationPatient"),
            macros.numbers("PixelMeasuresSequence", "PixelSpacing"),
        )
        transformation = macros.first("PixelValueTransformationSequence")
        pixels = _values(dataset, frame, *rescale_of(transformation if transformation is not None else dataset))
        planes.append(Plane(path, (number, index), geometry, pixels, macros.keys()))
    return planes


class _FrameMacros(NamedTuple):
    """The functional groups of one frame: its own before the shared ones."""

    own: Dataset
    shared: Dataset | None

    def first(self, sequence: str) -> Dataset | None:
        """Return the first entry of a macro's sequence."""
        for group in (self.own, self.shared):
            if group is not None and group.get(sequence):
                return group[sequence].value[0]  # type: ignore[no-any-return]
        return None

    def numbers(self, sequence: str, name: str) -> list[float]:
        """Return the numbers of an element; empty when it is not there."""
        macro = self.first(sequence)
        return [] if macro is None else _numbers(macro, name)

    def keys(self) -> tuple[str, ...]:
        """Return the values of `VOLUME_KEYS` wherever the frame keeps them."""
        macros = [self.first(name) for name in ("MREchoSequence", "FrameContentSequence", "MRDiffusionSequence", "MRImageFrameTypeSequence")]
        found = {name: text_of(macro, name) for macro in macros if macro is not None for name in (*VOLUME_KEYS, "FrameType")}
        return tuple(found.get(name, "") or (found.get("FrameType", "") if name == "ImageType" else "") for name in VOLUME_KEYS)


def _numbers(dataset: Dataset, name: str) -> list[float]:
    value = dataset.get(name)
    return [float(number) for number in value] if value is not None and not isinstance(value, str | float | int) else []


def _values(dataset: Dataset, stored: Pixels, slope: float, intercept: float) -> npt.NDArray[np.float32]:
    """Return rescaled values; in CT, the padding outside the field of view becomes air."""
    if stored.ndim != 2:
        raise ImageError("COLOUR", "a slice of a volume cannot be in colour")
    values = rescaled(stored, slope, intercept)
    padding = dataset.get("PixelPaddingValue")
    if text_of(dataset, "Modality") == "CT" and padding is not None:
        values[stored == int(padding)] = AIR_HU
    return values


def build_volumes(planes: Sequence[Plane]) -> tuple[list[Volume], list[Refused]]:
    """Return the volumes that the planes of one series make, and the planes that make none."""
    volumes: list[Volume] = []
    refused: list[Refused] = []
    parallel = _split_grids(planes)
    for group in parallel:
        try:
            _refuse_stray(group, parallel)
            stacks = [(part, stack_geometry([plane.geometry for plane in part])) for part in _split_repeats(group)]
        except ImageError as error:
            refused.append(Refused(group, error))
            continue
        volumes.extend(Volume([part[index] for index in stack.order], stack) for part, stack in stacks)
    return volumes, refused


def _split_grids(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Return groups of planes with the same size, spacing and orientation, in the order of their first plane."""
    groups: list[list[Plane]] = []
    for plane in planes:
        for group in groups:
            if group[0].pixels.shape == plane.pixels.shape and is_same_grid(group[0].geometry, plane.geometry):
                group.append(plane)
                break
        else:
            groups.append([plane])
    return groups


def _refuse_stray(group: list[Plane], groups: list[list[Plane]]) -> None:
    """Refuse a few slices that do not go with the rest of their series."""
    if len(group) >= MIN_SLICES or len(groups) == 1:
        return
    if len({plane.pixels.shape for other in groups for plane in other}) > 1:
        raise ImageError("SHAPE", "rows and columns of this slice differ from the rest of its series")
    raise ImageError("MIXED_ORIENTATION", f"the series has {len(groups)} orientations, and fewer than {MIN_SLICES} slices in this one")


def _split_repeats(planes: list[Plane]) -> list[list[Plane]]:
    """Return the volumes that share one place: echoes, b-values, time points.

    Raises:
        ImageError: FOUR_D, when there are too many, or they cannot be told apart; SINGLE_SLICE, when they have no depth.
    """
    level = levels([plane.geometry for plane in planes])
    counts = np.bincount(level)
    repeats = int(counts.max())
    if repeats == 1:
        return [planes]
    if len(counts) < MIN_SLICES:
        raise ImageError("SINGLE_SLICE", f"a volume needs at least {MIN_SLICES} slices, here are {len(counts)} places")
    if repeats > MAX_PARTS:
        raise ImageError("FOUR_D", f"{repeats} volumes lie at one place; at most {MAX_PARTS} are taken")
    if (counts != repeats).any():
        raise ImageError("FOUR_D", "several volumes lie at one place, and not all are complete")
    by_key: list[list[Any]] = [[plane.keys[position] for plane in planes] for position in range(len(VOLUME_KEYS))]
    for values in (*by_key, _turns(planes, level)):
        parts = [[index for index, value in enumerate(values) if value == wanted] for wanted in dict.fromkeys(values)]
        if len(parts) == repeats and all(len(set(level[part])) == len(part) == len(counts) for part in parts):
            return sorted(([planes[index] for index in part] for part in parts), key=lambda part: min(plane.number for plane in part))
    raise ImageError("FOUR_D", "several volumes lie at one place and nothing tells them apart")


def _turns(planes: list[Plane], level: npt.NDArray[np.int64]) -> list[int]:
    """Return whether each plane is the first, second … at its place by its instance number; zeros when the numbers repeat."""
    turns = [0] * len(planes)
    if len({plane.number for plane in planes}) < len(planes):
        return turns
    seen: dict[int, int] = {}
    for index in sorted(range(len(planes)), key=lambda index: planes[index].number):
        place = int(level[index])
        turns[index] = seen.get(place, 0)
        seen[place] = turns[index] + 1
    return turns


def volume_pixels(volume: Volume, modality: str) -> npt.NDArray[np.float32]:
    """Return `(D, H, W)` float32, in HU for CT.

    Raises:
        ImageError: VALUE_RANGE, when a CT cannot be in HU.
    """
    pixels = np.stack([plane.pixels for plane in volume.planes])
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("VALUE_RANGE", "a value is no number")
    if low == high:
        raise ImageError("VALUE_RANGE", "every voxel has the same value")
    if modality == "CT" and (low < CT_RANGE_HU[0] or high > CT_RANGE_HU[1] or low > CT_AIR_HU):
        raise ImageError("VALUE_RANGE", f"values from {low:.0f} to {high:.0f} cannot be Hounsfield units with air around")
    return pixels
