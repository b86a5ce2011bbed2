"""Several volumes at one place: echoes, b-values, time points, frame types. They are told apart by what their headers say, never by guess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.dicom_geometry import MIN_SLICES, levels
from curation.dicom_planes import VOLUME_KEYS, Plane
from curation.errors import ImageError

Levels = npt.NDArray[np.int64]
Broken = list[tuple[list[Plane], ImageError]]


def drop_equal(planes: list[Plane]) -> tuple[list[Plane], list[Plane]]:
    """Return the planes without those that repeat another plane's pixels at its place, and the dropped ones.

    Nothing is dropped unless one volume with one plane at each place is left: equal slices of two time points (of air, say) are no repeats.
    """
    level = levels([plane.geometry for plane in planes])
    if len(set(level.tolist())) == len(planes):
        return planes, []
    first: dict[int, Plane] = {}
    repeated = []
    for plane, place in sorted(zip(planes, level.tolist(), strict=True), key=lambda pair: (pair[0].number, str(pair[0].path))):
        known = first.setdefault(place, plane)
        if known is plane:
            continue
        if known.rescale != plane.rescale or not np.array_equal(known.stored, plane.stored):
            return planes, []
        repeated.append(plane)
    return list(first.values()), repeated


def split_repeats(planes: list[Plane]) -> tuple[list[list[Plane]], Broken]:
    """Return the volumes that share one place, in the order of their instance numbers, and those that lack slices.

    Raises:
        ImageError: FOUR_D, when nothing tells them apart; SINGLE_SLICE, when they have no depth.
    """
    level = levels([plane.geometry for plane in planes])
    places = int(level.max()) + 1
    if places == len(planes):
        return [planes], []
    if places < MIN_SLICES:
        raise ImageError("SINGLE_SLICE", f"a volume needs slices at {MIN_SLICES} places at least, here are {places}")
    whole: list[list[int]] = []
    broken: list[list[int]] = []
    _split(planes, level, list(range(len(planes))), places, 0, whole, broken)
    if not whole:
        raise ImageError("FOUR_D", "several volumes lie at one place, and not one of them is complete")
    parts = [[planes[index] for index in part] for part in whole]
    missing = [([planes[index] for index in part], _lacks(len(part), places)) for part in broken]
    return sorted(parts, key=lambda part: min((plane.number, str(plane.path)) for plane in part)), missing


def _lacks(found: int, places: int) -> ImageError:
    return ImageError("MISSING_SLICES", f"this volume of several at one place has {found} slices where another has {places}")


def _split(planes: list[Plane], level: Levels, members: list[int], places: int, key: int, whole: list[list[int]], broken: list[list[int]]) -> None:
    """Split `members` by one key after the other until no plane has a rival at its place; add the parts to `whole` and `broken`.

    A key is used when each of its values lies at every place equally often, so keys that change from slice to slice are passed over.
    """
    if _is_even(level[members], places, 1):
        whole.append(members)
        return
    for position in range(key, len(VOLUME_KEYS)):
        parts = _by_value([planes[index].keys[position] for index in members], members)
        if len(parts) > 1 and all(_is_even(level[part], places) for part in parts):
            for part in parts:
                _split(planes, level, part, places, position + 1, whole, broken)
            return
    turns = _turns(planes, level, members)
    if turns and _is_even(level[members], places):
        whole.extend(_by_value(turns, members))
        return
    _split_incomplete(planes, level, members, places, whole, broken)


def _is_even(level: Levels, places: int, count: int | None = None) -> bool:
    """Return whether every place has the same number of planes: `count`, or any."""
    counts = np.bincount(level, minlength=places)
    return bool((counts == (count or counts[0])).all() and counts[0] > 0)


def _by_value(values: Sequence[Any], members: list[int]) -> list[list[int]]:
    """Return the members with each value, in the order in which the values come."""
    parts: dict[Any, list[int]] = {}
    for value, index in zip(values, members, strict=True):
        parts.setdefault(value, []).append(index)
    return list(parts.values())


def _turns(planes: list[Plane], level: Levels, members: list[int]) -> list[int]:
    """Return whether each plane is the first, second … at its place by its instance number; empty when the numbers repeat."""
    if len({planes[index].number for index in members}) < len(members):
        return []
    turns: dict[int, int] = {}
    seen: dict[int, int] = {}
    for index in sorted(members, key=lambda index: planes[index].number):
        place = int(level[index])
        seen[place] = turns[index] = seen.get(place, -1) + 1
    return [turns[index] for index in members]


def _split_incomplete(planes: list[Plane], level: Levels, members: list[int], places: int, whole: list[list[int]], broken: list[list[int]]) -> None:
    """Split volumes of which some lack slices by a key whose every value has at most one plane at a place.

    Raises:
        ImageError: FOUR_D, when no key leaves a complete volume.
    """
    for position in range(len(VOLUME_KEYS)):
        parts = _by_value([planes[index].keys[position] for index in members], members)
        complete = [part for part in parts if _is_even(level[part], places, 1)]
        if complete and len(parts) > 1 and all(len(set(level[part].tolist())) == len(part) for part in parts):
            whole.extend(complete)
            broken.extend(part for part in parts if part not in complete)
            return
    raise ImageError("FOUR_D", "several volumes lie at one place, and nothing tells them apart or not all are complete")
