"""The manifest: the table of records, and how it is written and read.

Joins, differences and queries over millions of rows go through DuckDB on the Parquet file (`query`); everything else
is Polars.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curation.errors import IntegrityError
from curation.records import SCHEMA, upgraded

DAMAGED = "restore it from a backup, or move it away and run `curaloop ingest`, which knows the real images only"


def empty_manifest() -> pl.DataFrame:
    """Return a manifest without rows."""
    return pl.DataFrame(schema=SCHEMA)


def read_manifest(path: Path) -> pl.DataFrame:
    """Return the manifest at `path`, or one without rows when there is no file.

    Raises:
        IntegrityError: the file is not a manifest, or its columns are not those of `SCHEMA`.
    """
    return check_columns(read_parquet(path, DAMAGED), path) if path.exists() else empty_manifest()


def read_parquet(path: Path, remedy: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return a table, or some columns of it.

    Raises:
        IntegrityError: it is damaged, with the remedy; Polars panics over some damages.
    """
    try:
        return pl.read_parquet(path, columns=list(columns) if columns else None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise IntegrityError(path, f"cannot be read as Parquet; {remedy}") from error


def check_columns(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return `rows`, read from `path`, with the columns of `SCHEMA`, or raise `IntegrityError` when they are neither those nor an older version's."""
    rows = upgraded(rows)
    if rows.schema != SCHEMA:
        differing = sorted(set(rows.schema.items()) ^ set(SCHEMA.items()), key=str)
        raise IntegrityError(path, f"columns differ from this version's schema: {', '.join(name for name, _ in differing)}")
    return rows


def write_manifest(rows: pl.DataFrame, path: Path) -> None:
    """Write `rows` sorted by `image_id`, with exactly the columns of `SCHEMA`, all at once or not at all.

    Raises:
        IntegrityError: two rows have the same `image_id`, or columns are missing or of another type.
    """
    rows = rows.select(list(SCHEMA)).cast(dict(SCHEMA)).sort("image_id")  # type: ignore[arg-type]
    if rows["image_id"].n_unique() != rows.height:
        raise IntegrityError(path, "two rows have the same image_id")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
    try:
        rows.write_parquet(temporary, compression="zstd", statistics=True)
        _replace_durably(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file so that it is visible whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        file.write(content)
    try:
        _replace_durably(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _replace_durably(temporary: Path, path: Path) -> None:
    """Flush `temporary` to the disk, give it its name, and flush the folder."""
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def query(sql: str, **tables: Path | pl.DataFrame) -> pl.DataFrame:
    """Run `sql` in DuckDB over the named Parquet files or frames and return the answer.

    Example:
        `query("select label, count(*) as n from rows group by label order by label", rows=project.manifest)`
    """
    import duckdb

    with duckdb.connect() as connection:
        for name, table in tables.items():
            relation: Any = table.to_arrow() if isinstance(table, pl.DataFrame) else connection.read_parquet(str(table))
            connection.register(name, relation)
        answer: pl.DataFrame = connection.sql(sql).pl()
        return answer
