"""Text in the pixels: find it, cover it with its surroundings, and read the result again. What still shows text is refused.

Reading takes a quarter of a second, so an image is read only where `candidates` sees something like letters, or whole when its kind is known to carry text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from curation.errors import ImageError
from curation.pixels import Pixels
from curation.visible.candidates import Box, Gray, find_candidates
from curation.visible.covering import Corners, Mask, covered, mask_of, stretched
from curation.visible.ocr import Line, is_fragment, is_text, read_lines

ROUNDS = 4
LETTER_GOAL_PX = 24
MOST_PATCHES = 6
POOR_SHARE = 0.25

Show = Callable[[Pixels], Pixels]


class Cleared(NamedTuple):
    """Frames without text, and the number of pixels that were covered in all of them."""

    frames: Pixels
    masked_px: int


def clear_frames(frames: Pixels, *, read_whole: bool, together: bool = True, show: Show = lambda frame: frame) -> Cleared:
    """Return the frames with every line of text covered; frames without text come back as they are, the same array.

    Args:
        frames: `(F, H, W)` or `(F, H, W, 3)`, any integer or float type.
        read_whole: read the first, the middle and the last frame whole, and not only where letters are suspected.
        together: a place where one frame shows text is covered in all of them (a film); otherwise only there (slices).
        show: how to make a stored frame visible, `(H, W)` gray or `(H, W, 3)` uint8 RGB (a palette).

    Raises:
        ImageError: BURNED_IN_TEXT, some text is still there after it was covered.
    """
    masks: dict[int, Mask] = {}
    clean = frames
    for _ in range(ROUNDS):
        places = dict(_places_of(clean, read_whole, together, show))
        if not places:
            return Cleared(clean, sum(int(mask.sum()) for mask in masks.values()))
        if together:
            everywhere = [corners for found in places.values() for corners in found]
            places = dict.fromkeys(range(len(frames)), everywhere)
        clean = frames.copy() if clean is frames else clean
        for number, found in places.items():
            masks[number] = mask_of(found, frames.shape[1:3]) | masks.get(number, False)
            clean[number] = covered(frames[number], masks[number])
    raise ImageError("BURNED_IN_TEXT", "text is burned into the pixels, and some of it can still be read after it was masked")


def _places_of(frames: Pixels, read_whole: bool, together: bool, show: Show) -> Iterator[tuple[int, list[Corners]]]:
    """Yield the number of each frame with text and where it is; only what is not the same in the frame before is looked at.

    With `together`, a place that is covered anyway, because an earlier frame shows text there, is not read again.
    """
    whole = {0, len(frames) // 2, len(frames) - 1} if read_whole else set()
    known: list[Corners] = []
    for number, frame in enumerate(frames):
        where = _changed(frame, frames[number - 1]) if number else None
        if where is not None and together and known:
            where &= ~mask_of(known, where.shape)
        found = find_text(show(frame), read_whole=number in whole, where=where) if where is None or where.any() else []
        if together:
            known += found
        else:
            found = known = found + [corners for corners in known if where is None or not _cut(where, _around(corners)).any()]
        if found:
            yield number, found


def _changed(frame: Pixels, other: Pixels) -> Mask:
    """Return where a pixel differs, `(H, W)`."""
    differs = np.not_equal(frame, other)
    return np.asarray(differs if differs.ndim == 2 else differs.any(axis=2), np.bool_)


def find_text(image: Pixels, *, read_whole: bool, where: Mask | None = None) -> list[Corners]:
    """Return where text is in one image: the corners of each line, and of what looks like letters beside it.

    Args:
        image: `(H, W)` of any type or `(H, W, 3)` uint8 RGB.
        read_whole: read all of it, and not only where letters are suspected.
        where: suspect only places with such pixels.
    """
    found: list[Corners] = []
    for picture in renditions(image, every=read_whole):
        boxes = [box for box in find_candidates(picture) if where is None or _cut(where, box).any()]
        patches = _patches(boxes, picture.shape)
        is_crowded = len(patches) > MOST_PATCHES
        lines = [] if is_crowded else [line for patch in patches for line in _read_patch(picture, patch)]
        if read_whole or is_crowded or any(is_text(line) for line in lines):
            lines += read_lines(picture)
        texts = [stretched(line.corners, picture) for line in lines if is_text(line)]
        texts += [line.corners for line in lines if texts and is_fragment(line)]
        found += texts + [_corners(box) for box in boxes if any(_touch(box, _around(corners)) for corners in texts)]
    return found


def _corners(box: Box) -> Corners:
    right, bottom = box.left + box.width, box.top + box.height
    return np.array([[box.left, box.top], [right, box.top], [right, bottom], [box.left, bottom]], np.float32)


def _around(corners: Corners) -> Box:
    left, top = (int(number) for number in corners.min(axis=0))
    right, bottom = (int(number) for number in np.ceil(corners.max(axis=0)))
    return Box(left, top, right - left, bottom - top, bottom - top)


def renditions(image: Pixels, *, every: bool) -> Iterator[Gray]:
    """Yield the image in 8 bits: from its lowest to its highest value, and, if few values would take most of that or `every` is wanted, without extremes."""
    if image.dtype == np.uint8:
        yield np.ascontiguousarray(image)
        return
    low, high = float(image.min()), float(image.max())
    inner_low, inner_high = (float(number) for number in np.percentile(image[::8, ::8], (0.5, 99.5)))
    if high > low:
        yield _gray(image, low, high)
    if inner_high > inner_low and (every or inner_high - inner_low < POOR_SHARE * (high - low)):
        yield _gray(np.clip(image, inner_low, inner_high), inner_low, inner_high)


def _gray(image: Pixels, low: float, high: float) -> Gray:
    import cv2

    scale = 255.0 / (high - low)
    source = image if image.dtype in (np.int16, np.uint16, np.float32) else image.astype(np.float32)
    return np.asarray(cv2.convertScaleAbs(source, alpha=scale, beta=-low * scale), np.uint8)


def _cut(mask: Mask, box: Box) -> Mask:
    return mask[box.top : box.top + box.height, box.left : box.left + box.width]


def _patches(boxes: Iterable[Box], shape: tuple[int, ...]) -> list[Box]:
    """Return rectangles with some margin around all boxes; those that touch become one."""
    patches: list[Box] = []
    for box in boxes:
        margin = 10 + 2 * box.letter_px
        left, top = max(0, box.left - margin), max(0, box.top - margin)
        right, bottom = min(shape[1], box.left + box.width + margin), min(shape[0], box.top + box.height + margin)
        patch = Box(left, top, right - left, bottom - top, box.letter_px)
        while touching := next((other for other in patches if _touch(patch, other)), None):
            patches.remove(touching)
            patch = _joined(patch, touching)
        patches.append(patch)
    return patches


def _touch(one: Box, other: Box) -> bool:
    across = one.left < other.left + other.width and other.left < one.left + one.width
    return across and one.top < other.top + other.height and other.top < one.top + one.height


def _joined(one: Box, other: Box) -> Box:
    left, top = min(one.left, other.left), min(one.top, other.top)
    right, bottom = max(one.left + one.width, other.left + other.width), max(one.top + one.height, other.top + other.height)
    return Box(left, top, right - left, bottom - top, min(one.letter_px, other.letter_px))


def _read_patch(picture: Gray, patch: Box) -> list[Line]:
    """Read a part of an image, its letters brought to a good size; what stands upright is read lying, too."""
    part = np.ascontiguousarray(picture[patch.top : patch.top + patch.height, patch.left : patch.left + patch.width])
    scale = min(4.0, max(0.4, LETTER_GOAL_PX / patch.letter_px))
    lines = read_lines(part, scale)
    if patch.height > patch.width and not any(is_text(line) for line in lines):
        lying = read_lines(np.ascontiguousarray(np.rot90(part)), scale)
        lines = [line._replace(corners=np.stack([patch.width - 1 - line.corners[:, 1], line.corners[:, 0]], axis=1)) for line in lying]
    origin = np.array([patch.left, patch.top], np.float32)
    return [line._replace(corners=line.corners + origin) for line in lines]
