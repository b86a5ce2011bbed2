"""The intake table: what became of every file that was found. It is the memo of `ingest`: a file that did not change is not even opened."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from curation.manifest import read_parquet, write_bytes

INTAKE = pl.Schema(
    {
        "source": pl.String(),  # name in the recipe
        "path": pl.String(),  # relative to the source, printable
        "size_bytes": pl.Int64(),
        "mtime_ns": pl.Int64(),
        "sha256": pl.String(),  # of the bytes; empty for what was not opened
        "unit": pl.String(),  # what was read together: the path, or a pseudonym of the series
        "outcome": pl.String(),  # kept, duplicate, quarantined, skipped
        "code": pl.String(),
        "reason": pl.String(),
        "image_ids": pl.List(pl.String()),  # of the images that hold this file's pixels
        "recipe_sha256": pl.String(),  # harmonization, readers and key
        "table_sha256": pl.String(),  # the source's table and how the recipe reads it
        "lookup_id": pl.String(),  # keyed hash of what the table says of this file
        "seen_at": pl.String(),  # when the outcome was decided, UTC
    }
)
REMEDY = "delete it, and the next run reads every file again"
"""For a damaged table."""
SAME_IMAGE = "SAME_IMAGE"
"""Code of a file whose pixels came in from an earlier file; it takes over when that file disappears."""


def read_intake(path: Path) -> pl.DataFrame:
    """Return the table at `path`; one without rows when there is none or it was written by another version. Raise `IntegrityError` when it is damaged."""
    if not path.exists():
        return pl.DataFrame(schema=INTAKE)
    rows = read_parquet(path, REMEDY)
    return rows if rows.schema == INTAKE else pl.DataFrame(schema=INTAKE)


def write_intake(rows: pl.DataFrame, path: Path) -> None:
    """Write the table, all at once or not at all."""
    import io

    buffer = io.BytesIO()
    rows.select(list(INTAKE)).cast(dict(INTAKE)).sort("source", "path").write_parquet(buffer, compression="zstd")  # type: ignore[arg-type]
    write_bytes(buffer.getvalue(), path)


def write_quarantine(rows: pl.DataFrame, folder: Path) -> None:
    """Rewrite `quarantine.jsonl`: one line a quarantined file, with its path, hash, code, reason, stage and time."""
    refused = rows.filter(pl.col("outcome") == "quarantined").sort("source", "path")
    columns = ["source", "path", "sha256", "code", "reason", "seen_at"]
    lines = [json.dumps({**row, "stage": "ingest"}, sort_keys=True) for row in refused.select(columns).rename({"seen_at": "time"}).iter_rows(named=True)]
    content = "".join(line + "\n" for line in lines).encode()
    path = folder / "quarantine.jsonl"
    if not path.exists() or path.read_bytes() != content:
        write_bytes(content, path)


def is_holding() -> pl.Expr:
    """Say of rows of the intake table whether they hold images: files that are kept, and files that wait behind an earlier one with the same pixels."""
    return (pl.col("outcome") == "kept") | (pl.col("code") == SAME_IMAGE)


def images_held(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return (image_id, source, unit) of files that hold images: those kept, and those that wait behind an earlier file with the same pixels."""
    holding = candidates.select("source", "unit", "path", "image_ids", is_holding=is_holding()).filter("is_holding").drop("is_holding")
    return holding.explode("image_ids").rename({"image_ids": "image_id"}).drop_nulls("image_id")


def settle_owners(rows: pl.DataFrame, order: dict[str, int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Decide which unit each image comes from: the first one by order of the sources, then by path.

    Args:
        rows: the intake table.
        order: place of each source in the recipe.

    Returns:
        The table with outcome, code and reason settled, and the owners (image_id, source, unit).
    """
    holders = images_held(rows).with_columns(pl.col("source").replace_strict(order, return_dtype=pl.Int64, default=len(order)).alias("place"))
    owners = holders.sort("image_id", "place", "path").unique("image_id", keep="first", maintain_order=True).select("image_id", "source", "unit")
    owned = holders.join(owners, on=["image_id", "source", "unit"]).select("source", "path").unique().with_columns(owns=pl.lit(True))
    waits = is_holding() & pl.col("owns").is_null()
    owns = pl.col("owns").is_not_null()
    settled = rows.join(owned, on=["source", "path"], how="left").with_columns(
        outcome=pl.when(owns).then(pl.lit("kept")).when(waits).then(pl.lit("duplicate")).otherwise("outcome"),
        code=pl.when(owns).then(pl.lit("")).when(waits).then(pl.lit(SAME_IMAGE)).otherwise("code"),
        reason=pl.when(owns).then(pl.lit("")).when(waits).then(pl.lit("the same pixels came in from an earlier file")).otherwise("reason"),
    )
    return settled.drop("owns"), owners
