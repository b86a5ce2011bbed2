"""Is a column of the cohort (site, maker, view) tied to the label? A model could then learn the scanner instead of the disease."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from curation.modalities import with_task

CONFOUNDERS = ("site", "manufacturer", "model_name", "view_position", "source")
WARN_FROM = 0.3
LEAST_EXPECTED = 5.0
_SCHEMA = {
    "task": pl.String,
    "column": pl.String,
    "cramers_v": pl.Float64,
    "patients": pl.Int64,
    "label": pl.String,
    "value": pl.String,
    "is_warning": pl.Boolean,
}


def cramers_v(table: npt.NDArray[np.int64]) -> float:
    """Return the bias-corrected Cramér's V of a contingency table.

    `φ²' = max(0, χ²/n − (r−1)(c−1)/(n−1))`, `V = sqrt(φ²' / min(r'−1, c'−1))` with `r' = r − (r−1)²/(n−1)` and likewise `c'`.
    Range 0 (independent) to 1 (one decides the other). Source: Bergsma, J. Korean Stat. Soc. 42 (2013).
    Worked value: [[30, 10], [10, 30]] gives 0.490.

    Args:
        table: `(r, c)` counts of patients.
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    n = table.sum()
    rows, columns = table.shape
    if min(rows, columns) < 2 or n < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / n
    phi2 = ((table - expected) ** 2 / expected).sum() / n
    corrected = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    r = rows - (rows - 1) ** 2 / (n - 1)
    c = columns - (columns - 1) ** 2 / (n - 1)
    return float(np.sqrt(corrected / min(r - 1, c - 1))) if min(r, c) > 1 else 0.0


def find_confounding(rows: pl.DataFrame) -> pl.DataFrame:
    """Return how strongly each column is tied to the label within a task, strongest first.

    Counts patients, acquired and labelled images only.

    Returns:
        Columns task, column, cramers_v, patients, label and value (the pair that is most over-represented), is_warning.
    """
    known = with_task(rows).filter((pl.col("origin") == "acquired") & pl.col("label").is_not_null())
    found = [_measure(task, column, of_task) for (task,), of_task in known.group_by("task", maintain_order=True) for column in CONFOUNDERS]
    return pl.DataFrame([row for row in found if row], schema=_SCHEMA, orient="row").sort("cramers_v", "task", "column", descending=[True, False, False])


def _measure(task: object, column: str, rows: pl.DataFrame) -> tuple[object, ...] | None:
    """Return one row of the answer, or None when the column has a single value."""
    pairs = rows.drop_nulls(column).select("patient_id", "label", column).unique()
    if pairs["label"].n_unique() < 2 or pairs[column].n_unique() < 2:
        return None
    v, (label, value) = tie(rows, column, "label")
    return (task, column, v, pairs["patient_id"].n_unique(), label, value, v >= WARN_FROM)


def find_empty_pairs(rows: pl.DataFrame, column: str, label: str) -> list[tuple[str, str, float]]:
    """Return (label, value, expected patients) for each pair that no patient has although at least five were expected, most expected first.

    Expected is `row sum · column sum / total` over patients, as if both were independent; none where five are expected happens by chance in fewer than one
    of 100 cohorts (`exp(-5)` = .0067). A rare label can be missing at a site while Cramér's V stays small.
    """
    pairs = rows.drop_nulls([column, label]).select("patient_id", label, column).unique()
    by_label, by_value = (dict(pairs[name].value_counts().iter_rows()) for name in (label, column))
    found = set(pairs.select(label, column).unique().iter_rows())
    expected = {(name, value): by_label[name] * by_value[value] / pairs.height for name in by_label for value in by_value if (name, value) not in found}
    return sorted([(*pair, number) for pair, number in expected.items() if number >= LEAST_EXPECTED], key=lambda row: (-row[2], row[0], row[1]))


def tie(rows: pl.DataFrame, column: str, label: str) -> tuple[float, tuple[str, str]]:
    """Return Cramér's V of two columns over patients, and the pair (label, value) that is most over-represented; ("", "") without rows."""
    pairs = rows.drop_nulls([column, label]).select("patient_id", label, column).unique()
    labels, values = pairs[label].unique().sort(), pairs[column].unique().sort()
    if pairs.is_empty():
        return 0.0, ("", "")
    table = np.zeros((labels.len(), values.len()), np.int64)
    label_at, value_at = {name: i for i, name in enumerate(labels)}, {name: i for i, name in enumerate(values)}
    for _, of_label, value in pairs.iter_rows():
        table[label_at[of_label], value_at[value]] += 1
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    worst = np.unravel_index(np.argmax(table - expected), table.shape)
    return cramers_v(table), (str(labels[int(worst[0])]), str(values[int(worst[1])]))
