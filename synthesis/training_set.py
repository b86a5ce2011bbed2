"""What a generator learns from: labelled train images of real patients of one task, as small squares."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curation.duplicates import is_dropped_duplicate
from curation.errors import UsageError
from curation.manifest import write_bytes
from curation.modalities import with_task
from curation.pixels import Pixels, decode
from curation.project import Project
from curation.shards import Place, ShardReader
from synthesis.conditions import row_conditions
from synthesis.engines.engine import Examples
from synthesis.volumes import as_picture, read_volumes

RECORD_NAME = "training_rows.json"


@dataclass(frozen=True)
class TrainingSet:
    """Rows, and their images in the same order.

    Attributes:
        rows: of the manifest, sorted by `image_id`.
        images: `(S, S)` or `(S, S, 3)` uint8; of volumes, pictures of some slices.
        classes: sorted labels.
        volumes: `(N, D, S, S)` uint8, where the rows are volumes.
    """

    rows: pl.DataFrame
    images: list[Pixels]
    classes: tuple[str, ...]
    volumes: npt.NDArray[np.uint8] | None = None

    @property
    def labels(self) -> list[str]:
        """Label of each image."""
        return self.rows["label"].to_list()

    @property
    def groups(self) -> list[str]:
        """Patient, or group of patients, of each image."""
        return self.rows.select(pl.coalesce("group_id", "patient_id")).to_series().to_list()

    @property
    def counts(self) -> dict[str, int]:
        """Images of each class."""
        return dict(sorted(Counter(self.labels).items()))

    def examples(self, columns: tuple[str, ...] = ()) -> Examples:
        """Return what an engine learns from; `columns` are told beside the label."""
        images = np.stack(self.images) if self.volumes is None else self.volumes
        return Examples(images, row_conditions(self.rows, columns), tuple(self.rows["image_id"]), tuple(self.groups))


def usable_rows(rows: pl.DataFrame, task: str, split: str) -> pl.DataFrame:
    """Return the real, labelled rows of a task on one side of the split, without dropped duplicates and rejected images."""
    wanted = (
        (pl.col("origin") == "acquired")
        & (pl.col("split") == split)
        & pl.col("label").is_not_null()
        & pl.col("verdict").ne_missing("rejected")
        & ~is_dropped_duplicate()
    )
    return with_task(rows).filter(wanted & (pl.col("task") == task)).drop("task").sort("image_id")


def hash_rows(rows: pl.DataFrame) -> str:
    """Return the SHA-256 of image, pixels and label of every row, whatever their order."""
    lines = sorted("|".join(row) for row in rows.select("image_id", "pixels_sha256", "label").iter_rows())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_images(project: Project, rows: pl.DataFrame, size_px: int, channels: int, slices: int = 16) -> list[Pixels]:
    """Return the stored images as squares of `size_px` with 1 or 3 channels, in the order of the rows; of volumes pictures of `slices` slices or fewer."""
    if rows.height and rows["ndim"][0] == 3:
        return [as_picture(volume) for volume in read_volumes(project, rows, slices, size_px)]
    images = []
    with ShardReader(*project.shard_folders()) as shards:
        for shard, offset, size, suffix in rows.select("shard", "offset", "size_bytes", "suffix").iter_rows():
            images.append(make_square(decode(shards.read(Place(shard, offset, size)), suffix), size_px, channels))
    return images


def make_square(image: Pixels, size_px: int, channels: int) -> Pixels:
    """Return the middle square of a uint8 or uint16 image, `(S, S)` or `(S, S, 3)` uint8, shrunk by averaging areas.

    16-bit images are scaled to 8 bits by their own 0.5 and 99.5 percentile, since few of them use the whole range.
    """
    import cv2

    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    small = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA if side >= size_px else cv2.INTER_LINEAR)
    if small.dtype == np.uint16:
        values = small.astype(np.float32)
        low, high = np.percentile(values, (0.5, 99.5))
        small = np.clip(np.rint((values - low) * (255 / max(1.0, high - low))), 0, 255).astype(np.uint8)
    if small.ndim == 2 and channels == 3:
        return np.repeat(small[..., None], 3, axis=2)
    if small.ndim == 3 and channels == 1:
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    return np.asarray(small)


def most_common(rows: pl.DataFrame, column: str) -> Any:
    """Return the commonest value of a column, ties broken by the value."""
    return rows[column].drop_nulls().value_counts().sort("count", column, descending=[True, False])[column][0]


def write_training_rows(rows: pl.DataFrame, folder: Path, base: Path | None = None) -> str:
    """Put on record, beside the generator, which images it learns from, those that its base learned from included; return the record's hash.

    Args:
        rows: that it learns from.
        folder: of the generator.
        base: folder of the generator that it starts from.

    Raises:
        UsageError: nobody knows what the base learned from.
    """
    name, image_ids = hash_rows(rows), set(rows["image_id"])
    if base is not None:
        if not (base / RECORD_NAME).exists():
            raise UsageError(
                f"synthesis.generator.base has no {RECORD_NAME}, so nobody can say that it saw no val or test patient: "
                "name a folder that `curaloop synthesize` made"
            )
        known = json.loads((base / RECORD_NAME).read_text())
        name = hashlib.sha256(f"{name}|{known['training_manifest_sha256']}".encode()).hexdigest()
        image_ids |= set(known["image_ids"])
    record = {"training_manifest_sha256": name, "image_ids": sorted(image_ids)}
    write_bytes((json.dumps(record, indent=0, sort_keys=True) + "\n").encode(), folder / RECORD_NAME)
    return name


def read_training_rows(project: Project) -> dict[str, frozenset[str]]:
    """Return the image_ids that each generator on record in this project was trained on, by `training_manifest_sha256`."""
    records = [json.loads(path.read_text()) for path in sorted(project.models.glob(f"generator-*/{RECORD_NAME}"))]
    return {record["training_manifest_sha256"]: frozenset(record["image_ids"]) for record in records}
