"""Conditions: what a generator is told about each image, and how that becomes rows of one table of embeddings.

A condition is `{"label": …}` and any of the columns that the recipe lists. The table has one row for every value of every column, and one
null row a column, which means "not said": it stands for unknown values, and for all columns at once in classifier-free guidance. An image's
embedding is the sum of its rows, so a rare combination borrows from the common ones that it shares values with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curation.errors import UsageError
from curation.gaps import cell_values

LABEL = "label"
AGE_BAND = "age_band"
RECORD_COLUMNS = {AGE_BAND: "age_years"}
"""Conditions that are called otherwise in the record and in the gap table."""


@dataclass(frozen=True)
class Vocabulary:
    """The values of every column, in the order of the rows of the table; after the values of a column comes its null row.

    Attributes:
        values: column to its values; `label` is the first column.
    """

    values: dict[str, tuple[str, ...]]

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return sum(len(values) + 1 for values in self.values.values())

    @property
    def starts(self) -> dict[str, int]:
        """Position of the first row of each column."""
        sizes = [len(values) + 1 for values in self.values.values()]
        return dict(zip(self.values, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))

    @property
    def nulls(self) -> npt.NDArray[np.int64]:
        """`(K,)` position of each column's null row."""
        return np.array([start + len(self.values[name]) for name, start in self.starts.items()], dtype=np.int64)

    def encode(self, conditions: Sequence[dict[str, str]]) -> npt.NDArray[np.int64]:
        """Return `(N, K)` positions in the table, one a column; what a condition does not say is the null row.

        Example:
            With labels a, b and sexes F, M the table is a, b, null, F, M, null; `{"label": "b"}` becomes (1, 5).

        Raises:
            UsageError: a label or value that the generator never saw.
        """
        codes = np.tile(self.nulls, (len(conditions), 1))
        for column, (name, start) in enumerate(self.starts.items()):
            positions = {value: start + position for position, value in enumerate(self.values[name])}
            for row, condition in enumerate(conditions):
                if name in condition and condition[name] not in positions:
                    raise UsageError(f"this generator never saw {name} {condition[name]!r}: train one on images that show it")
                if name in condition:
                    codes[row, column] = positions[condition[name]]
        return codes

    def grown(self, other: Vocabulary) -> Vocabulary:
        """Return these values, and behind them those of `other` that are new."""
        names = [*self.values, *(name for name in other.values if name not in self.values)]
        return Vocabulary({name: tuple(dict.fromkeys((*self.values.get(name, ()), *other.values.get(name, ())))) for name in names})


def read_vocabulary(conditions: Sequence[dict[str, str]], columns: Sequence[str]) -> Vocabulary:
    """Return the sorted values that the conditions have, of the label and of the chosen columns."""
    return Vocabulary({name: tuple(sorted({condition[name] for condition in conditions if name in condition})) for name in (LABEL, *columns)})


def grow_table(table: Any, old: Vocabulary, new: Vocabulary) -> Any:
    """Return the `(new.rows, F)` table: known values keep their rows; a new value starts as the mean of its column, a new column as zeros."""
    import torch

    grown = torch.zeros((new.rows, table.shape[1]), dtype=table.dtype)
    for name, start in new.starts.items():
        if name not in old.values:
            continue
        before, known = old.starts[name], old.values[name]
        rows = table[before : before + len(known)]
        for position, value in enumerate(new.values[name]):
            grown[start + position] = rows[known.index(value)] if value in known else rows.mean(dim=0)
        grown[start + len(new.values[name])] = table[before + len(known)]
    return grown


def row_conditions(rows: pl.DataFrame, columns: Sequence[str]) -> tuple[dict[str, str], ...]:
    """Return the condition of each row of a manifest; unknown values are left out.

    Raises:
        UsageError: a column is neither one of the record nor a key of `attributes`.
    """
    chosen = rows.select(LABEL, *(_values(rows, name).alias(name) for name in columns))
    return tuple({name: value for name, value in row.items() if value is not None} for row in chosen.iter_rows(named=True))


def _values(rows: pl.DataFrame, name: str) -> pl.Expr:
    try:
        return cell_values(rows, RECORD_COLUMNS.get(name, name))
    except UsageError as error:
        known = "site, view_position, sex, age_band, or a key of attributes that train images have"
        raise UsageError(f"synthesis.generator.conditions: no train image has {name!r}; name {known}") from error


def cell_columns(gaps: pl.DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """Return which column of the gap table holds which condition; conditions that the table does not count by are left out."""
    return {name: RECORD_COLUMNS.get(name, name) for name in columns if RECORD_COLUMNS.get(name, name) in gaps.columns}


def record_values(condition: dict[str, str]) -> dict[str, Any]:
    """Return the columns of the record that a condition fills, so that a gap table counts the image in its cell; a band becomes its middle, at most 90.

    Example:
        `{"label": "nv", "sex": "F", "age_band": "40-49"}` gives sex F and age_years 45.
    """
    known: dict[str, Any] = {name: condition[name] for name in ("site", "sex", "view_position") if name in condition}
    if AGE_BAND in condition:
        known["age_years"] = min(90.0, float(condition[AGE_BAND].split("-")[0]) + 5)
    others = {name: value for name, value in condition.items() if name not in (*known, LABEL, AGE_BAND)}
    return known | ({"attributes": json.dumps(others, sort_keys=True)} if others else {})
