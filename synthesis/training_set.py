"""What a generator learns from: labelled train images of real patients of one task, as small squares; and the same images as screens look at them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
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
from synthesis.recipe import GeneratorSettings
from synthesis.volumes import as_picture, read_volumes

RECORD_NAME = "training_rows.json"


@dataclass(frozen=True)
class TrainingSet:
    """Rows, and their images in the same order.

    Attributes:
        rows: of the manifest, sorted by `image_id`.
        images: what candidates are compared with, all gray or all RGB, uint8: squares as large as the generator draws; where it changes real images,
            these images as large as they are stored; of volumes, pictures of some slices.
        lessons: `(N, S, S)` or `(N, S, S, 3)` uint8, of volumes `(N, D, S, S)`: what the generator learns from.
    """

    rows: pl.DataFrame
    images: list[Pixels]
    lessons: npt.NDArray[np.uint8]

    @property
    def labels(self) -> list[str]:
        """Label of each image."""
        return self.rows["label"].to_list()

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted labels."""
        return tuple(sorted(set(self.labels)))

    @property
    def channels(self) -> int:
        """1 or 3, of the images."""
        return 3 if self.images[0].ndim == 3 else 1

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
        return Examples(self.lessons, row_conditions(self.rows, columns), tuple(self.rows["image_id"]), tuple(self.groups))


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


def load_images(project: Project, rows: pl.DataFrame, generator: GeneratorSettings, channels: int) -> TrainingSet:
    """Return rows of one task with their images, in the order of the rows.

    Args:
        project: its shards hold them.
        rows: real or synthetic.
        generator: its engine and size say what is learned from and what is looked at.
        channels: 1 or 3.
    """
    size_px = generator.size_px
    if generator.engine == "volume":
        volumes = read_volumes(project, rows, generator.volume.slices, size_px)
        return TrainingSet(rows, [as_picture(volume) for volume in volumes], volumes)
    images, squares = [], []
    for stored in read_stored(project, rows):
        squares.append(make_square(stored, size_px, channels))
        images.append(to_levels(stored, channels) if generator.engine == "inpainting" else squares[-1])
    shape = (0, size_px, size_px, 3) if channels == 3 else (0, size_px, size_px)
    return TrainingSet(rows, images, np.stack(squares) if squares else np.empty(shape, np.uint8))


def read_stored(project: Project, rows: pl.DataFrame) -> Iterator[Pixels]:
    """Yield the images as they are stored, in the order of the rows."""
    with ShardReader(*project.shard_folders()) as shards:
        for shard, offset, size, suffix in rows.select("shard", "offset", "size_bytes", "suffix").iter_rows():
            yield decode(shards.read(Place(shard, offset, size)), suffix)


def make_square(image: Pixels, size_px: int, channels: int) -> Pixels:
    """Return the middle square of a uint8 or uint16 image, `(S, S)` or `(S, S, 3)` uint8, shrunk by averaging areas."""
    return to_levels(shrink_square(image, size_px), channels)


def shrink_square(image: Pixels, size_px: int) -> Pixels:
    """Return the middle square of an image with `size_px` pixels a side, its values as they are."""
    import cv2

    square = middle_square(image)
    shrinks = square.shape[0] >= size_px
    return np.asarray(cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def middle_square(image: Pixels) -> Pixels:
    """Return the middle square of an image, a view."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def to_levels(image: Pixels, channels: int) -> Pixels:
    """Return an image of any size as `(H, W)` or `(H, W, 3)` uint8 gray levels; 16 bits are stretched from their `gray_range`."""
    import cv2

    if image.dtype == np.uint16:
        low, high = gray_range(image)
        image = np.clip(np.rint((image.astype(np.float32) - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
    if image.ndim == 2 and channels == 3:
        return np.repeat(image[..., None], 3, axis=2)
    if image.ndim == 3 and channels == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return np.asarray(image)


def gray_range(image: Pixels) -> tuple[float, float]:
    """Return the values that become 0 and 255: of 16 bits the image's own 0.5 and 99.5 percentile, since few images use the whole range."""
    if image.dtype != np.uint16:
        return 0.0, 255.0
    low, high = np.percentile(image.astype(np.float32), (0.5, 99.5))
    return float(low), float(max(low + 1.0, high))


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
