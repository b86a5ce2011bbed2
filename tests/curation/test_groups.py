"""Tests of curation.groups."""

from __future__ import annotations

import polars as pl

from curation.groups import assign_groups
from curation.records import to_frame
from tests.builders import a_manifest, a_record, a_synthetic_record, an_id


def test_a_patient_without_duplicates_is_a_group() -> None:
    """The group carries the patient's pseudonym."""
    rows = assign_groups(a_manifest(6))
    assert rows["group_id"].equals(rows["patient_id"], check_names=False)


def test_patients_that_share_images_in_a_chain_are_one_group() -> None:
    """a–b share one image, b–c another: all three stay together, d does not; the order of the rows does not matter."""
    pairs = [("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("d", None)]
    rows = to_frame([a_record(image_id=an_id(n), patient_id=patient, duplicate_group=group) for n, (patient, group) in enumerate(pairs)])
    for ordered in (rows, rows.reverse()):
        groups = dict(assign_groups(ordered).select("patient_id", "group_id").iter_rows())
        assert groups == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_a_synthetic_image_is_a_group_of_its_own() -> None:
    """All synthetic rows have the same patient, but no common group."""
    rows = assign_groups(to_frame([a_synthetic_record(image_id=an_id(n), group_id=None) for n in range(3)]))
    assert rows["group_id"].n_unique() == 3


def test_no_rows_give_no_groups() -> None:
    """An empty manifest stays empty."""
    assert assign_groups(a_manifest(2).clear())["group_id"].dtype == pl.String
