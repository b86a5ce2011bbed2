"""How near an image is to the train images: four distances, each blind to something that the others see.

`feature`: cosine distance of embeddings. `pixel`: RMS difference of small images without brightness and contrast, under the eight symmetries of a square.
`aligned`: the best match of a part of the image inside a train image, over symmetries, sizes, places and small turns; it sees crops and turned copies.
`blend`: what is left of the image when two train images are mixed; it sees averages of patients. The last two are searched for among the train images that
the first ones and a plain comparison of details put nearest (the shortlist), since a search through all of them would take hours.
Every image is compared at 32 × 32 px; one that is not square is squeezed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels
from synthesis.screens.alignment import nearest_blend, nearest_part, part_lengths, symmetries

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

COMPARED_PX = 32
DISTANCES = ("feature", "pixel", "aligned", "blend")
LISTED = 8
CHUNK = 64


@dataclass(frozen=True)
class References:
    """Train images, ready to be compared with.

    Attributes:
        features: `(N, F)` unit vectors.
        pixels: `(N, P)` of `standardise`.
        squares: `(N,)`, squared lengths of `pixels`.
        details: `(N, 32, 32)` of `detail`.
        lengths: of `part_lengths` of the details.
        groups: patient of each.
    """

    features: Floats
    pixels: Floats
    squares: Floats
    details: Floats
    lengths: dict[int, Floats]
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Closeness:
    """Distances of M images to the train images, and which of those is nearest.

    Attributes:
        distances: `(M, 4)`, in the order of `DISTANCES`; infinite where every train image was forbidden.
        nearest: `(M, 4)` positions of the nearest train image by each (of a blend, of the larger part).
    """

    distances: Floats
    nearest: npt.NDArray[np.int64]


def prepare(images: Sequence[Pixels], features: Floats, groups: Sequence[str]) -> References:
    """Return the train images as references."""
    pixels, details = np.stack([standardise(image) for image in images]), np.stack([detail(image) for image in images])
    return References(unit(features), pixels, (pixels**2).sum(axis=1), details, part_lengths(details), np.asarray(groups))


def unit(features: Floats) -> Floats:
    """Return the rows scaled to length 1."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), dtype=np.float32)


def standardise(image: Pixels) -> Floats:
    """Return an image of any size as a `(32 · 32 · C,)` float32 vector that brightness and contrast do not change.

    Each channel's mean is taken away, all are divided by their common standard deviation (at least one gray level), so the
    RMS difference of two vectors is sqrt(2 (1 - correlation)): 0 for a copy, 1.41 for unrelated images.
    """
    small = _shrink(image).astype(np.float32)
    centred = small - small.mean(axis=(0, 1))
    scale = max(1.0, float(np.sqrt(np.mean(centred**2))))
    return np.asarray(centred / scale, dtype=np.float32).reshape(-1)


def detail(image: Pixels) -> Floats:
    """Return `(32, 32)` float32: gray, without what is wider than 3 px and finer than 0.6 px, scaled to unit length (at least one gray level a pixel).

    Lesions of two patients are often both a dark disc in the middle; what makes them one patient's is in the detail.
    """
    import cv2

    small = _shrink(image)
    gray = (cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small).astype(np.float32)
    fine = np.asarray(cv2.GaussianBlur(gray, (0, 0), 0.6) - cv2.GaussianBlur(gray, (0, 0), 3.0), np.float32)
    band = fine - fine.mean()
    return np.asarray(band / max(float(COMPARED_PX), float(np.linalg.norm(band))), dtype=np.float32)


def _shrink(image: Pixels) -> Pixels:
    import cv2

    return np.asarray(cv2.resize(image, (COMPARED_PX, COMPARED_PX), interpolation=cv2.INTER_AREA))


def measure(images: Sequence[Pixels], features: Floats, references: References, groups: Sequence[str] | None = None) -> Closeness:
    """Return how near each image is to the references; with `groups`, never to those of its own group.

    Args:
        images: `(H, W)` or `(H, W, 3)` uint8.
        features: `(M, F)` embeddings of them.
        references: of as many channels.
        groups: patient of each image.
    """
    parts = []
    for start in range(0, len(images), CHUNK):
        own = np.asarray(groups[start : start + CHUNK])[:, None] == references.groups[None, :] if groups is not None else None
        parts.append(_measure_chunk(images[start : start + CHUNK], unit(features[start : start + CHUNK]), references, own))
    if not parts:
        return Closeness(np.zeros((0, len(DISTANCES)), np.float32), np.zeros((0, len(DISTANCES)), np.int64))
    return Closeness(np.concatenate([part.distances for part in parts]), np.concatenate([part.nearest for part in parts]))


def _measure_chunk(images: Sequence[Pixels], features: Floats, references: References, own: Flags | None) -> Closeness:
    """Return the closeness of a few images; `own` is `(M, N)`, true where a reference is forbidden."""
    details, pixels = [detail(image) for image in images], [standardise(image) for image in images]
    by_feature = 1 - features @ references.features.T
    by_pixel = _rms(pixels, references)
    by_detail = 1 - _most_alike(details, references.details.reshape(-1, COMPARED_PX**2))
    for table in (by_feature, by_pixel, by_detail):
        if own is not None:
            table[own] = np.inf
    found = [_of_one(details[row], references, (by_feature[row], by_pixel[row], by_detail[row])) for row in range(len(images))]
    return Closeness(np.array([[distance for distance, _ in one] for one in found], np.float32), np.array([[at for _, at in one] for one in found], np.int64))


def _of_one(band: Floats, references: References, tables: tuple[Floats, Floats, Floats]) -> list[tuple[float, int]]:
    """Return distance and position of the nearest reference by each of `DISTANCES`; `tables` are the distances to all by feature, pixels and detail."""
    whole = [(float(table.min()), int(table.argmin())) for table in tables[:2]]
    ranked = {int(at) for table in tables for at in np.argsort(table, kind="stable")[:LISTED] if np.isfinite(table[at])}
    listed = np.array(sorted(ranked), np.int64)
    if not len(listed):
        return [*whole, (float("inf"), 0), (float("inf"), 0)]
    near = references.details[listed]
    lengths = {size: values[listed] for size, values in references.lengths.items()}
    searched = (nearest_part(band, near, lengths), nearest_blend(band, near))
    return [*whole, *((distance, int(listed[at])) for distance, at in searched)]


def _rms(pixels: list[Floats], references: References) -> Floats:
    """Return `(M, N)`: the RMS difference of the nearest symmetry of each standardised image to each reference."""
    squares = np.array([(image**2).sum() for image in pixels], np.float32)
    alike = _most_alike([image.reshape(COMPARED_PX, COMPARED_PX, -1) for image in pixels], references.pixels)
    squares = squares[:, None] + references.squares[None, :] - 2 * alike
    return np.asarray(np.sqrt(np.maximum(squares, 0) / references.pixels.shape[1]), dtype=np.float32)


def _most_alike(images: list[Floats], references: Floats) -> Floats:
    """Return `(M, N)`: the largest inner product of a symmetry of each of M images, `(32, 32)` or `(32, 32, C)`, with each of N references, `(N, P)`."""
    variants = np.stack([each.reshape(-1) for image in images for each in symmetries(image)])
    return np.asarray((variants @ references.T).reshape(len(images), -1, len(references)).max(axis=1), dtype=np.float32)
