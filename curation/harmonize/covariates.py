"""Covariates that ComBat must not take away: columns of the record as centred numbers, means and categories from train."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from curation.errors import UsageError

HIDDEN_WHEN_APPLIED = frozenset({"label"})
"""Known for train rows only: the fit uses it, applying never looks at it, so that no feature can tell a test image's label."""

MOST_CATEGORIES = 30


@dataclass(frozen=True)
class Term:
    """One centred number: a numeric column (`category` None) in units of its train deviation, or whether a column has a category."""

    column: str
    category: str | None
    mean: float
    scale: float


@dataclass(frozen=True)
class Covariates:
    """The K terms of the columns to preserve, as train has them."""

    terms: tuple[Term, ...] = ()

    def encode(self, rows: pl.DataFrame, hidden: frozenset[str] = frozenset()) -> npt.NDArray[np.float64]:
        """Return `(N, K)`; 0, the mean of train, where a value is missing or its column is `hidden`."""
        columns = [np.zeros(rows.height) if term.column in hidden else _encode(rows[term.column], term) for term in self.terms]
        return np.stack(columns, axis=1) if columns else np.zeros((rows.height, 0))


def fit_covariates(rows: pl.DataFrame, columns: tuple[str, ...]) -> Covariates:
    """Return the terms of `columns` in the train rows; a column without two values gives none.

    A category of every column is left out, as it follows from the others.

    Raises:
        UsageError: no such column, or one with too many categories.
    """
    terms: list[Term] = []
    for name in columns:
        if name not in rows.columns:
            raise UsageError(f"there is no column {name!r} to preserve")
        terms += _numeric_terms(rows[name]) if rows[name].dtype.is_numeric() else _category_terms(rows[name])
    return Covariates(tuple(terms))


def _numeric_terms(column: pl.Series) -> list[Term]:
    values = column.drop_nulls().cast(pl.Float64).to_numpy()
    deviation = float(values.std()) if len(values) else 0.0
    return [Term(column.name, None, float(values.mean()), deviation)] if deviation > 0 else []


def _category_terms(column: pl.Series) -> list[Term]:
    known = column.drop_nulls()
    names = known.unique().sort().to_list()
    if len(names) > MOST_CATEGORIES:
        raise UsageError(f"{column.name!r} has {len(names)} values, too many to preserve (at most {MOST_CATEGORIES})")
    return [Term(column.name, name, float((known == name).sum()) / len(known), 1.0) for name in names[1:]]


def _encode(column: pl.Series, term: Term) -> npt.NDArray[np.float64]:
    values = column.cast(pl.Float64) if term.category is None else (column == term.category).cast(pl.Float64)
    return ((values - term.mean) / term.scale).fill_null(0.0).to_numpy()
