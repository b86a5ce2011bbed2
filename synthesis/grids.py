"""Pictures of many small images: real ones above candidates, and samples of a generator that is being trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from curation.pixels import Pixels

COLUMNS = 16
WIDTH_PX = 2048
"""Larger images stand in fewer columns."""
SHOWN_PX = 96
"""Smaller images are enlarged, every pixel to a square."""


ByClass = Mapping[str, Sequence[Pixels]]


def draw_grid(real: ByClass, made: ByClass, parents: ByClass | None = None, nearest: ByClass | None = None) -> Pixels:
    """Return a picture `(H, W, 3)` uint8: for each class of `made` a row of real images, a white line, then rows of parent, made image, nearest real one.

    Args:
        real: images of each class, uint8, gray or RGB; at most one row of each is shown.
        made: the same for candidates; all are shown.
        parents: of the candidates, in the same order, where they have any; each stands above its candidate.
        nearest: the real image that each candidate is most like, in the same order; each stands below its candidate.
    """
    shapes = [image.shape[:2] for part in (real, made, parents or {}, nearest or {}) for label in made for image in part.get(label, [])]
    cell = (max(height for height, _ in shapes), max(width for _, width in shapes))
    columns, scale = min(COLUMNS, max(4, WIDTH_PX // cell[1])), max(1, SHOWN_PX // max(cell))
    line, blocks = np.full((2, columns * cell[1], 3), 255, np.uint8), []
    stacked = [part for part in (parents, made, nearest) if part is not None]
    for label, images in sorted(made.items()):
        blocks += [tile(list(real.get(label, []))[:columns], columns, cell), line]
        for start in range(0, len(images), columns):
            blocks += [tile(part[label][start : start + columns], columns, cell) for part in stacked]
            blocks += [line[:1]] if len(stacked) > 1 else []
        blocks.append(line.repeat(3, axis=0))
    return np.asarray(np.concatenate(blocks).repeat(scale, axis=0).repeat(scale, axis=1))


def tile(images: Sequence[Pixels], columns: int, cell: tuple[int, int] | None = None) -> Pixels:
    """Return the images as rows of `columns`, at least one, gray ones as RGB; empty places, and what an image leaves of its cell, are black.

    Args:
        images: uint8, gray or RGB.
        columns: images in a row.
        cell: rows and columns of a place; default: those of the first image.
    """
    height, width = cell or images[0].shape[:2]
    lines = max(1, -(-len(images) // columns))
    picture = np.zeros((lines * height, columns * width, 3), np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * height + (height - image.shape[0]) // 2, place % columns * width + (width - image.shape[1]) // 2
        picture[top : top + image.shape[0], left : left + image.shape[1]] = image if image.ndim == 3 else image[..., None]
    return picture
