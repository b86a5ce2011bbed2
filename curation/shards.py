"""Shards: tar files with many images in them, named by their own hash, never changed.

The layout is WebDataset's: `<image_id>.png` or `<image_id>.nii.gz`, and beside it `<image_id>.seg.nii.gz` when the image has a label map.
Headers have a fixed owner, mode and time, so the same images in the same order give the same bytes. The manifest holds where each file begins
(`shard`, `offset`, `size_bytes`), so that one image is read without unpacking. Labels live in the manifest: relabelling touches no shard.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import polars as pl

from curation.errors import IntegrityError

MAX_SHARD_BYTES = 256 * 2**20
OWN_SHARD_BYTES = 16 * 2**20
"""From this size on, an image has a shard to itself, which the worker that made it writes."""
OWN_SHARDS = "shards"
"""Folder of these shards among the parts."""
LABEL_MAP = ".seg.nii.gz"
"""Suffix of the file that holds the label map of an image."""
UNFINISHED = ".shard-"
"""Beginning of the name of a shard that is being written."""
PLACE = ("shard", "offset", "size_bytes", "label_map_offset", "label_map_size_bytes")
"""Columns that say where an image and its label map lie."""


class Place(NamedTuple):
    """Where one file lies."""

    shard: str
    offset: int
    size_bytes: int


class ShardWriter:
    """Writes one shard; its name is known when it is closed.

    Used as a context manager: on an error nothing stays behind. `places` maps the added names to their places after
    the block.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.places: dict[str, Place] = {}
        self._offsets: dict[str, tuple[int, int]] = {}
        self._digest = hashlib.sha256()
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=UNFINISHED)
        self._file, self._temporary = os.fdopen(descriptor, "wb"), Path(temporary)
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def add(self, name: str, content: bytes | memoryview) -> None:
        """Append one file."""
        header = tarfile.TarInfo(name)
        header.size, header.mode, header.mtime = len(content), 0o644, 0
        head = header.tobuf(tarfile.USTAR_FORMAT)
        self._offsets[name] = (self.size_bytes + len(head), len(content))
        for block in (head, content, b"\0" * (-len(content) % tarfile.BLOCKSIZE)):
            self._append(block)

    def _append(self, block: bytes | memoryview) -> None:
        self._file.write(block)
        self._digest.update(block)
        self.size_bytes += len(block)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None and self._offsets:
                self._append(b"\0" * (2 * tarfile.BLOCKSIZE))
                self._file.flush()
                os.fsync(self._file.fileno())
                name = f"{self._digest.hexdigest()}.tar"
                self._temporary.chmod(0o644)
                self._temporary.rename(self.folder / name)
                self.places = {key: Place(name, *place) for key, place in self._offsets.items()}
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)


def write_shards(images: Iterable[tuple[str, bytes]], folder: Path, max_bytes: int = MAX_SHARD_BYTES) -> dict[str, Place]:
    """Write (name, content) pairs into as many shards as needed and return where each lies.

    Files whose names are equal up to the first point, an image and its label map, follow each other and come into one shard.
    """
    places: dict[str, Place] = {}
    stream = (list(members) for _, members in groupby(images, key=lambda image: image[0].partition(".")[0]))
    for first in stream:
        with ShardWriter(folder) as shard:
            for members in chain([first], stream):
                for name, content in members:
                    shard.add(name, content)
                if shard.size_bytes >= max_bytes:
                    break
        places |= shard.places
    return places


def drop_unfinished(folder: Path) -> None:
    """Delete what a writer that was killed left in a folder; nobody may be writing there."""
    for path in folder.glob(f"{UNFINISHED}*"):
        path.unlink()


def write_own_shard(row: Mapping[str, Any], content: bytes | memoryview, folder: Path) -> dict[str, Any]:
    """Write one image, and the label map behind it if it has one, as a shard, and return the columns of its place."""
    view, image_bytes = memoryview(content), len(content) - (row["label_map_size_bytes"] or 0)
    name, label_map = f"{row['image_id']}{row['suffix']}", f"{row['image_id']}{LABEL_MAP}"
    with ShardWriter(folder) as shard:
        shard.add(name, view[:image_bytes])
        if image_bytes < len(content):
            shard.add(label_map, view[image_bytes:])
    place = dict(zip(PLACE[:3], shard.places[name], strict=True))
    return place | ({"label_map_offset": shard.places[label_map].offset} if label_map in shard.places else {})


def adopt_shards(names: Iterable[str], parts: Path, folder: Path) -> None:
    """Move those of the named shards that workers wrote among the parts to where shards lie."""
    for name in names:
        if (parts / OWN_SHARDS / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            (parts / OWN_SHARDS / name).replace(folder / name)


def with_places(rows: pl.DataFrame, places: Mapping[str, Place]) -> pl.DataFrame:
    """Return the rows with the places of the files that were written for them; rows without new files keep what they have.

    Args:
        rows: a manifest.
        places: what `write_shards` returned for `<image_id><suffix>` and `<image_id>.seg.nii.gz`.
    """
    found: dict[str, list[Any]] = {"image_id": [], **{f"{name}_new": [] for name in PLACE}}
    for name, place in places.items():
        if name.endswith(LABEL_MAP):
            continue
        mask = places.get(f"{name.partition('.')[0]}{LABEL_MAP}")
        values = (name.partition(".")[0], *place, mask.offset if mask else None, mask.size_bytes if mask else None)
        for column, value in zip(found.values(), values, strict=True):
            column.append(value)
    dtypes = {name: pl.String() if name in ("image_id", "shard_new") else pl.Int64() for name in found}
    joined = rows.join(pl.DataFrame(found, schema=dtypes), on="image_id", how="left", maintain_order="left")
    is_new = pl.col("shard_new").is_not_null()
    return joined.with_columns(pl.when(is_new).then(f"{name}_new").otherwise(name).alias(name) for name in PLACE).select(rows.columns)


class ShardReader:
    """Reads images by place from folders of shards; keeps the shards open that it has touched."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self._open: dict[str, io.BufferedReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def read(self, place: Place) -> bytes:
        """Return the bytes at `place`.

        Raises:
            IntegrityError: the shard is missing or shorter than the place says.
        """
        file = self._open.get(place.shard)
        if file is None:
            file = self._open[place.shard] = self._find(place.shard).open("rb")
        file.seek(place.offset)
        content = file.read(place.size_bytes)
        if len(content) != place.size_bytes:
            raise IntegrityError(place.shard, f"ends before byte {place.offset + place.size_bytes}")
        return content

    def _find(self, shard: str) -> Path:
        for folder in self.folders:
            if (folder / shard).is_file():
                return folder / shard
        raise IntegrityError(shard, "shard is missing; `dvc pull` brings released ones back")


def verify_shard(path: Path) -> None:
    """Raise `IntegrityError` unless the shard's bytes hash to its name."""
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    if f"{digest.hexdigest()}.tar" != path.name:
        raise IntegrityError(path, f"bytes hash to {digest.hexdigest()[:12]}…, not to the name")


def _blocks(path: Path, size: int = 2**20) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(size):
            yield block
