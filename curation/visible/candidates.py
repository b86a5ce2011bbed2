"""The cheap look: where in a gray image could a line of text be? Letters are small, thin, of one height, and stand in a row.

It runs on every image, about 2 ms for 512 x 512 pixels, and decides alone only that an image has nothing like a line of text. What it finds is read by `ocr`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

STROKE_PX = 9
LETTER_PX = (6, 64)
LEAST_CONTRAST = 48.0
LEAST_PIXELS = 30
LEAST_LETTERS = 3
MOST_LETTERS = 1200
HALVE_ABOVE_PX = 400
CELL_PX = (8, 16)
LEAST_EDGES = 0.13
LEAST_STEP = 20


class Box(NamedTuple):
    """A rectangle in pixels; `letter_px` is the height of its letters."""

    left: int
    top: int
    width: int
    height: int
    letter_px: int


class Blobs(NamedTuple):
    """Connected strokes: place and size, each `(n,)` float32 px."""

    left: Floats
    top: Floats
    width: Floats
    height: Floats

    def take(self, chosen: npt.NDArray[np.intp]) -> Blobs:
        """Return some of them."""
        return Blobs(*(values[chosen] for values in self))


def find_candidates(image: Gray) -> list[Box]:
    """Return the places that look like a line of text, level or upright, brighter or darker or more colourful than what is around it.

    Args:
        image: `(H, W)` gray or `(H, W, 3)` RGB, uint8.
    """
    import cv2

    found: list[Box] = []
    for plane, operations in _planes(image):
        found += _find(plane, operations)
        size, factor = max(plane.shape), 1
        while size > HALVE_ABOVE_PX * factor and factor < 4:
            factor *= 2
            plane = np.asarray(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
            found += [Box(*(factor * number for number in box)) for box in _find(plane, operations)]
    return found


def _planes(image: Gray) -> list[tuple[Gray, tuple[int, ...]]]:
    """Return gray pictures, and by which operations strokes stand out in each: light ones (top-hat) or dark ones (black-hat)."""
    import cv2

    both = (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
    if image.ndim == 2:
        return [(image, both)]
    red, green, blue = cv2.split(image)
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    colour = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return [(gray, both), (np.asarray(colour, np.uint8), both[:1])]


def _find(plane: Gray, operations: tuple[int, ...]) -> list[Box]:
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (STROKE_PX, STROKE_PX))
    found: list[Box] = []
    for operation in operations if _is_sharp(plane) else ():
        strokes = cv2.morphologyEx(plane, operation, kernel)
        contrast = max(LEAST_CONTRAST, 3.0 * float(np.asarray(cv2.mean(strokes))[0]))
        binary = np.asarray(cv2.threshold(strokes, contrast, 255, cv2.THRESH_BINARY)[1], np.uint8)
        if cv2.countNonZero(binary) >= LEAST_PIXELS:
            found += _level_lines(binary) + [_turn(box) for box in _level_lines(np.asarray(cv2.transpose(binary), np.uint8))]
    return found


def _is_sharp(plane: Gray) -> bool:
    """Say whether anywhere many steps of gray follow each other, as letters have them; smooth tissue has not, and need not be looked at any further."""
    import cv2

    for turned in (plane, np.asarray(cv2.transpose(plane), np.uint8)):
        seen = turned[::2]
        steps = cv2.threshold(cv2.absdiff(seen[:, 1:], seen[:, :-1]), LEAST_STEP, 255, cv2.THRESH_BINARY)[1]
        if _busy_cells(np.asarray(steps, np.uint8)).any():
            return True
    return False


def _level_lines(binary: Gray) -> list[Box]:
    """Return the level lines among strokes of 0 and 255."""
    left, top, busy = _busy_part(binary)
    if busy is None:
        return []
    blobs = _blobs(busy)
    found = _rows_of_letters(blobs) + _words(busy, blobs)
    return [box._replace(left=box.left + left, top=box.top + top) for box in found]


def _busy_part(binary: Gray) -> tuple[int, int, Gray | None]:
    """Return the part of the strokes around places where many of them are crossed on a short way to the right, and its left and top.

    A letter has two to four edges across, so a line of text has more than one each eight pixels; the outline of an organ has two in all.
    """
    import cv2

    rows, columns = CELL_PX
    seen = binary[::2]  # letters are at least six rows high: every other one is enough
    is_busy = _busy_cells(np.bitwise_xor(seen[:, 1:], seen[:, :-1]))
    busy = cv2.dilate(is_busy.astype(np.uint8), np.ones((5, 5), np.uint8))
    column, row, width, height = cv2.boundingRect(busy)
    if not width:
        return 0, 0, None
    left, top = column * columns, row * rows
    part = binary[top : top + (height + 1) * rows, left : left + (width + 1) * columns]
    cells = cv2.resize(busy[row : row + height, column : column + width], (part.shape[1], part.shape[0]), interpolation=cv2.INTER_NEAREST)
    return left, top, np.asarray(cv2.bitwise_and(part, cells), np.uint8)


def _busy_cells(edges: Gray) -> npt.NDArray[np.bool_]:
    """Return which cells of the picture, with their right neighbour, have many edges; `edges` are 0 or 255 in every other row."""
    rows, columns = CELL_PX[0] // 2, CELL_PX[1]
    whole = np.zeros((-(-edges.shape[0] // rows) * rows, (edges.shape[1] // columns + 1) * columns), np.uint8)
    whole[: edges.shape[0], : edges.shape[1]] = edges
    eights = np.bitwise_count(whole.view(np.uint64)).reshape(-1, rows, whole.shape[1] // 8).sum(axis=1, dtype=np.uint16)
    share = eights[:, ::2] + eights[:, 1::2]
    share[:, :-1] += share[:, 1:]
    return np.asarray(share > 8 * LEAST_EDGES * rows * 2 * columns, np.bool_)


def _turn(box: Box) -> Box:
    return Box(box.top, box.left, box.height, box.width, box.letter_px)


def _blobs(binary: Gray) -> Blobs:
    """Return the rectangles of the connected strokes, from left to right; contours take a third of the time of labels."""
    import cv2

    contours, levels = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return Blobs(*np.zeros((4, 0), np.float32))
    places = [cv2.boundingRect(contour) for contour, level in zip(contours, levels[0], strict=True) if level[3] < 0 and len(contour) > 1]
    table = np.array([place for place in places if max(place[2:]) >= LETTER_PX[0]], np.float32).reshape(-1, 4)
    return Blobs(*table.T)


def _rows_of_letters(blobs: Blobs) -> list[Box]:
    """Return rows of letters: neighbours of like height on one base line or centre line."""
    least, most = LETTER_PX
    is_letter = (blobs.height >= least) & (blobs.height <= most) & (blobs.width <= 1.7 * blobs.height) & (blobs.width >= 0.1 * blobs.height)
    chosen = np.flatnonzero(is_letter)
    if len(chosen) < LEAST_LETTERS:
        return []
    letters = blobs.take(chosen[np.argsort(blobs.left[chosen], kind="stable")][:MOST_LETTERS])
    lines = []
    for members in _chains(letters):
        if len(members) >= LEAST_LETTERS:
            line = letters.take(members)
            if _is_straight(line):
                lines.append(_around(line))
    return lines


def _chains(letters: Blobs) -> list[npt.NDArray[np.intp]]:
    """Return the numbers of letters that are neighbours of neighbours."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one, other = _pairs(letters)
    if not len(one):
        return []
    low, high = np.minimum(letters.height[one], letters.height[other]), np.maximum(letters.height[one], letters.height[other])
    bottom, centre = letters.top + letters.height, letters.top + letters.height / 2
    shift = np.minimum(np.abs(bottom[one] - bottom[other]), np.abs(centre[one] - centre[other]))
    gap = letters.left[other] - letters.left[one] - letters.width[one]
    is_pair = (gap <= high) & (gap >= -0.4 * high) & (low >= 0.55 * high) & (shift <= 0.15 * high + 1)
    one, other = one[is_pair], other[is_pair]
    if not len(one) or np.bincount(np.concatenate([one, other])).max() < 2:
        return []
    links = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(len(letters.left),) * 2)
    count, chain = connected_components(links, directed=False)
    order = np.argsort(chain, kind="stable")
    return np.split(order, np.cumsum(np.bincount(chain, minlength=count))[:-1])


def _pairs(letters: Blobs) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return pairs whose left edges are close enough for neighbours; `letters` are sorted by them."""
    reach = np.searchsorted(letters.left, letters.left + letters.width + LETTER_PX[1])
    counts = np.maximum(reach - np.arange(len(reach)) - 1, 0)
    one = np.repeat(np.arange(len(reach)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return one, one + 1 + np.arange(len(one)) - starts


def _is_straight(line: Blobs) -> bool:
    """Say whether the letters stand on a line, level or a little slanted, and not in a heap or along a curve."""
    size = float(np.median(line.height))
    place, centre = line.left + line.width / 2, line.top + line.height / 2
    if float(np.ptp(place)) < size * 0.8:
        return False
    slope, offset = np.polyfit(place.astype(np.float64), centre.astype(np.float64), 1)
    return bool(abs(slope) <= 0.5 and np.median(np.abs(centre - slope * place - offset)) <= 0.2 * size + 1)


def _around(line: Blobs) -> Box:
    left, top = float(line.left.min()), float(line.top.min())
    right, bottom = float((line.left + line.width).max()), float((line.top + line.height).max())
    return Box(int(left), int(top), int(right - left), int(bottom - top), int(np.median(line.height)))


def _words(binary: Gray, blobs: Blobs) -> list[Box]:
    """Return long blobs with as many strokes across as a word of touching letters has."""
    import cv2

    least, most = LETTER_PX
    is_long = (blobs.height >= least) & (blobs.height <= most) & (blobs.width > 1.7 * blobs.height) & (blobs.width <= 30 * blobs.height)
    words = []
    for number in np.flatnonzero(is_long)[:50]:
        left, top, width, height = (int(blobs[k][number]) for k in range(4))
        patch = np.ascontiguousarray(binary[top : top + height, left : left + width])
        if not 0.2 <= cv2.countNonZero(patch) / patch.size <= 0.8:
            continue
        edges = float(np.count_nonzero(patch[:, 1:] != patch[:, :-1])) / height
        if edges >= max(5.0, 1.5 * width / height):
            words.append(Box(left, top, width, height, height))
    return words
