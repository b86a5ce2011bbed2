"""From the parts that the workers left to the working manifest: which row is used, what it keeps of the row before it, and where its bytes lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from curation.project import Project
from curation.records import SCHEMA
from curation.shards import LABEL_MAP, PLACE, adopt_shards, with_places, write_shards

PART = {"part": pl.String(), "part_offset": pl.Int64(), "part_bytes": pl.Int64(), "unit": pl.String()}
NEW_ROWS = pl.Schema({**SCHEMA, **PART})
KEPT = ("group_id", "duplicate_group", "split", "uncertainty", "route", "route_reason", "verdict", "readers", "agreement", "reviewed_at")
JUDGED = ("label", "label_source", "label_confidence", "label_issue_score")
CONFLICT = "label_conflict"


def read_parts(folder: Path, names: list[str]) -> tuple[list[dict[str, object]], pl.DataFrame]:
    """Return the outcomes of all files, and the new rows with the place of their bytes in the parts."""
    files: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    for name in sorted(names):
        for unit in json.loads((folder / f"{name}.json").read_bytes())["units"]:
            files += [{"source": unit["source"], "unit": unit["unit"], **file} for file in unit["files"]]
            rows += unit["rows"]
    return files, pl.DataFrame(rows, schema=NEW_ROWS)


def find_conflicts(rows: pl.DataFrame, standing: pl.DataFrame) -> pl.Series:
    """Return the image_ids that came with different labels.

    Args:
        rows: new rows of all units, also of those that do not own their image.
        standing: rows of the last run whose files were not read again.
    """
    labelled = standing.filter(pl.col("label_source") == "source").select("image_id", "label")
    doubted = standing.filter(pl.col("route") == CONFLICT).select("image_id", label=pl.lit("another label"))
    seen = pl.concat([rows.select("image_id", "label"), labelled, doubted]).drop_nulls()
    return seen.group_by("image_id").agg(pl.col("label").n_unique()).filter(pl.col("label") > 1)["image_id"]


def mark_conflicts(rows: pl.DataFrame, image_ids: pl.Series) -> pl.DataFrame:
    """Return the rows; where the source's labels contradict each other, none is believed, and experts are asked."""
    disagree = pl.col("image_id").is_in(image_ids.implode()) & pl.col("label_source").is_in(["source"])
    return rows.with_columns(
        route=pl.when(disagree).then(pl.lit(CONFLICT)).otherwise("route"),
        route_reason=pl.when(disagree).then(pl.lit("files with the same pixels came with different labels")).otherwise("route_reason"),
        label=pl.when(disagree).then(None).otherwise("label"),
        label_source=pl.when(disagree).then(None).otherwise("label_source"),
    )


def carry_over(rows: pl.DataFrame, before: pl.DataFrame, shards: set[str]) -> pl.DataFrame:
    """Return the new rows with what was decided about the same images: split, routes, verdicts, labels of experts, and the place of equal pixels."""
    was = before.with_columns(pl.when(pl.col("route") != CONFLICT).then(pl.col(name)).alias(name) for name in ("route", "route_reason"))
    both = rows.join(was, on="image_id", how="left", suffix="_was")
    is_judged = pl.col("label_source_was").is_in(["expert", "consensus"])
    is_same = (pl.col("pixels_sha256") == pl.col("pixels_sha256_was")) & pl.col("shard_was").is_in(list(shards))
    is_same &= pl.col("label_map_sha256").eq_missing(pl.col("label_map_sha256_was"))
    return both.with_columns(
        *(pl.when(is_judged).then(pl.col(f"{name}_was")).otherwise(pl.coalesce(name, f"{name}_was")).alias(name) for name in KEPT),
        *(pl.when(is_judged).then(pl.col(f"{name}_was")).otherwise(pl.col(name)).alias(name) for name in JUDGED),
        *(pl.when(is_same).then(pl.col(f"{name}_was")).otherwise(name).alias(name) for name in PLACE),
    ).select(rows.columns)


def pack(rows: pl.DataFrame, parts: Path, project: Project) -> pl.DataFrame:
    """Write the images that have no place yet into shards, in the order of their ids, and return the rows with all places."""
    adopt_shards(rows["shard"].drop_nulls().unique(), parts, project.working_shards)
    waiting = rows.filter(pl.col("shard").is_null()).sort("image_id")
    if waiting.is_empty():
        return rows.select(list(SCHEMA))
    places = write_shards(_contents(waiting, parts), project.working_shards)
    return with_places(rows, places).select(list(SCHEMA))


def _contents(waiting: pl.DataFrame, parts: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the stored files: an image, and behind it its label map if it has one; so they lie in the part, too."""
    columns = ("image_id", "suffix", "part", "part_offset", "part_bytes", "label_map_size_bytes")
    for image_id, suffix, part, offset, size, map_bytes in waiting.select(columns).iter_rows():
        with (parts / f"{part}.bin").open("rb") as file:
            file.seek(offset)
            yield f"{image_id}{suffix}", file.read(size - (map_bytes or 0))
            if map_bytes:
                yield f"{image_id}{LABEL_MAP}", file.read(map_bytes)
