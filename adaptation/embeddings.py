"""Features of manifest rows: embed only what no earlier fine-tuning with the same encoder has embedded.

New features are written to the folder of the model that needed them, a part at a time, so that a killed run goes on where it stopped. They
are found again by (encoder's hash, hash of the pixels), in any model folder; deleting a folder costs time, nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from adaptation.encoders import Encoder, Features
from curation.manifest import write_bytes
from curation.pixels import Pixels
from curation.progress import Progress, silent

PART_IMAGES = 512


class Embedded(NamedTuple):
    """`(N, F)` features of N rows, and how many distinct images were embedded now and how many reused."""

    features: Features
    embedded: int
    reused: int


def embed_rows(
    rows: pl.DataFrame, read: Callable[[dict[str, Any]], Pixels], encoder: Encoder, models: Path, folder: Path, progress: Progress | None = None
) -> Embedded:
    """Return the features of `rows`, in their order.

    Args:
        rows: rows of a manifest.
        read: row to its pixels, e.g. `Version.pixels`.
        encoder: what embeds.
        models: folder of all model folders, where earlier features are looked for.
        folder: where new features are written.
        progress: told of every image.
    """
    progress = progress or silent
    known = _find_features(models, encoder, set(rows["pixels_sha256"]))
    todo = rows.filter(~pl.col("pixels_sha256").is_in(list(known))).unique("pixels_sha256", keep="first", maintain_order=True)
    reused = len(known)
    for start in range(0, todo.height, PART_IMAGES):
        part = todo.slice(start, PART_IMAGES)
        features = encoder.embed(_read_telling(part, read, progress, start, todo.height))
        _write_part(part["pixels_sha256"].to_list(), features, encoder, folder)
        known |= dict(zip(part["pixels_sha256"], features, strict=True))
    ordered = [known[pixels] for pixels in rows["pixels_sha256"]]
    return Embedded(np.stack(ordered) if ordered else np.zeros((0, encoder.dimension), np.float32), todo.height, reused)


def _read_telling(part: pl.DataFrame, read: Callable[[dict[str, Any]], Pixels], progress: Progress, start: int, total: int) -> Iterator[Pixels]:
    for place, row in enumerate(part.iter_rows(named=True), start=start):
        progress(place, total, "embedding images")
        yield read(row)


def _write_part(pixels_sha256: list[str], features: Features, encoder: Encoder, folder: Path) -> None:
    """Write one part: `pixels_sha256` `(N, 32)` uint8 and `features` `(N, F)` float32."""
    from safetensors.numpy import save

    hashes = np.frombuffer(bytes.fromhex("".join(pixels_sha256)), np.uint8).reshape(-1, 32)
    name = hashlib.sha256(hashes.tobytes()).hexdigest()[:12]
    content = save({"pixels_sha256": hashes, "features": features}, metadata={"encoder_sha256": encoder.sha256, "encoder": encoder.name})
    write_bytes(content, folder / f"features-{name}.safetensors")


def _find_features(models: Path, encoder: Encoder, wanted: set[str]) -> dict[str, Features]:
    """Return the features of the wanted pixels that earlier runs of the same encoder wrote; a file that cannot be read is passed over."""
    from safetensors import SafetensorError, safe_open

    found: dict[str, Features] = {}
    for path in sorted(models.glob("*/features-*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as file:
                if (file.metadata() or {}).get("encoder_sha256") != encoder.sha256:
                    continue
                hashes, features = file.get_tensor("pixels_sha256"), file.get_tensor("features")
        except (SafetensorError, OSError):
            continue
        found |= {name: row for name, row in zip((bytes(one).hex() for one in hashes), features, strict=True) if name in wanted}
    return found
