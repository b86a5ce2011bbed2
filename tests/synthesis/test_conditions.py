"""Conditions: rows of a table of embeddings, and columns of the record."""

from __future__ import annotations

import json

import polars as pl
import pytest
import torch

from curation.errors import UsageError
from curation.records import to_frame
from synthesis.conditions import Vocabulary, cell_columns, grow_table, read_vocabulary, record_values, row_conditions
from tests.builders import a_record, an_id

KNOWN = Vocabulary({"label": ("a", "b"), "sex": ("F", "M")})


def test_a_condition_becomes_one_row_a_column() -> None:
    """The worked value of the docstring; what is not said is the null row."""
    assert KNOWN.encode([{"label": "b"}, {"label": "a", "sex": "M"}, {}]).tolist() == [[1, 5], [0, 4], [2, 5]]
    assert (KNOWN.rows, KNOWN.nulls.tolist()) == (6, [2, 5])


def test_what_a_generator_never_saw_is_refused() -> None:
    """The sentence names the column and the value."""
    with pytest.raises(UsageError, match="never saw sex 'O'"):
        KNOWN.encode([{"label": "a", "sex": "O"}])


def test_values_are_read_from_the_images() -> None:
    """Sorted, and without what is unknown."""
    assert read_vocabulary([{"label": "b"}, {"label": "a", "sex": "F"}], ("sex",)).values == {"label": ("a", "b"), "sex": ("F",)}


def test_a_grown_table_keeps_what_was_learned() -> None:
    """Old values and nulls keep their rows, a new label starts in the middle of the old ones, a new column says nothing yet."""
    old = Vocabulary({"label": ("b", "c")})
    new = old.grown(Vocabulary({"label": ("a", "c"), "sex": ("F",)}))
    assert new.values == {"label": ("b", "c", "a"), "sex": ("F",)}
    table = grow_table(torch.tensor([[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]]), old, new)
    assert table.tolist() == [[1, 0], [3, 4], [2, 2], [9, 9], [0, 0], [0, 0]]


def test_rows_of_a_manifest_say_their_conditions() -> None:
    """Columns of the record, bands of ten years, and keys of the attributes; a null is left out."""
    attributes = json.dumps({"skin": "dark"})
    rows = to_frame(
        [
            a_record(image_id=an_id(0), label="a", sex="F", age_years=47.0, attributes=attributes),
            a_record(image_id=an_id(1), label="b", sex=None, age_years=None),
        ]
    )
    told = row_conditions(rows.sort("label"), ("sex", "age_band", "skin"))
    assert told == ({"label": "a", "sex": "F", "age_band": "40-49", "skin": "dark"}, {"label": "b"})


def test_a_condition_that_no_image_has_is_named_by_its_key() -> None:
    """Not by that of the gap table, which reads values the same way."""
    with pytest.raises(UsageError, match=r"synthesis\.generator\.conditions: no train image has 'scanner'"):
        row_conditions(to_frame([a_record()]), ("scanner",))


def test_a_condition_fills_the_columns_that_gaps_are_counted_by() -> None:
    """The worked value of the docstring, and an attribute."""
    assert record_values({"label": "nv", "sex": "F", "age_band": "40-49"}) == {"sex": "F", "age_years": 45.0}
    assert record_values({"label": "nv", "age_band": "90-99", "skin": "dark"}) == {"age_years": 90.0, "attributes": '{"skin": "dark"}'}


def test_a_gap_table_is_read_by_its_own_names() -> None:
    """The table counts by `age_years`, the generator is told `age_band`."""
    gaps = pl.DataFrame(schema=["task", "label", "age_years", "site"])
    assert cell_columns(gaps, ("sex", "age_band")) == {"age_band": "age_years"}
