"""What a candidate must pass before an expert sees it: it is no near-copy of a train image, and it shows the wanted class.

Memorization. A candidate's distance to its nearest train image is compared with the distances that real patients have: each train patient
is held out in turn, and its images are measured against everybody else's. So the screen is fitted on train only, as everything is, and
val is left for measuring false alarms. Two distances are taken, of embeddings and of pixels, and either may call a near-copy, because a copy
that one of them misses is still a patient's image. Each gets half of the quantile: together they call at most that share of unseen real images.
Measured on 657 dermoscopy images at 32 px with efficientnet-lite0, quantile 0.05, 12 random splits of the patients: 5.3 % (sd 2.0 %) of the
unseen patients' images are called; of planted copies 98.6 % (one split; the misses are images moved by one pixel).

Class agreement. The probability of the wanted class under a logistic regression on the embeddings of real train images.

A screen that finds nothing is worth nothing, so each run also plants known copies and reports how many were found (`power`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels

Floats = npt.NDArray[np.float32]

COMPARED_PX = 32
NULL_IMAGES = 1000
# Below these an image is a copy whatever real patients do: files that are copies of each other may hide in train under two patients.
LEAST_FEATURE_DISTANCE = 1e-3
LEAST_PIXEL_DISTANCE = 0.05


@dataclass(frozen=True)
class Neighbour:
    """The nearest train image: distance and position."""

    distance: float
    position: int


@dataclass(frozen=True)
class MemorizationScreen:
    """Calls near-copies of train images.

    Attributes:
        features: `(N, F)` unit vectors of the train images.
        pixels: `(N, P)` of `standardise`.
        feature_threshold: cosine distance below which an image is a near-copy.
        pixel_threshold: the same for the distance of standardised pixels.
    """

    features: Floats
    pixels: Floats
    feature_threshold: float
    pixel_threshold: float

    def judge(self, images: Sequence[Pixels], features: Floats) -> list[dict[str, Any]]:
        """Return `passed`, both distances and the position of the nearest train image (by pixels) of every image."""
        by_feature = nearest_by_feature(_unit(features), self.features)
        by_pixel = nearest_by_pixel(images, self.pixels)
        return [
            {
                "passed": bool(feature.distance >= self.feature_threshold and pixel.distance >= self.pixel_threshold),
                "feature_distance": round(feature.distance, 6),
                "pixel_distance": round(pixel.distance, 6),
                "nearest": pixel.position,
            }
            for feature, pixel in zip(by_feature, by_pixel, strict=True)
        ]

    def flagged(self, images: Sequence[Pixels], features: Floats) -> float:
        """Return the share of images that are called near-copies; 0 for no images."""
        return float(np.mean([not result["passed"] for result in self.judge(images, features)])) if len(images) else 0.0


def fit_memorization(images: Sequence[Pixels], features: Floats, groups: Sequence[str], quantile: float) -> MemorizationScreen:
    """Return the screen for these train images.

    Args:
        images: train images, `(H, W)` or `(H, W, 3)` uint8, all of one size.
        features: `(N, F)` embeddings of them.
        groups: patient (or group of patients) of each; a group is never compared with itself.
        quantile: share of unseen real images that may be called near-copies.
    """
    unit, pixels = _unit(features), np.stack([standardise(image) for image in images])
    chosen = np.unique(np.linspace(0, len(images) - 1, min(NULL_IMAGES, len(images))).astype(int))
    own = np.asarray(groups)[chosen, None] == np.asarray(groups)[None, :]
    by_feature = nearest_by_feature(unit[chosen], unit, own)
    by_pixel = nearest_by_pixel([images[position] for position in chosen], pixels, own)
    return MemorizationScreen(
        features=unit,
        pixels=pixels,
        feature_threshold=_threshold(by_feature, quantile / 2, LEAST_FEATURE_DISTANCE),
        pixel_threshold=_threshold(by_pixel, quantile / 2, LEAST_PIXEL_DISTANCE),
    )


def _threshold(null: Sequence[Neighbour], quantile: float, least: float) -> float:
    """Return the quantile of the distances between patients (at least `least`; no distances: `least`)."""
    distances = [neighbour.distance for neighbour in null if np.isfinite(neighbour.distance)]
    return max(least, float(np.quantile(distances, quantile, method="lower"))) if distances else least


def _unit(features: Floats) -> Floats:
    """Return the rows scaled to length 1."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), dtype=np.float32)


def standardise(image: Pixels) -> Floats:
    """Return an image as a `(32 · 32 · C,)` float32 vector that brightness and contrast do not change.

    Each channel's mean is taken away, all are divided by their common standard deviation (at least one gray level), so the
    RMS difference of two vectors is sqrt(2 (1 - correlation)): 0 for a copy, 1.41 for unrelated images.
    """
    import cv2

    small = cv2.resize(image, (COMPARED_PX, COMPARED_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    centred = small - small.mean(axis=(0, 1))
    scale = max(1.0, float(np.sqrt(np.mean(centred**2))))
    return np.asarray(centred / scale, dtype=np.float32).reshape(-1)


def nearest_by_feature(queries: Floats, references: Floats, forbidden: npt.NDArray[np.bool_] | None = None) -> list[Neighbour]:
    """Return the neighbour of each query by cosine distance, 1 - cosine, both `(·, F)` unit vectors; `forbidden` marks pairs to leave out."""
    return _nearest(1 - queries @ references.T, forbidden)


def nearest_by_pixel(images: Sequence[Pixels], references: Floats, forbidden: npt.NDArray[np.bool_] | None = None) -> list[Neighbour]:
    """Return the neighbour of each image, or of a mirror image of it, by RMS difference of `standardise`d pixels."""
    best: Floats | None = None
    for flip in (np.s_[:, :], np.s_[:, ::-1], np.s_[::-1, :], np.s_[::-1, ::-1]):
        queries = np.stack([standardise(np.ascontiguousarray(image[flip])) for image in images])
        squares = (queries**2).sum(axis=1)[:, None] + (references**2).sum(axis=1)[None, :] - 2 * queries @ references.T
        best = squares if best is None else np.minimum(best, squares)
    assert best is not None
    return _nearest(np.sqrt(np.maximum(best, 0) / references.shape[1]), forbidden)


def _nearest(distances: Floats, forbidden: npt.NDArray[np.bool_] | None) -> list[Neighbour]:
    """Return the smallest entry of each row; infinite when all are forbidden."""
    if forbidden is not None:
        distances = np.where(forbidden, np.inf, distances)
    positions = distances.argmin(axis=1)
    return [Neighbour(float(row[position]), int(position)) for row, position in zip(distances, positions, strict=True)]


def plant_copies(images: Sequence[Pixels], seed: int = 0) -> dict[str, list[Pixels]]:
    """Return near-copies of the images by kind: what a generator that learned a patient by heart would give.

    Kinds: exact copies, mirror images, 8 % brighter, 15 % less contrast, noise of 4 gray levels, moved by one pixel.
    """
    random = np.random.default_rng(seed)

    def gray_levels(values: Any) -> Pixels:
        return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)

    real = [image.astype(np.float32) for image in images]
    return {
        "copy": [image.copy() for image in images],
        "mirrored": [np.ascontiguousarray(image[:, ::-1]) for image in images],
        "brighter": [gray_levels(image * 1.08) for image in real],
        "flatter": [gray_levels(image.mean() + 0.85 * (image - image.mean())) for image in real],
        "noisy": [gray_levels(image + random.normal(0, 4, image.shape)) for image in real],
        "moved": [np.concatenate([image[:, :1], image[:, :-1]], axis=1) for image in images],
    }


@dataclass(frozen=True)
class AgreementScreen:
    """Tells how probable the wanted class is for an embedding."""

    classes: tuple[str, ...]
    probe: Any

    def probability(self, features: Floats, wanted: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return `(N,)` probabilities of the wanted class of each row of `features`, `(N, F)`."""
        columns = [self.classes.index(label) for label in wanted]
        probabilities = self.probe.predict_proba(features) if len(features) else np.empty((0, len(self.classes)))
        return np.asarray(probabilities[np.arange(len(features)), columns], dtype=np.float64)


def fit_agreement(features: Floats, labels: Sequence[str]) -> AgreementScreen:
    """Return the screen for real train images: standardise, PCA, logistic regression that weighs classes equally.

    Args:
        features: `(N, F)` embeddings.
        labels: of at least two classes.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = min(64, features.shape[1], len(features) - 1)
    probe = make_pipeline(StandardScaler(), PCA(parts, svd_solver="full"), LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000))
    probe.fit(features, np.asarray(labels))
    return AgreementScreen(tuple(str(label) for label in probe.classes_), probe)
