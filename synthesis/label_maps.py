"""Label maps of train images as masks: where the finding is that an engine may replace."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from curation.pixels import decode
from curation.project import Project
from curation.shards import Place, ShardReader
from synthesis.training_set import make_square, middle_square


def read_masks(project: Project, rows: pl.DataFrame, size_px: int) -> npt.NDArray[np.uint8] | None:
    """Return `(N, S, S)` uint8 in the order of the rows: 1 where a 2-D image's label map has any label, all 0 without a map; None when no row has one.

    Args:
        project: its shards hold the maps.
        rows: of 2-D images.
        size_px: S; the middle square is taken, as of the images.
    """
    if rows["label_map_offset"].is_null().all():
        return None
    empty = np.zeros((size_px, size_px), np.uint8)
    return np.stack([empty if mask is None else make_square(255 * mask, size_px, 1) >= 128 for mask in read_squares(project, rows)]).astype(np.uint8)


def read_squares(project: Project, rows: pl.DataFrame) -> list[npt.NDArray[np.uint8] | None]:
    """Return the same at the stored size, `(M, M)` of the middle square of each image; None where there is no map, or nothing in it."""
    masks: list[npt.NDArray[np.uint8] | None] = []
    with ShardReader(*project.shard_folders()) as shards:
        for shard, offset, size in rows.select("shard", "label_map_offset", "label_map_size_bytes").iter_rows():
            mask = None if offset is None else middle_square(decode(shards.read(Place(shard, offset, size)), ".nii.gz")[0] != 0).astype(np.uint8)
            masks.append(mask if mask is not None and mask.any() else None)
    return masks
