"""The record and the manifest."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from curation.errors import IntegrityError
from curation.manifest import empty_manifest, query, read_manifest, write_bytes, write_manifest
from curation.records import ADDED, COLUMNS, SCHEMA, ImageRecord, column_table, to_frame
from tests.builders import a_manifest, a_record


def test_every_column_is_described_and_has_a_unit_in_its_name() -> None:
    """Each column has a group and a sentence, and a name that ends with its unit when it has one."""
    for column in COLUMNS:
        assert column.group, column.name
        assert len(column.description) > 4, column.name
        if column.unit in ("mm", "years"):
            assert column.name.endswith(f"_{column.unit}")
    assert f"| `{COLUMNS[-1].name}`" in column_table()


def test_a_record_refuses_unknown_columns_and_cannot_change() -> None:
    """A typo does not become a column."""
    with pytest.raises(ValidationError):
        a_record(lable="naevus")
    with pytest.raises(ValidationError):
        a_record().label = "naevus"  # type: ignore[misc]


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Sorted by image_id, with exactly the schema; no temporary file stays."""
    rows = to_frame([a_record(image_id="b" * 32), a_record(image_id="a" * 32, spacing_mm=[1.0, 2.0], boxes_px=[[0.0, 1, 2, 3]])])
    path = tmp_path / "sub" / "manifest.parquet"
    write_manifest(rows.reverse(), path)
    assert read_manifest(path).equals(rows)
    assert [file.name for file in path.parent.iterdir()] == ["manifest.parquet"]
    assert read_manifest(tmp_path / "none.parquet").equals(empty_manifest())
    assert query("select count(*) as n from rows where label = $$naevus$$", rows=path)["n"][0] == rows.filter(label="naevus").height


def test_two_rows_with_one_id_are_refused(tmp_path: Path) -> None:
    """An image cannot be in the manifest twice."""
    rows = to_frame([a_record(), a_record()])
    with pytest.raises(IntegrityError, match="same image_id"):
        write_manifest(rows, tmp_path / "manifest.parquet")


def test_a_manifest_of_another_schema_is_named(tmp_path: Path) -> None:
    """Reading never guesses: the differing column is in the message; garbage is not a manifest."""
    path = tmp_path / "manifest.parquet"
    to_frame([a_record()]).with_columns(pl.col("seed").cast(pl.String)).write_parquet(path)
    with pytest.raises(IntegrityError, match="seed"):
        read_manifest(path)
    write_bytes(b"garbage", path)
    with pytest.raises(IntegrityError, match="Parquet"):
        read_manifest(path)


def test_the_schema_follows_the_record() -> None:
    """Every field of the record is a column and nothing else is."""
    assert list(SCHEMA) == list(ImageRecord.model_fields)


def test_a_manifest_of_the_version_before_is_read(tmp_path: Path) -> None:
    """Columns that came later are empty; a column that went must have been empty, else nothing is guessed."""
    old = to_frame([a_record()]).drop(*ADDED).with_columns(label_map_id=pl.lit(None, pl.String))
    path = tmp_path / "manifest.parquet"
    old.write_parquet(path)
    assert read_manifest(path).equals(to_frame([a_record()]))
    old.with_columns(label_map_id=pl.lit("f" * 32)).write_parquet(path)
    with pytest.raises(IntegrityError, match="label_map_id"):
        read_manifest(path)


def test_a_damaged_manifest_is_named_whatever_the_damage(tmp_path: Path) -> None:
    """Cut off anywhere, or with a few wrong bytes: it is read, or named with a remedy, though Polars panics over some."""
    path, refused = tmp_path / "manifest.parquet", 0
    write_manifest(a_manifest(4), path)
    whole = path.read_bytes()
    for seed in range(60):
        random, damaged = np.random.default_rng(seed), bytearray(whole)
        for place in random.integers(4, len(whole), 8):
            damaged[place] ^= 0xFF
        path.write_bytes(damaged[: random.integers(len(whole))] if seed % 3 == 0 else damaged)
        try:
            read_manifest(path)
        except IntegrityError as error:
            refused += "manifest.parquet" in str(error)
    assert refused > 30
