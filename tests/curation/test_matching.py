"""Matching part by part is the join that it stands for."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import matching
from curation.matching import FILE, is_in, match_rows

FILES = st.lists(st.tuples(st.sampled_from("ab"), st.text("xyz/é", max_size=3)), unique=True, max_size=30)


def a_table(files: list[tuple[str, str]]) -> pl.DataFrame:
    """Return a table of sources and paths."""
    return pl.DataFrame(files, schema={name: pl.String() for name in FILE}, orient="row")


@pytest.mark.parametrize("at_once", [2, 7, 50_000])
def test_rows_are_matched_by_source_and_path(at_once: int) -> None:
    """For any two tables and any size of the parts, the answer is that of a dictionary."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "JOINED_AT_ONCE", at_once)

        @given(FILES, FILES)
        def check(files: list[tuple[str, str]], known: list[tuple[str, str]]) -> None:
            place = {file: row for row, file in enumerate(known)}
            assert match_rows(a_table(files), a_table(known)).to_list() == [place.get(file) for file in files]
            assert is_in(a_table(files), a_table(known), FILE).to_list() == [file in place for file in files]

        check()
