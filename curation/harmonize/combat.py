"""ComBat: what a site adds to each feature and multiplies it with, estimated on train by empirical Bayes and taken away from any image.

Johnson, Li and Rabinovic, Biostatistics 8 (2007), parametric priors; for images Fortin et al., NeuroImage 161 (2017). Model of feature f of image j at site i:
`y = α_f + x_j β_f + σ_f (γ_if + sqrt(δ_if) ε)`. α, β, σ by least squares; γ and δ of a site are shrunk towards what its features have in common.

Fitting sees train rows only. Applying looks at one image at a time: neither the other images nor the labels change what becomes of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from curation.errors import IntegrityError, UsageError
from curation.manifest import write_bytes

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]
Unseen = Literal["refuse", "pooled", "nearest"]

LEAST_SITE_IMAGES = 5
"""A site with fewer train images is not modelled: its images are treated like those of an unseen site."""

TENSORS = ("grand_mean", "coefficients", "scale", "location", "spread")
MOST_ITERATIONS = 200
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Combat:
    """Fitted parameters: S sites, F features, K covariates. Everything is float64.

    Attributes:
        sites: names of the sites, sorted.
        grand_mean: `(F,)` α, the mean over all train images at mean covariates.
        coefficients: `(K, F)` β.
        scale: `(F,)` σ, the standard deviation left after sites and covariates; 0 marks a constant feature, which is never touched.
        location: `(S, F)` γ, in units of σ.
        spread: `(S, F)` δ, a variance ratio.
        images: train images of each site.
    """

    sites: tuple[str, ...]
    grand_mean: Floats
    coefficients: Floats
    scale: Floats
    location: Floats
    spread: Floats
    images: tuple[int, ...]

    def apply(self, features: npt.NDArray[Any], sites: Names, covariates: Floats | None = None, unseen: Unseen = "pooled") -> npt.NDArray[np.float32]:
        """Return `(N, F)` float32 features without the additive and multiplicative part of their site.

        Args:
            features: `(N, F)`.
            sites: `(N,)` name of each image's site; "" when unknown.
            covariates: `(N, K)` as at the fit, centred; 0 where unknown; None: all unknown.
            unseen: an image of a site that train did not have (or of none): `refuse` raises; `pooled` takes it as one of the average site, unchanged;
                `nearest` takes the site under which this image's own features are most likely.

        Raises:
            UsageError: an unseen site, and the policy is to refuse.
        """
        known = np.zeros((len(features), len(self.coefficients))) if covariates is None else covariates
        expected = self.grand_mean + known @ self.coefficients
        moving = self.scale > 0
        z = np.zeros(features.shape)
        z[:, moving] = (features[:, moving] - expected[:, moving]) / self.scale[moving]
        places = self._places(z[:, moving], sites, unseen)
        fitted = places >= 0
        corrected = (z - self.location[places]) / np.sqrt(self.spread[places]) * self.scale + expected
        answer = np.where(fitted[:, None] & moving, corrected, features)
        return answer.astype(np.float32)

    def _places(self, z: Floats, sites: Names, unseen: Unseen) -> npt.NDArray[np.int64]:
        """Return the number of each image's site, -1 for the average site."""
        numbers = {name: number for number, name in enumerate(self.sites)}
        places = np.array([numbers.get(name, -1) for name in sites], np.int64).reshape(len(sites))
        strange = places < 0
        if strange.any() and unseen == "refuse":
            raise UsageError(
                f"{strange.sum()} images come from sites that ComBat was not fitted on (none stated, or fewer than {LEAST_SITE_IMAGES} train images): "
                "set finetune.combat_unseen to pooled or nearest, or bring train images of these sites"
            )
        if strange.any() and unseen == "nearest":
            places[strange] = self._most_likely(z[strange])
        return places

    def _most_likely(self, z: Floats) -> npt.NDArray[np.int64]:
        """Return the site with the greatest Gaussian likelihood, features taken as independent, of each row of `(N, F)` standardised features."""
        moving = self.scale > 0
        cost = [((z - g[moving]) ** 2 / d[moving] + np.log(d[moving])).sum(1) for g, d in zip(self.location, self.spread, strict=True)]
        nearest: npt.NDArray[np.int64] = np.argmin(cost, axis=0)
        return nearest


def shrink_location(mean: Floats, prior_mean: float, prior_variance: float, images: int, spread: Floats) -> Floats:
    """Return the posterior mean of γ: `(n τ² γ̂ + δ γ̄) / (n τ² + δ)` (Johnson et al. 2007, equation 3.1).

    Worked value: γ̂ = 2, γ̄ = 0, τ² = 1, n = 4, δ = 2: 8 / 6 = 1.3333.
    """
    return np.asarray((images * prior_variance * mean + spread * prior_mean) / (images * prior_variance + spread))


def shrink_spread(squares: Floats, images: int, shape: float, rate: float) -> Floats:
    """Return the posterior mean of δ: `(b + Σ (z - γ)² / 2) / (n / 2 + a - 1)` (Johnson et al. 2007, equation 3.1).

    Worked value: Σ = 6, n = 4, a = 4, b = 3: 6 / 5 = 1.2.
    """
    return np.asarray((rate + squares / 2) / (images / 2 + shape - 1))


def spread_prior(variances: Floats) -> tuple[float, float]:
    """Return shape a and rate b of the inverse gamma prior with the mean m and variance s² of `(F,)` variances: `a = (2s² + m²) / s²`, `b = (m s² + m³) / s²`.

    Worked value: variances 0.5 and 1.5: m = 1, s² = 0.5, a = 4, b = 3.
    """
    mean, variance = float(variances.mean()), max(float(variances.var(ddof=1)), 1e-12)
    return (2 * variance + mean**2) / variance, (mean * variance + mean**3) / variance


def fit_combat(features: npt.NDArray[Any], sites: Names, covariates: Floats | None = None) -> Combat:
    """Fit ComBat on train images.

    Args:
        features: `(N, F)`, at least two features that are not constant.
        sites: `(N,)`; images of "" and of sites with fewer than five images are left out.
        covariates: `(N, K)` centred covariates whose part in the features is kept.

    Raises:
        UsageError: fewer than two sites with enough images, or the covariates cannot be told from the sites.
    """
    names, counts = np.unique(sites, return_counts=True)
    kept = [str(name) for name, count in zip(names, counts, strict=True) if name and count >= LEAST_SITE_IMAGES]
    if len(kept) < 2:
        raise UsageError(f"ComBat needs two sites with at least {LEAST_SITE_IMAGES} train images each, and found {len(kept)}")
    is_kept = np.isin(sites, kept)
    values = np.asarray(features, np.float64)[is_kept]
    member = np.searchsorted(kept, sites[is_kept])
    known = np.zeros((len(values), 0)) if covariates is None else covariates[is_kept]
    grand_mean, coefficients, scale = _regress(values, member, known, len(kept))
    moving = scale > 0
    if moving.sum() < 2:
        raise UsageError("ComBat needs at least two features that differ between train images")
    location, spread = np.zeros((len(kept), values.shape[1])), np.ones((len(kept), values.shape[1]))
    z = (values[:, moving] - grand_mean[moving] - known @ coefficients[:, moving]) / scale[moving]
    for number in range(len(kept)):
        location[number, moving], spread[number, moving] = _shrink(z[member == number])
    return Combat(tuple(kept), grand_mean, coefficients, scale, location, spread, tuple(int((member == number).sum()) for number in range(len(kept))))


def _regress(values: Floats, member: npt.NDArray[np.int64], known: Floats, sites: int) -> tuple[Floats, Floats, Floats]:
    """Return grand mean `(F,)`, coefficients `(K, F)` and residual standard deviation `(F,)` of features on site indicators and covariates."""
    design = np.hstack([np.eye(sites)[member], known])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise UsageError("the covariates to preserve cannot be told from the sites (one decides the other): preserve fewer, or do without ComBat")
    solution = np.asarray(np.linalg.lstsq(design, values, rcond=None)[0], np.float64)
    shares: Floats = np.bincount(member, minlength=sites) / len(member)
    residual = values - design @ solution
    scale = np.asarray(np.sqrt(np.mean(residual**2, axis=0)), np.float64)
    scale[scale < 1e-7 * np.maximum(1.0, np.abs(values).max(0))] = 0.0
    return shares @ solution[:sites], solution[sites:], scale


def _shrink(z: Floats) -> tuple[Floats, Floats]:
    """Return γ and δ, `(F,)` each, of the `(n, F)` standardised features of one site: the fixed point of both posterior means."""
    images, mean, variance = len(z), z.mean(0), z.var(0, ddof=1)
    prior_mean, prior_variance = float(mean.mean()), float(mean.var(ddof=1))
    shape, rate = spread_prior(variance)
    total, squares = z.sum(0), (z**2).sum(0)
    location, spread = mean, variance
    for _ in range(MOST_ITERATIONS):
        new = shrink_location(mean, prior_mean, prior_variance, images, spread)
        wider = shrink_spread(squares - 2 * new * total + images * new**2, images, shape, rate)
        change = max(np.abs(new - location).max(), np.abs(wider - spread).max())
        location, spread = new, wider
        if change < TOLERANCE:
            break
    return location, spread


def save_combat(model: Combat, path: Path, about: dict[str, Any]) -> None:
    """Write the parameters as safetensors; sites, their images and `about` go into one key of the metadata (several would be in any order)."""
    from safetensors.numpy import save

    described = json.dumps({**about, "sites": model.sites, "images": model.images}, sort_keys=True)
    write_bytes(save({name: np.ascontiguousarray(getattr(model, name)) for name in TENSORS}, metadata={"combat": described}), path)


def load_combat(path: Path) -> tuple[Combat, dict[str, Any]]:
    """Return the parameters of `save_combat`, and what else was written about them.

    Raises:
        IntegrityError: the file is not one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["combat"])
            tensors = {name: file.get_tensor(name) for name in TENSORS}
            return Combat(sites=tuple(about.pop("sites")), images=tuple(about.pop("images")), **tensors), about
    except (SafetensorError, KeyError, TypeError, OSError, ValueError) as error:
        raise IntegrityError(path, "does not hold the parameters of ComBat") from error
