"""Searches among a few train images: is a part of this image a part of one of them, or is it a mix of two?

All images are `detail`s: `(32, 32)` float32 of unit length, without brightness and without what is coarse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Templates inside a reference of 32 px: the middle of the image as it is, moved by up to 2 px; the whole image as 95, 90 or 85 % of the
# reference's side; the middle of the image after a turn, moved by up to `MOST_MOVED_PX`.
MIDDLE_PX = 28
PART_PX = (30, 29, 27)
TURNED_PX = 22
TURNS_DEGREES = (-10.0, -5.0, 5.0, 10.0)
MOST_MOVED_PX = 2
TURNED_WORTH = 0.95
"""A turned template is the smallest and there are most of them, so it matches by chance more often: its correlation counts a little less."""
FLAT = 1e-6
"""A square of a smaller length shows nothing."""
LEAST_SHARE = 0.3
"""A mix holds at least this share of either image; with less it is a copy, which the other distances see."""


def symmetries(image: Any) -> list[Any]:
    """Return the eight images that mirroring and quarter turns make of one, `(H, W)` or `(H, W, C)`."""
    turned = [np.rot90(image, quarter) for quarter in range(4)]
    return [np.ascontiguousarray(each) for one in turned for each in (one, one[:, ::-1])]


def part_lengths(references: Floats) -> dict[int, Floats]:
    """Return, by side of a template, `(K, P)`: the length of each square of that size in each of `(K, 32, 32)` references."""
    found = {}
    for size in (MIDDLE_PX, *PART_PX, TURNED_PX):
        squares = _windows(references, size)
        found[size] = np.sqrt(np.einsum("kpqij,kpqij->kpq", squares, squares)).reshape(len(references), -1)
    return found


def nearest_part(band: Floats, references: Floats, lengths: dict[int, Floats]) -> tuple[float, int]:
    """Return 1 - the best normalised correlation of a template of the image with a place in a reference, and the position of that reference.

    Args:
        band: `(32, 32)` of the image.
        references: `(K, 32, 32)`.
        lengths: of `part_lengths` of them.
    """
    best = np.full(len(references), -1.0, np.float32)
    for size, (templates, worth) in _templates(band).items():
        products = _windows(references, size).reshape(-1, size * size) @ templates.T
        scores = products.reshape(*lengths[size].shape, -1).max(axis=2) / np.maximum(lengths[size], FLAT)
        best = np.maximum(best, worth * scores.max(axis=1))
    return float(1 - best.max()), int(best.argmax())


def _templates(band: Floats) -> dict[int, tuple[Floats, float]]:
    """Return, by side, the templates of an image under all symmetries, `(T, side · side)` of unit length, and what their correlation is worth."""
    import cv2

    whole, variants = band.shape[0], symmetries(band)
    found = {MIDDLE_PX: (_unit([_middle(each, MIDDLE_PX) for each in variants]), 1.0)}
    for size in PART_PX:
        found[size] = (_unit([cv2.resize(each, (size, size), interpolation=cv2.INTER_AREA) for each in variants]), 1.0)
    matrices = [cv2.getRotationMatrix2D(((whole - 1) / 2, (whole - 1) / 2), degrees, 1.0) for degrees in TURNS_DEGREES]
    turned = [cv2.warpAffine(each, matrix, (whole, whole), flags=cv2.INTER_LINEAR) for each in variants for matrix in matrices]
    found[TURNED_PX] = (_unit([_middle(np.asarray(each, np.float32), TURNED_PX) for each in turned]), TURNED_WORTH)
    return found


def _middle(image: Floats, size: int) -> Floats:
    edge = (image.shape[0] - size) // 2
    return image[edge : edge + size, edge : edge + size]


def _windows(references: Floats, size: int) -> Floats:
    """Return the squares of a size in every reference, a view `(K, Y, X, size, size)`; of turned ones those in the middle."""
    places = np.lib.stride_tricks.sliding_window_view(references, (len(references), size, size))[0]
    spare = max(0, (places.shape[0] - 1) // 2 - MOST_MOVED_PX) if size == TURNED_PX else 0
    near: Floats = places[spare : places.shape[0] - spare, spare : places.shape[1] - spare].transpose(2, 0, 1, 3, 4)
    return near


def _unit(squares: Any) -> Floats:
    """Return squares as rows of unit length; a flat one stays (nearly) zero."""
    rows = np.asarray(squares, np.float32).reshape(len(squares), -1)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.maximum(lengths, FLAT)[:, None], np.float32)


def nearest_blend(band: Floats, references: Floats) -> tuple[float, int]:
    """Return 1 - the correlation of the image with the best mix of two references (shares `LEAST_SHARE` to 1 - `LEAST_SHARE`), and the position of the larger.

    With q the image, a and b the references, all of length 1, `w` minimises |q - w_a a - w_b b|²; the correlation is sqrt(w_a q·a + w_b q·b).
    Infinite for fewer than two references.
    """
    if len(references) < 2:
        return float("inf"), 0
    flat = references.reshape(len(references), -1)
    own, gram = flat @ band.reshape(-1), flat @ flat.T
    first, second = np.triu_indices(len(flat), 1)
    qa, qb, ab = own[first], own[second], gram[first, second]
    scale = np.maximum(1 - ab**2, 1e-3)
    wa, wb = (qa - ab * qb) / scale, (qb - ab * qa) / scale
    share = wa / np.where(wa + wb > 0, wa + wb, np.inf)
    explained = np.where((wa > 0) & (wb > 0) & (share >= LEAST_SHARE) & (share <= 1 - LEAST_SHARE), wa * qa + wb * qb, 0)
    best = int(np.argmax(explained))
    return float(1 - np.sqrt(np.clip(explained[best], 0, 1))), int((first if wa[best] >= wb[best] else second)[best])
