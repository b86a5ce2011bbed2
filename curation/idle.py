"""Whether a run has nothing to do, found out with the few columns that this takes: a run over files that are all known holds little more than their names.

The answer is careful: whatever is not plainly as it was (an archive, a table that changed, an image that two files hold) is left to the whole run.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from curation.intake import INTAKE, SAME_IMAGE, is_holding
from curation.matching import JOINED_AT_ONCE, match_rows
from curation.plan import RETRIED, Reader, find_promoted
from curation.sources.bids import find_units


def nothing_changed(found: pl.DataFrame, intake: Path, readers: tuple[Reader, ...], usable_ids: pl.Series, givers: set[str]) -> bool:
    """Say whether a run would leave the intake table and the manifest as they are.

    Args:
        found: one row a directory entry (`curation.plan.FOUND`).
        intake: the table of the last run.
        readers: the sources, with what `participants.tsv` says.
        usable_ids: image_ids that are in the manifest with a shard that exists.
        givers: sources that have images in the manifest.
    """
    if not intake.exists() or found.is_empty() or not (found["state"] == "file").all():
        return False
    try:
        if pl.read_parquet_schema(intake) != INTAKE:
            return False
        return _files_are_known(found, intake, readers) and _images_are_there(intake, readers, usable_ids, givers)
    except (pl.exceptions.PolarsError, OSError):
        return False  # the whole run says what is wrong with the table


def _files_are_known(found: pl.DataFrame, intake: Path, readers: tuple[Reader, ...]) -> bool:
    """Say whether the files are those of the last run, with the same size, time, unit, recipe and table."""
    holds = [
        (pl.col("source") == reader.source.name) & (pl.col("recipe_sha256") == reader.recipe_sha256) & (pl.col("table_sha256") == reader.table_sha256)
        for reader in readers
    ]
    is_known = pl.any_horizontal(*holds).fill_null(False) & ~pl.col("code").is_in(RETRIED).fill_null(False)
    columns = ("source", "path", "size_bytes", "mtime_ns")
    was = pl.scan_parquet(intake).select(*columns, is_known=is_known).collect(engine="streaming")
    if was.height != found.height or not was["is_known"].all():
        return False
    row = match_rows(found, was)
    if row.has_nulls() or not all((found[name] == was[name].gather(row)).all() for name in ("size_bytes", "mtime_ns")):
        return False
    del was, row
    return all(_units_are_the_same(found, intake, reader) for reader in readers if reader.source.kind != "dicom")


def _units_are_the_same(found: pl.DataFrame, intake: Path, reader: Reader) -> bool:
    """Say whether every file of a source is its own unit, as the last run has it, but for files beside a NIfTI image."""
    mine = pl.scan_parquet(intake).filter(pl.col("source") == reader.source.name)
    others = mine.filter(pl.col("unit").ne_missing(pl.col("path"))).select("path", "unit").collect(engine="streaming")
    if reader.source.kind != "nifti":
        return others.is_empty()
    beside = find_units(found.filter(pl.col("source") == reader.source.name)["path"].to_list())
    return dict(others.iter_rows()) == {path: image for path, image in beside.items() if path != image}


def _images_are_there(intake: Path, readers: tuple[Reader, ...], usable_ids: pl.Series, givers: set[str]) -> bool:
    """Say whether every image that a file holds can be used, and comes from the source that gave it before."""
    rows = pl.scan_parquet(intake)
    holding = rows.filter(is_holding()).select("source").unique().collect(engine="streaming")["source"]
    if not {reader.source.name for reader in readers} & givers <= set(holding):
        return False
    held = rows.filter(is_holding()).select("image_ids").collect(engine="streaming")["image_ids"].explode().drop_nulls()
    hashes = held.hash()
    if not _all_in(held, hashes, usable_ids):
        return False
    is_shared = hashes.n_unique() < len(hashes)
    del held, hashes
    if not is_shared and rows.filter(pl.col("code") == SAME_IMAGE).head(1).collect().is_empty():
        return True
    order = {reader.source.name: place for place, reader in enumerate(readers)}
    asked = rows.filter(is_holding()).select("source", "path", "unit", "outcome", "code", "image_ids").collect(engine="streaming")
    return find_promoted(asked, order).is_empty()


def _all_in(values: pl.Series, hashes: pl.Series, among: pl.Series) -> bool:
    """Say whether all values are `among` others; those with equal hashes are compared, a part at a time."""
    parts = 1 + max(len(values), len(among)) // JOINED_AT_ONCE
    mine, theirs = ((each % parts).cast(pl.UInt16) for each in (hashes, among.hash()))
    return all(bool(values.filter(mine == part).is_in(among.filter(theirs == part).implode()).all()) for part in range(parts))
