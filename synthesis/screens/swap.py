"""Source-swap test: does a classifier that learned from synthetic images call a real image rare because it looks synthetic?

A classifier is fitted on real train images and the synthetic ones. Real val images of *other* classes are then moved in feature space by the difference
between the synthetic and the real images of the class: they get the source, and keep their content. A classifier that took the source for the
class now calls more of them by it; that increase is the effect. Beside it stands what a classifier that saw real images only says of the same
images; a source far from all that it knows makes its answers arbitrary, so they are shown and not subtracted.
Measured on dermoscopy (a vascular class of 25 train images offered again with one artefact each, 248 real images of other classes): real unseen images as
the batch -2 % (95 % interval -3 to 0); a checkerboard +35 % (29 to 41), a frame +52 % (45 to 59), blur +16 % (11 to 21), noise +5 % (3 to 8), a tint +1 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.resampling import interval, resample_patients
from synthesis.screens.distances import Floats
from synthesis.screens.shortcut import DRAWS

LEAST_IMAGES = 8
LEAST_EFFECT = 0.05


@dataclass(frozen=True)
class Swap:
    """What the source alone does to the answers.

    Attributes:
        label: the class.
        called_plain: share of real images of other classes that the classifier with synthetic images calls by this class, as they are.
        called_swapped: the same, after they got the source.
        called_plain_without: as they are, by the classifier that saw real images only.
        called_swapped_without: by that one, after they got the source.
        effect: `called_swapped - called_plain`.
        low: lower end of its 95 % interval, by a bootstrap over patients.
        high: upper end.
        images: real images that were moved.
    """

    label: str
    called_plain: float
    called_swapped: float
    called_plain_without: float
    called_swapped_without: float
    effect: float
    low: float
    high: float
    images: int

    @property
    def is_shortcut(self) -> bool:
        """Whether the source surely changes more than 5 % of the answers."""
        return self.low > LEAST_EFFECT


@dataclass(frozen=True)
class Source:
    """Embedded images of one kind: `(N, F)` features, `(N,)` labels and groups."""

    features: Floats
    labels: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]


def source_of(features: Floats, labels: Sequence[str], groups: Sequence[str]) -> Source:
    """Return embedded images as a source."""
    return Source(np.asarray(features, np.float32), np.asarray(labels, np.str_), np.asarray(groups, np.str_))


@dataclass
class Classifiers:
    """The two that are compared, each fitted when it is first asked for: they are the same for every class of a batch.

    Attributes:
        train: real train images.
        synthetic: all synthetic images of the batch.
    """

    train: Source
    synthetic: Source

    @cached_property
    def alone(self) -> Any:
        """The one that saw real images only."""
        return _fit(self.train.features, self.train.labels)

    @cached_property
    def added(self) -> Any:
        """The one that saw both."""
        parts = (self.train, self.synthetic)
        return _fit(np.concatenate([part.features for part in parts]), np.concatenate([part.labels for part in parts]))


def swap_source(train: Source, unseen: Source, synthetic: Source, label: str, seed: int = 0, fitted: Classifiers | None = None) -> Swap | None:
    """Return what the source of a class's synthetic images does to real images of other classes.

    Args:
        train: real train images.
        unseen: real images of other patients; nothing is fitted on them.
        synthetic: all synthetic images of the batch, of whatever classes.
        label: class whose synthetic images say what the source looks like.
        seed: of the bootstrap.
        fitted: of the same train and synthetic images, where several classes are asked about.

    Returns:
        None when there are fewer than 8 unseen images of other classes, or no image of the class on either side.
    """
    own, made, others = train.labels == label, synthetic.labels == label, unseen.labels != label
    if others.sum() < LEAST_IMAGES or not own.any() or not made.any() or own.all():
        return None
    moved = unseen.features[others] + (synthetic.features[made].mean(axis=0) - train.features[own].mean(axis=0))
    fitted = fitted or Classifiers(train, synthetic)
    called = [(model.predict(x) == label).astype(float) for model in (fitted.added, fitted.alone) for x in (unseen.features[others], moved)]
    effects = called[1] - called[0]
    weights = resample_patients(unseen.groups[others], DRAWS, seed)
    low, high = interval((weights * effects).sum(axis=1) / weights.sum(axis=1)) or (-1.0, 1.0)
    plain, swapped, plain_without, swapped_without = (round(float(share.mean()), 4) for share in called)
    return Swap(label, plain, swapped, plain_without, swapped_without, round(float(effects.mean()), 4), round(low, 4), round(high, 4), int(others.sum()))


def _fit(features: Floats, labels: npt.NDArray[np.str_]) -> Any:
    """Return a classifier: standardise, PCA, logistic regression, classes weighed equally."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = max(1, min(64, features.shape[1], len(features) - 1))
    solver = "covariance_eigh" if len(features) > features.shape[1] else "full"
    regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    return make_pipeline(StandardScaler(), PCA(parts, svd_solver=solver), regression).fit(features.astype(np.float64), labels)
