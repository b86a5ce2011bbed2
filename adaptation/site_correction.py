"""ComBat on the features of a manifest's rows: fitted on real train rows, applied to all rows by the recipe's policy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from adaptation.encoders import Features
from adaptation.recipe import FinetuneSettings
from curation.errors import IntegrityError
from curation.harmonize.combat import Combat, Names, Unseen, fit_combat, load_combat, save_combat
from curation.harmonize.covariates import HIDDEN_WHEN_APPLIED, Covariates, Term, fit_covariates


@dataclass(frozen=True)
class Correction:
    """What train says of the sites: `column` holds them, `covariates` stay, `unseen` is the policy for the rest."""

    column: str
    combat: Combat
    covariates: Covariates
    unseen: Unseen

    def apply(self, rows: pl.DataFrame, features: Features) -> Features:
        """Return `(N, F)` corrected features of N rows; a synthetic image has no site and, unless the policy is `nearest`, stays as it is."""
        sites, known = sites_of(rows, self.column), self.covariates.encode(rows, HIDDEN_WHEN_APPLIED)
        is_real = (rows["origin"] == "acquired").to_numpy()
        corrected = features.copy()
        for mask, policy in ((is_real, self.unseen), (~is_real, "nearest" if self.unseen == "nearest" else "pooled")):
            if mask.any():
                corrected[mask] = self.combat.apply(features[mask], sites[mask], known[mask], policy)
        return corrected

    def count_unseen(self, rows: pl.DataFrame) -> int:
        """Return how many real rows come from a site that was not fitted."""
        real = rows.filter(pl.col("origin") == "acquired")
        return int((~np.isin(sites_of(real, self.column), self.combat.sites)).sum())

    def save(self, path: Path) -> None:
        """Write every parameter into one safetensors file."""
        about = {"column": self.column, "unseen": self.unseen, "covariates": [asdict(term) for term in self.covariates.terms]}
        save_combat(self.combat, path, about)


def load_correction(path: Path) -> Correction:
    """Return what `Correction.save` wrote: new images are corrected as those of the training were.

    Raises:
        IntegrityError: the file is not one.
    """
    combat, about = load_combat(path)
    try:
        return Correction(about["column"], combat, Covariates(tuple(Term(**term) for term in about["covariates"])), about["unseen"])
    except (KeyError, TypeError) as error:
        raise IntegrityError(path, "does not say what ComBat was fitted on") from error


def sites_of(rows: pl.DataFrame, column: str) -> Names:
    """Return the site of each row as text, "" when it is not stated."""
    return np.array(rows[column].fill_null("").to_list(), dtype=np.str_)


def fit_correction(rows: pl.DataFrame, features: Features, settings: FinetuneSettings) -> Correction:
    """Fit ComBat on the real train rows that state their site.

    Args:
        rows: N rows of one task.
        features: `(N, F)`.
        settings: the recipe's part; `combat` names the column (`off` is read as `site`).

    Raises:
        UsageError: fewer than two sites, or a column to preserve is decided by the site.
    """
    column = "site" if settings.combat == "off" else settings.combat
    wanted = (pl.col("split") == "train") & (pl.col("origin") == "acquired") & pl.col(column).is_not_null()
    if "label" in settings.combat_preserve:
        wanted &= pl.col("label").is_not_null()
    is_train = rows.select(wanted.fill_null(False)).to_series().to_numpy()
    train = rows.filter(is_train)
    covariates = fit_covariates(train, settings.combat_preserve)
    combat = fit_combat(features[is_train], sites_of(train, column), covariates.encode(train))
    return Correction(column, combat, covariates, settings.combat_unseen)
