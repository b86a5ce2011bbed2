"""The data contract passes a clean cohort and finds each planted violation."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from curation.errors import GateError
from curation.records import SCHEMA
from tests.validation.builders import a_cohort
from validation.checks import CheckResult
from validation.contract import check_contract
from validation.gate import open_gate


def failed(rows: pl.DataFrame) -> dict[str, CheckResult]:
    """Return the results that do not pass, by name."""
    return {result.name: result for result in check_contract(rows) if not result.passed}


def change(rows: pl.DataFrame, position: int, column: str, value: Any) -> pl.DataFrame:
    """Return the rows with one value of one row changed."""
    return rows.with_columns(pl.when(pl.int_range(pl.len()) == position).then(pl.lit(value)).otherwise(pl.col(column)).cast(SCHEMA[column]).alias(column))


def test_a_clean_cohort_passes() -> None:
    """No result fails, every kind of rule was looked at."""
    results = check_contract(a_cohort())
    assert [result.failures for result in results if not result.passed] == []
    assert all(result.checked > 0 for result in results)
    open_gate(results)


PLANTED: tuple[tuple[str, Any, str], ...] = (
    ("age_years", 91.0, "ranges"),
    ("rows", 0, "ranges"),
    ("label_confidence", 1.5, "ranges"),
    ("sex", "female", "allowed"),
    ("split", "evaluation", "allowed"),
    ("patient_id", None, "required"),
    ("pixels_sha256", "abc", "patterns"),
    ("study_uid", "1.2.840.113619.2.1", "patterns"),
    ("suffix", ".nii.gz", "rules"),
    ("dtype", "float32", "rules"),
    ("label_source", None, "rules"),
    ("shard", None, "rules"),
    ("seed", 3, "rules"),
    ("spacing_mm", [0.0, 1.0], "rules"),
)


def test_planted_violations_are_found() -> None:
    """One violation a row: each kind of rule names exactly its rows, the values are not repeated, and the gate refuses."""
    rows = a_cohort(len(PLANTED))
    for position, (column, value, _) in enumerate(PLANTED):
        rows = change(rows, position, column, value)
    results = failed(rows)
    for position, (column, _, kind) in enumerate(PLANTED):
        image_id = rows["image_id"][position]
        assert any(image_id in failure for failure in results[f"contract: {kind}"].failures), column
    assert not any(result.is_broken for result in results.values())
    assert "840" not in str(results)
    with pytest.raises(GateError, match="ranges"):
        open_gate(results.values())


def test_a_repeated_image_id_is_found() -> None:
    """Uniqueness fails."""
    rows = a_cohort()
    assert "contract: unique" in failed(pl.concat([rows, rows.head(1)]))


def test_a_missing_and_a_strange_column_are_found() -> None:
    """Presence fails and names both columns."""
    result = failed(a_cohort().drop("label").with_columns(hospital=pl.lit("x")))["contract: columns"]
    assert "label" in " ".join(result.failures)
    assert "hospital" in " ".join(result.failures)


def test_a_wrong_type_is_found_and_a_crashed_check_counts_as_broken() -> None:
    """Text where a number belongs fails the types, crashes the range check, and both stop the gate."""
    results = failed(a_cohort().with_columns(age_years=pl.lit("forty")))
    assert results["contract: types"].failures == ("age_years is String, not Float64",)
    assert results["contract: ranges"].is_broken
    with pytest.raises(GateError, match="the check itself is broken"):
        open_gate(results.values())
