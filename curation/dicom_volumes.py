"""CT and MR planes to volumes: which belong together, in which order, and whether they are complete.

A series may hold several volumes (orientations, echoes, b-values, time points); each is kept only if it is complete by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from curation.dicom_geometry import MIN_SLICES, StackGeometry, is_same_grid, stack_geometry
from curation.dicom_pixels import rescale_into
from curation.dicom_planes import VOLUME_KEYS, Plane
from curation.dicom_repeats import drop_equal, split_repeats
from curation.errors import ImageError
from curation.harmonize.windows import FAT_HU, POSSIBLE_HU
from curation.pixels import Pixels

AIR_HU = -1024.0
LEAST_TILT_DEGREES = 1.0
AXIAL_COSINE = 0.99996
PART_ATTRIBUTES = {
    "EchoTime": "echo_time_ms", "EffectiveEchoTime": "echo_time_ms", "InversionTime": "inversion_time_ms", "FlipAngle": "flip_angle_degrees",
    "DiffusionBValue": "b_value_s_mm2", "TemporalPositionIdentifier": "temporal_position", "TemporalPositionIndex": "temporal_position",
    "TriggerTime": "trigger_time_ms", "KVP": "tube_kv",
}  # fmt: skip
"""Keys that are numbers, and their names in the record's `attributes`."""
COMPONENTS = {
    "field map": {"FIELD_MAP", "B0"}, "diffusion coefficient": {"ADC"}, "fractional anisotropy": {"FA"}, "trace": {"TRACEW", "TRACE"},
    "phase": {"P", "PHASE"}, "real": {"R", "REAL"}, "imaginary": {"I", "IMAGINARY"}, "magnitude": {"M", "MAGNITUDE"},
}  # fmt: skip
"""What an MR image shows, after words of its image or frame type; the first that fits."""


class Volume(NamedTuple):
    """Planes that make one volume, already in order; `part` of `parts` volumes that the series holds at one place."""

    planes: list[Plane]
    stack: StackGeometry
    part: int = 1
    parts: int = 1


class Refused(NamedTuple):
    """Planes that make no volume, and why."""

    planes: list[Plane]
    error: ImageError


class Sorted(NamedTuple):
    """What became of the planes of a series; `repeated` planes show again what another plane shows at the same place."""

    volumes: list[Volume]
    refused: list[Refused]
    repeated: list[Plane]


def build_volumes(planes: Sequence[Plane], *, correct_tilt: bool = False) -> Sorted:
    """Return the volumes that the planes of one series make, and the planes that make none.

    Args:
        planes: all planes of a series.
        correct_tilt: take a stack with a constant tilt; its `shear_mm` is then not zero, and its pixels must be sheared (`dicom_tilt.upright`).
    """
    found = Sorted([], [], [])
    grids = _split_grids(planes)
    for grid in grids:
        try:
            _refuse_stray(grid, grids)
            unique, repeated = drop_equal(grid)
            parts, broken = split_repeats(unique)
        except ImageError as error:
            found.refused.append(Refused(grid, error))
            continue
        found.repeated.extend(repeated)
        found.refused.extend(Refused(part, error) for part, error in broken)
        _add_stacks(parts, found, correct_tilt=correct_tilt)
    mosaics = [index for index, volume in enumerate(found.volumes) if volume.planes[0].stack]
    for number, index in enumerate(mosaics, 1):
        found.volumes[index] = found.volumes[index]._replace(part=number, parts=len(mosaics))
    return found


def _add_stacks(parts: list[list[Plane]], found: Sorted, *, correct_tilt: bool) -> None:
    """Add the volumes that lie at one place."""
    for number, part in enumerate(parts, 1):
        try:
            stack = stack_geometry([plane.geometry for plane in part], accept_tilt=correct_tilt)
            _check_declared_tilt(part, stack)
            _check_declared_slices(part)
        except ImageError as error:
            found.refused.append(Refused(part, error))
        else:
            found.volumes.append(Volume([part[index] for index in stack.order], stack, number, len(parts)))


def _split_grids(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Return groups of planes with the same size, spacing, orientation and stack, in the order of their instance numbers."""
    by_shape: dict[tuple[object, ...], list[list[Plane]]] = {}
    groups: list[list[Plane]] = []
    for plane in planes:
        alike = by_shape.setdefault((plane.stack, plane.stored.shape), [])
        for group in alike:
            if is_same_grid(group[0].geometry, plane.geometry):
                group.append(plane)
                break
        else:
            alike.append([plane])
            groups.append(alike[-1])
    return sorted(groups, key=lambda group: min((plane.number, str(plane.path)) for plane in group))


def _refuse_stray(group: list[Plane], groups: list[list[Plane]]) -> None:
    """Refuse a few slices that do not go with the rest of their series."""
    if len(group) >= MIN_SLICES or len(groups) == 1 or group[0].stack:
        return
    if len({plane.stored.shape for other in groups for plane in other}) > 1:
        raise ImageError("SHAPE", "rows and columns of this slice differ from the rest of its series")
    raise ImageError("MIXED_ORIENTATION", f"the series has {len(groups)} orientations, and fewer than {MIN_SLICES} slices in this one")


def _check_declared_tilt(planes: list[Plane], stack: StackGeometry) -> None:
    """Refuse original slices whose header declares a tilted gantry while their orientation is that of an upright one."""
    declared = max((plane.tilt_degrees for plane in planes), key=abs)
    is_axial = abs(np.cross(planes[0].geometry.orientation[:3], planes[0].geometry.orientation[3:])[2]) > AXIAL_COSINE
    if abs(declared) >= LEAST_TILT_DEGREES and is_axial and not any(stack.shear_mm):
        raise ImageError("GANTRY_TILT", f"the header declares a tilt of {declared:.1f} degrees, and an orientation without any")


def _check_declared_slices(planes: list[Plane]) -> None:
    """Refuse a volume with fewer slices than its header declares: those at its ends leave no gap."""
    declared = max(plane.slices for plane in planes)
    if len(planes) < declared:
        raise ImageError("MISSING_SLICES", f"{len(planes)} slices are here, and the header declares {declared}")


def attributes_of(volume: Volume) -> dict[str, int | float | str]:
    """Return what tells a volume from the others of its series, and the tilt that was corrected: numbers, and words of our own."""
    found: dict[str, int | float | str] = {"tilt_corrected_degrees": round(volume.stack.tilt_degrees, 2)} if any(volume.stack.shear_mm) else {}
    if volume.parts == 1:
        return found
    found |= {"part": volume.part, "parts": volume.parts}
    for name, attribute in PART_ATTRIBUTES.items():
        values = {plane.keys[VOLUME_KEYS.index(name)] for plane in volume.planes}
        number = _number(values.pop()) if len(values) == 1 else None
        if number is not None:
            found[attribute] = number
    words = set.intersection(*({*re.findall(r"[A-Z0-9_]+", plane.keys[0].upper())} for plane in volume.planes))
    component = next((name for name, spellings in COMPONENTS.items() if words & spellings), None)
    return found | ({"component": component} if component else {})


def _number(text: str) -> float | None:
    """Return a finite number, or None for other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def volume_pixels(volume: Volume, modality: str) -> Pixels:
    """Return `(D, H, W)`, in HU for CT, each slice with its own rescale; what only fills the frame is air in CT, else the slice's smallest value.

    A CT whose values are whole numbers comes as int16, which takes half the memory; everything else as float32.

    Raises:
        ImageError: RESCALE; VALUE_RANGE, when a value is no number, all are equal, or a CT cannot be in HU.
    """
    ranges = [_range_of(plane) for plane in volume.planes]
    is_whole = modality == "CT" and all(_fits_int16(plane, *ends) for plane, ends in zip(volume.planes, ranges, strict=True))
    pixels: Pixels = np.empty((len(volume.planes), *volume.planes[0].stored.shape), np.int16 if is_whole else np.float32)
    for index, (values, plane) in enumerate(zip(pixels, volume.planes, strict=True)):
        if is_whole:
            np.add(plane.stored.astype(np.int16, copy=False), np.int16(plane.rescale[1]), out=values)
        else:
            rescale_into(values, plane.stored, *plane.rescale)
        if _fill_padding(values, plane, modality):
            ranges[index] = float(values.min()), float(values.max())
    _check_range(min(low for low, _ in ranges), max(high for _, high in ranges), modality)
    return pixels


def _range_of(plane: Plane) -> tuple[float, float]:
    """Return the smallest and largest rescaled value of a slice."""
    slope, intercept = plane.rescale
    low, high = sorted(float(end) * slope + intercept for end in (plane.stored.min(), plane.stored.max()))
    return low, high


def _fits_int16(plane: Plane, low: float, high: float) -> bool:
    """Return whether the rescaled values of a slice are whole numbers of 16 bits."""
    slope, intercept = plane.rescale
    limits = np.iinfo(np.int16)
    return slope == 1 and intercept == np.rint(intercept) and all(limits.min <= number <= limits.max for number in (low, high, intercept))


def _check_range(low: float, high: float, modality: str) -> None:
    """Refuse values that no volume, or no CT in Hounsfield units, has."""
    if not np.isfinite([low, high]).all():
        raise ImageError("VALUE_RANGE", "a value is no number")
    if low == high:
        raise ImageError("VALUE_RANGE", "every voxel has the same value")
    if modality == "CT" and (low < POSSIBLE_HU[0] or high > POSSIBLE_HU[1] or low > FAT_HU):
        raise ImageError("VALUE_RANGE", f"values from {low:.0f} to {high:.0f} cannot be Hounsfield units with air around")


def _fill_padding(values: Pixels, plane: Plane, modality: str) -> bool:
    """Give padding a value that the image could have, and return whether there was any; in MR and PET, a padding of zero already is one."""
    if plane.padding is None or (modality != "CT" and plane.padding == (0, 0)):
        return False
    padded = (plane.stored >= plane.padding[0]) & (plane.stored <= plane.padding[1])
    if not padded.any() or (modality != "CT" and padded.all()):
        return False
    values[padded] = AIR_HU if modality == "CT" else values[~padded].min()
    return True
