"""Pictures of many small images: real ones above candidates, and samples of a generator that is being trained."""

from __future__ import annotations

import numpy as np

from curation.pixels import Pixels


def draw_grid(real: dict[str, list[Pixels]], made: dict[str, list[Pixels]], columns: int = 16, scale: int = 3) -> Pixels:
    """Return a picture `(H, W, 3)` uint8: for each class of `made` a row of real images, a white line, the made ones.

    Args:
        real: images of each class, `(S, S)` or `(S, S, 3)` uint8; at most one row of each is shown.
        made: the same for candidates; all are shown.
        columns: images in a row.
        scale: every pixel is drawn as so many by so many.
    """
    blocks = []
    for label, images in sorted(made.items()):
        side = images[0].shape[1]
        line = np.full((1, columns * side, 3), 255, np.uint8)
        blocks += [tile([*real.get(label, [])[:columns], *([] if real.get(label) else [np.zeros_like(images[0])])], columns), line.repeat(2, axis=0)]
        blocks += [tile(images, columns), line.repeat(6, axis=0)]
    return np.asarray(np.concatenate(blocks).repeat(scale, axis=0).repeat(scale, axis=1))


def tile(images: list[Pixels], columns: int) -> Pixels:
    """Return the images as rows of `columns`, gray ones as RGB, empty places black."""
    coloured = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    coloured += [np.zeros_like(coloured[0])] * (-len(coloured) % columns)
    return np.concatenate([np.concatenate(coloured[start : start + columns], axis=1) for start in range(0, len(coloured), columns)])
