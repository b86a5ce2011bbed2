"""Groups: which images must stay on one side of a split, because they show one patient or are equal."""

from __future__ import annotations

import polars as pl


def assign_groups(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with `group_id`: patients that share an equal image are one group, named by its smallest `patient_id`.

    The answer does not depend on the order of the rows. A synthetic image is a group of its own.
    """
    acquired = rows.filter(pl.col("origin") == "acquired")
    bridges = acquired.filter(pl.col("duplicate_group").is_not_null()).group_by("duplicate_group").agg(pl.col("patient_id").unique())
    roots = _join_patients(bridges.filter(pl.col("patient_id").list.len() > 1)["patient_id"].to_list())
    own = pl.coalesce("group_id", pl.concat_str(pl.lit("synthetic-"), "image_id"))
    joined = pl.col("patient_id").replace(roots) if roots else pl.col("patient_id")
    return rows.with_columns(group_id=pl.when(pl.col("origin") == "synthetic").then(own).otherwise(joined))


def _join_patients(families: list[list[str]]) -> dict[str, str]:
    """Return the smallest patient of the group for every patient that is named (union-find)."""
    parents: dict[str, str] = {}

    def find(patient: str) -> str:
        root = patient
        while parents.setdefault(root, root) != root:
            root = parents[root]
        while parents[patient] != root:
            parents[patient], patient = root, parents[patient]
        return root

    for first, *others in families:
        for other in others:
            low, high = sorted((find(first), find(other)))
            parents[high] = low
    return {patient: find(patient) for patient in parents}
