"""How near the synthetic images of a class come to its real ones, and how much of their variety they show. Shown to people, never a gate.

Such figures do not say whether images help: sets with a good FID have made classifiers worse. They are also as good as the features that they
are taken from, which the caller gives (the project's own encoder, no classifier of everyday photographs), and most of them depend on the number
of images. So each figure stands beside the same figure of held-out real images, from the same number of images.

Catalogue: `frechet_distance` (FID), `kernel_distance` (KID), `neighbourhoods` (precision, recall, density, coverage); diversity by MS-SSIM
is in `synthesis/diversity.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels
from curation.resampling import resample_patients
from synthesis.candidates import Drawn
from synthesis.diversity import mean_similarity
from synthesis.remembering import Embed
from synthesis.training_set import TrainingSet

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

NEIGHBOURS = 5
MOST_IMAGES = 2000
SUBSETS = 10
RESAMPLES = 200
LEAST_IMAGES = 8
FEW_IMAGES = 100


class Side(NamedTuple):
    """Images of one kind: `(H, W)` or `(H, W, 3)` uint8, `(N, F)` float32 features, labels, and the group that each belongs to."""

    images: Sequence[Pixels]
    features: Floats
    labels: Sequence[str]
    groups: Sequence[str]

    def of(self, label: str) -> Side:
        """Return the images of one class, at most `MOST_IMAGES`, evenly spread."""
        own = np.flatnonzero(np.asarray(self.labels) == label)
        own = own[np.unique(np.linspace(0, len(own) - 1, min(MOST_IMAGES, len(own))).astype(int))]
        return Side([self.images[i] for i in own], self.features[own], [label] * len(own), [self.groups[i] for i in own])


@dataclass(frozen=True)
class Measures:
    """Figures of one set of images against the real train images of its class; None where there are too few images.

    Attributes:
        fid: Fréchet distance, mean over subsets of `compared` images.
        kid: kernel distance of all images, with its 95 % interval.
        precision, recall, density, coverage: of `neighbourhoods`, means over the same subsets.
        ms_ssim: mean structural similarity of two images; higher: less variety.
    """

    fid: float | None = None
    kid: float | None = None
    kid_low: float | None = None
    kid_high: float | None = None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    ms_ssim: float | None = None


@dataclass(frozen=True)
class ClassFidelity:
    """The figures of one class.

    Attributes:
        real_images: train images compared with.
        synthetic_images: as many were looked at.
        held_out_images: real images of val patients.
        compared: images in each subset, the same for both sets, because FID, recall and coverage depend on the number.
        synthetic: figures of the synthetic images.
        held_out: the same of held-out real images: what to compare with.
        caution: how far these figures can be trusted, in words.
    """

    real_images: int
    synthetic_images: int
    held_out_images: int
    compared: int
    synthetic: Measures
    held_out: Measures
    caution: str


def measure_fidelity(train: Side, made: Side, held_out: Side, seed: int = 0) -> dict[str, ClassFidelity]:
    """Return the figures of every class of `made`.

    Args:
        train: real train images; their groups are patients.
        made: synthetic images; their groups are those of their parents, or themselves.
        held_out: real images of val patients.
        seed: of subsets and resamples.
    """
    return {label: _measure_class(train.of(label), made.of(label), held_out.of(label), seed) for label in sorted(set(made.labels))}


def measure_round(train: TrainingSet, held_out: TrainingSet, drawn: Drawn, embed: Embed) -> dict[str, ClassFidelity]:
    """Return the figures of the images of one round; volumes have none."""
    if train.rows["ndim"].max() != 2:
        return {}
    owners = [wish.parent_id or f"seed {wish.seed}" for wish in drawn.wanted]
    sides = [Side(part.images, embed(part.images), part.labels, part.groups) for part in (train, held_out)]
    return measure_fidelity(sides[0], Side(drawn.images, embed(drawn.images), drawn.labels, owners), sides[1])


class _Reference(NamedTuple):
    """Real train images of a class and what every comparison with them needs: mean and root of `_centred`, and `_reach`."""

    side: Side
    centred: tuple[Doubles, Doubles]
    reach: Doubles


def _measure_class(train: Side, made: Side, held_out: Side, seed: int) -> ClassFidelity:
    """Return the figures of one class."""
    has_reference = len(held_out.labels) >= LEAST_IMAGES
    compared = min(len(made.labels), len(held_out.labels)) if has_reference else len(made.labels)
    sizes = (len(train.labels), len(made.labels), len(held_out.labels))
    enough = min(compared, len(train.labels)) >= LEAST_IMAGES
    real = _Reference(train, _centred(train.features), _reach(train.features, NEIGHBOURS)) if enough else None
    reference = _measure(real, held_out, compared, seed) if has_reference else Measures()
    caution = _caution(len(train.labels), len(held_out.labels), compared, train.features.shape[1])
    return ClassFidelity(*sizes, compared, _measure(real, made, compared, seed), reference, caution)


def _measure(real: _Reference | None, other: Side, compared: int, seed: int) -> Measures:
    """Return the figures of one set; without a reference, because there are too few images, only their variety."""
    from scipy.spatial.distance import cdist

    similarity = mean_similarity(other.images, other.groups, seed)
    if real is None:
        return Measures(ms_ssim=similarity)
    random = np.random.default_rng(seed)
    chosen = [random.permutation(len(other.labels))[:compared] for _ in range(SUBSETS if compared < len(other.labels) else 1)]
    distances = cdist(real.side.features, other.features)
    fid = float(np.mean([_frechet(real.centred, _centred(other.features[subset])) for subset in chosen]))
    balls = [_compare_balls(real.reach, distances[:, subset], _reach(other.features[subset], NEIGHBOURS), NEIGHBOURS) for subset in chosen]
    near = np.mean(balls, axis=0).round(4).tolist()
    kid = [_rounded(value) for value in kernel_distance(real.side, other, seed)]
    return Measures(round(fid, 4), kid[0], kid[1], kid[2], near[0], near[1], near[2], near[3], similarity)


def _rounded(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def _caution(real: int, held_out: int, compared: int, dimensions: int) -> str:
    """Return one or two sentences on how far the figures can be trusted."""
    few = min(real, compared)
    if few < LEAST_IMAGES:
        return f"{few} images are too few for anything but their variety; nothing follows from these figures."
    size = f"From {compared} images against {real} in {dimensions} dimensions"
    bias = "FID is mostly bias of the small sample" if few < FEW_IMAGES else "FID is biased, and cannot be compared with a FID of other numbers of images"
    if held_out < LEAST_IMAGES:
        return f"{size} {bias}; there are too few held-out real images to say what real ones would reach."
    return f"{size} {bias}: compare it with that of as many held-out real images only. A good FID or KID does not say that the images help."


def frechet_distance(one: Floats, other: Floats) -> float:
    """Fréchet distance of two sets of features (FID, Heusel et al. 2017).

    `|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½)` with means m and covariances C (divided by N - 1). Range: 0 and above; lower is nearer. Biased upward
    in small samples, the more the fewer images. `tr (C1 C2)^½` is the sum of the singular values of X1 X2ᵀ / sqrt((N1 - 1)(N2 - 1)) with
    centred features X, so no matrix root of a singular covariance is taken.

    Worked value: [0, 2] and [1, 3] (one feature): means 1 apart, equal variances: 1. [0, 2] and [0, 4]: 1 + (1.4142 - 2.8284)² = 3.

    Args:
        one: `(N1, F)`, N1 > 1.
        other: `(N2, F)`, N2 > 1.
    """
    return _frechet(_centred(one), _centred(other))


def _frechet(one: tuple[Doubles, Doubles], other: tuple[Doubles, Doubles]) -> float:
    """Return the Fréchet distance of two sets from mean and root of each."""
    (mean, root), (other_mean, other_root) = one, other
    shared = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    return float(max(0.0, np.sum((mean - other_mean) ** 2) + np.sum(root**2) + np.sum(other_root**2) - 2 * shared))


def _centred(features: Floats) -> tuple[Doubles, Doubles]:
    """Return the mean `(F,)` and a root R of the covariance, `Rᵀ R`, with at most F rows."""
    values = features.astype(np.float64)
    mean = np.asarray(values.mean(0), dtype=np.float64)
    root = np.asarray((values - mean) / np.sqrt(len(values) - 1), dtype=np.float64)
    return mean, np.asarray(np.linalg.qr(root, mode="r")) if len(root) > root.shape[1] else root


def kernel_distance(one: Side, other: Side, seed: int = 0) -> tuple[float, float, float]:
    """Kernel distance of two sets of features (KID, Bińkowski et al. 2018) and its 95 % interval.

    Squared maximum mean discrepancy with the kernel `(x·y / F + 1)³`; pairs within one group are left out, so it has no bias however few the
    images, and equal distributions give 0 on average (single values may be negative). Lower is nearer. The interval is a bootstrap over groups
    (patients) on both sides; NaN when a side has one group only.

    Worked value: features [0], [1] against [1], [2], all groups apart: k is 1 within the one, 27 within the other, and across 1, 1, 8 and 27, on
    average 9.25: 1 + 27 - 18.5 = 9.5.

    Args:
        one: features and groups of the one side.
        other: of the other side.
        seed: of the resamples.
    """
    x, y = one.features.astype(np.float64), other.features.astype(np.float64)
    inner = [_kernel(x, x) * _apart(one.groups), _kernel(y, y) * _apart(other.groups)]
    pairs = [_apart(one.groups), _apart(other.groups)]
    across = _kernel(x, y)
    plain = _discrepancy([np.ones((1, len(x))), np.ones((1, len(y)))], inner, pairs, across)
    if not all(matrix.any() for matrix in pairs):
        return float("nan"), float("nan"), float("nan")
    drawn = _discrepancy([resample_patients(one.groups, RESAMPLES, 2 * seed), resample_patients(other.groups, RESAMPLES, 2 * seed + 1)], inner, pairs, across)
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return float(plain[0]), float(low), float(high)


def _kernel(x: Doubles, y: Doubles) -> Doubles:
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3, dtype=np.float64)


def _apart(groups: Sequence[str]) -> Doubles:
    """Return `(N, N)`: 1 for pairs of different groups, else 0."""
    names = np.asarray(groups)
    return np.asarray(names[:, None] != names[None, :], dtype=np.float64)


def _discrepancy(weights: list[Doubles], inner: list[Doubles], pairs: list[Doubles], across: Doubles) -> Doubles:
    """Return the squared discrepancy for each row of weights."""
    total = np.zeros(len(weights[0]))
    with np.errstate(invalid="ignore", divide="ignore"):
        for weight, kernel, counted in zip(weights, inner, pairs, strict=True):
            total += ((weight @ kernel) * weight).sum(1) / ((weight @ counted) * weight).sum(1)
        both = ((weights[0] @ across) * weights[1]).sum(1) / (weights[0].sum(1) * weights[1].sum(1))
    return np.asarray(total - 2 * both)


def neighbourhoods(real: Floats, made: Floats, neighbours: int = NEIGHBOURS) -> tuple[float, float, float, float]:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020), from balls around each image.

    The ball of an image reaches to its k-th nearest other image of the same set. Precision: share of made images in a ball of a real one. Recall:
    share of real images in a ball of a made one. Density: balls of real images that a made image lies in, mean, divided by k. Coverage: share of real
    images whose ball holds a made one. Precision, recall and coverage lie in 0 to 1, density may exceed 1; higher is better.

    Worked value, k = 1: real [0], [1], [5], made [.5], [9]: real balls reach 1, 1, 4; .5 lies in those of 0 and 1, 9 in that of 5. Precision 1,
    density (2 + 1) / 2 = 1.5, coverage 1; made balls reach 8.5, so all real images lie in one: recall 1.

    Args:
        real: `(N, F)`.
        made: `(M, F)`.
        neighbours: k; of a smaller set, all others.
    """
    from scipy.spatial.distance import cdist

    return _compare_balls(_reach(real, neighbours), cdist(real, made), _reach(made, neighbours), neighbours)


def _compare_balls(reach: Doubles, distances: Doubles, made_reach: Doubles, neighbours: int) -> tuple[float, float, float, float]:
    """Return precision, recall, density and coverage from the reach of N real and M made images and their `(N, M)` distances."""
    inside = distances <= reach[:, None]
    density = inside.sum() / (min(neighbours, len(reach) - 1) * len(made_reach))
    return float(inside.any(0).mean()), float((distances <= made_reach[None, :]).any(1).mean()), float(density), float(inside.any(1).mean())


def _reach(features: Floats, neighbours: int) -> Doubles:
    """Return the distance of each image to its k-th nearest other."""
    from scipy.spatial.distance import cdist

    place = min(neighbours, len(features) - 1)
    return np.asarray(np.partition(cdist(features, features), place, axis=1)[:, place])
