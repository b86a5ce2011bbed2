"""What each run does with every file before it opens one: walk, the table of what was found, the comparison with the intake table."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from curation.idle import nothing_changed
from curation.intake import INTAKE
from curation.matching import FILE
from curation.plan import find_files, open_reader
from curation.recipe import HarmonizeSettings, SourceSettings


def make_empty_files(folder: Path, count: int, in_a_folder: int = 1000) -> None:
    """Write `count` files without bytes, which cost a file system in memory nothing but their names."""
    for first in range(0, count, in_a_folder):
        place = folder / f"{first // in_a_folder:05d}"
        place.mkdir(parents=True, exist_ok=True)
        for number in range(first, min(first + in_a_folder, count)):
            (place / f"image-{number:07d}.jpg").touch()


def walk_and_compare(folder: Path, intake_path: Path) -> int:
    """Find all files of a source, as `ingest` does, and compare them with the intake table; the first time, when there is none, one is made and written.

    Returns:
        How many files were found.

    Raises:
        ValueError: the comparison says that something changed.
    """
    reader = open_reader(SourceSettings(name="bench", kind="raster", path=folder, modality="XC"), HarmonizeSettings(), b"k" * 32)
    found = find_files((reader,))
    if not intake_path.exists():
        _intake_of(found, reader.recipe_sha256, reader.table_sha256).write_parquet(intake_path)
        return found.height
    usable_ids = pl.read_parquet(intake_path, columns=["image_ids"])["image_ids"].explode()  # as the manifest has them
    if not nothing_changed(found, intake_path, (reader,), usable_ids, {"bench"}):
        raise ValueError("nothing changed, and the comparison says that something did")
    return found.height


def _intake_of(found: pl.DataFrame, recipe_sha256: str, table_sha256: str) -> pl.DataFrame:
    """Return the table that a run would have left: every file kept, with an image of its own."""
    digest = pl.col("path").hash(seed=0).cast(pl.String)
    rows = found.with_columns(
        sha256=pl.concat_str(digest, digest, digest), unit=pl.col("path"), outcome=pl.lit("kept"), code=pl.lit(""), reason=pl.lit(""), lookup_id=pl.lit(""),
        image_ids=pl.concat_list(pl.concat_str(digest, digest)), recipe_sha256=pl.lit(recipe_sha256), table_sha256=pl.lit(table_sha256),
        seen_at=pl.lit("2026-01-01T00:00:00+00:00"),
    )  # fmt: skip
    return rows.select(list(INTAKE)).sort(FILE)
