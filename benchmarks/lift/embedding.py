"""Features of images by a frozen encoder, kept in parts, so that a run that was stopped goes on."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.lift.pictures import Images, Pictures
from benchmarks.lift.study import Study, Tell
from curation.manifest import write_bytes
from curation.pixels import Pixels
from validation.lift.augmentation import augment

Floats = npt.NDArray[np.float32]
Embed = Callable[[Sequence[Pixels]], Floats]
"""Images to `(N, F)` float32."""

PART_IMAGES = 128


def embed_parts(images: Callable[[npt.NDArray[np.int64]], Images], count: int, folder: Path, embed: Embed, tell: Tell) -> Floats:
    """Return `(count, F)` features; `images` gives those of some positions, and only parts without a file are asked for."""
    features = []
    for start in range(0, count, PART_IMAGES):
        path, members = folder / f"{start:06d}.npy", np.arange(start, min(start + PART_IMAGES, count))
        if not path.exists():
            write_array(embed(list(images(members))), path)
            tell(f"embedded {members[-1] + 1} of {count} images ({folder.name})")
        features.append(np.load(path))
    return np.concatenate(features)


def write_array(array: npt.NDArray[np.generic], path: Path) -> None:
    """Write an array, whole or not at all."""
    content = io.BytesIO()
    np.save(content, array)
    write_bytes(content.getvalue(), path)


def embed_real(pictures: Pictures, seen: npt.NDArray[np.int64], size_px: int, folder: Path, embed: Embed, tell: Tell) -> Floats:
    """Return `(N, F)` features of all pictures at one size; rows that are not `seen` are NaN."""
    found = embed_parts(lambda members: pictures.at(seen[members], size_px), len(seen), folder / f"real-{size_px}", embed, tell)
    features = np.full((len(pictures.ids), found.shape[1]), np.nan, np.float32)
    features[seen] = found
    return features


def embed_augmented(pictures: Pictures, study: Study, size_px: int, folder: Path, embed: Embed, tell: Tell) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return features of `study.augmentations` variants of every image of a rare class, `(A, F)`, and the position of each one's source, `(A,)`."""
    rare = np.flatnonzero(np.isin(pictures.labels, study.rare))
    source = np.repeat(rare, study.augmentations)

    def variants(members: npt.NDArray[np.int64]) -> Images:
        images = pictures.at(source[members], size_px)
        return np.stack([augment(image, int(member), study.flips) for image, member in zip(images, members, strict=True)])

    if not len(source):
        return np.zeros((0, 0), np.float32), source
    return embed_parts(variants, len(source), folder / f"augmented-{size_px}", embed, tell), source


def embed_made(images: Images, path: Path, embed: Embed) -> Floats:
    """Return `(M, F)` features of synthetic images, kept in a file."""
    if not path.exists():
        write_array(embed(list(images)), path)
    found: Floats = np.load(path)
    return found
