"""The check that a site and a label are not tied."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.confounding import cramers_v, find_confounding
from curation.records import to_frame
from tests.builders import a_record


def test_worked_value_of_the_docstring() -> None:
    """The example in the docstring is what the function returns."""
    assert cramers_v(np.array([[30, 10], [10, 30]])) == pytest.approx(0.490, abs=5e-4)


def test_one_deciding_the_other_is_one_and_independence_is_zero() -> None:
    """The two ends of the range."""
    assert cramers_v(np.array([[50, 0], [0, 50]])) == pytest.approx(1, abs=0.01)
    assert cramers_v(np.array([[25, 25], [25, 25]])) == 0


def test_too_few_patients_show_no_association() -> None:
    """With one patient a cell the correction leaves nothing: 0, and not 0 / 0."""
    assert cramers_v(np.eye(2, dtype=np.int64)) == 0
    assert cramers_v(np.eye(3, dtype=np.int64)) == 0


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=5))
def test_range_and_order_of_rows(counts: list[list[int]]) -> None:
    """Any table gives a value in [0, 1] that does not depend on the order of its rows."""
    table = np.array(counts)
    assert 0 <= cramers_v(table) <= 1 + 1e-9
    assert cramers_v(table) == pytest.approx(cramers_v(table[::-1]))


def test_a_planted_confounded_site_is_named() -> None:
    """A finding that comes from one site only raises a warning which names both; a balanced task does not."""
    records = [
        a_record(image_id=f"{n:032x}", patient_id=f"p{n}", modality="DX", label="effusion" if n % 2 else "normal", site="hill" if n % 2 else "north")
        for n in range(40)
    ]
    records += [
        a_record(image_id=f"{n:032x}", patient_id=f"p{n}", modality="XC", label="naevus" if n % 2 else "melanoma", site="hill" if n % 4 < 2 else "north")
        for n in range(100, 140)
    ]
    found = find_confounding(to_frame(records))
    site = found.filter(column="site")
    assert site.filter(task="xray-2d").select("label", "value", "is_warning").row(0) in [("effusion", "hill", True), ("normal", "north", True)]
    assert not site.filter(task="colour-2d")["is_warning"].any()
