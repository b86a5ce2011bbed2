"""Rows of one table found in another, a part at a time, so that the memory of a join does not grow with the number of files."""

from __future__ import annotations

import polars as pl

FILE = ["source", "path"]
JOINED_AT_ONCE = 50_000
"""Rows; a join holds a copy of its keys and a table of their hashes for so many."""


def match_rows(files: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """Return for each row of `files` the number of the row in `known` with the same source and path, null where there is none.

    Both tables are split by the hash of the path, and only parts with equal hashes are joined.
    """
    parts = 1 + max(files.height, known.height) // JOINED_AT_ONCE
    left, right = _numbered(files, "row", parts), _numbered(known, "old_row", parts)
    joined = [
        left.filter(pl.col("part") == part).join(right.filter(pl.col("part") == part), on=FILE, how="left").select("row", "old_row") for part in range(parts)
    ]
    return pl.concat(joined).sort("row")["old_row"]


def _numbered(table: pl.DataFrame, name: str, parts: int) -> pl.DataFrame:
    part = (pl.col("path").hash() % parts).cast(pl.UInt16) if parts > 1 else pl.lit(0, pl.UInt16)
    return table.select(*FILE, part=part).with_row_index(name)


def is_in(rows: pl.DataFrame, few: pl.DataFrame, on: list[str]) -> pl.Series:
    """Say for each row whether its values in the columns `on` are those of a row of `few`; null is equal to nothing."""
    if few.is_empty() or rows.is_empty():
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    marks, few = [], few.select(on).unique()
    for part in rows.select(on).iter_slices(JOINED_AT_ONCE):
        numbers = part.with_row_index("row").join(few, on=on, how="semi")["row"]
        marks.append(pl.int_range(part.height, dtype=pl.UInt32, eager=True).is_in(numbers.implode()))
    return pl.concat(marks)
