"""Tests of curation.diffs."""

from __future__ import annotations

import polars as pl

from curation.diffs import diff_versions, list_changes
from tests.builders import LABELS, a_manifest, an_id


def test_every_kind_of_change_is_counted_once() -> None:
    """Of ten images one leaves, two come, one gets another label, one another side, one other pixels."""
    old = a_manifest(10).with_columns(split=pl.lit("train"))
    new = pl.concat([old, a_manifest(2, labels=("melanoma",), start=10)]).filter(pl.col("image_id") != an_id(0))

    def change(column: str, number: int, value: str) -> pl.Expr:
        return pl.when(pl.col("image_id") == an_id(number)).then(pl.lit(value)).otherwise(column).alias(column)

    new = new.with_columns(change("label", 4, "nevus"), change("split", 5, "test"), change("pixels_sha256", 6, "other"))
    assert old.filter(pl.col("image_id") == an_id(4))["label"].item() == LABELS[2]
    diff = diff_versions(old, new)
    assert (diff.added, diff.removed, diff.relabelled, diff.resplit, diff.repixelled, diff.unchanged) == (2, 1, 1, 1, 1, 6)
    assert diff.by_label == {
        "colour-2d/keratosis": {"resplit": 1},
        "colour-2d/melanoma": {"added": 2},
        "colour-2d/nevus": {"removed": 1, "relabelled": 1, "repixelled": 1},
    }
    assert diff.by_origin == {"acquired": {"added": 2, "removed": 1, "relabelled": 1, "resplit": 1, "repixelled": 1}}
    assert list_changes(old, new)["image_id"].to_list() == sorted(an_id(n) for n in (0, 4, 5, 6, 10, 11))


def test_a_version_does_not_differ_from_itself() -> None:
    """Also when labels are missing, and when nothing is there."""
    rows = a_manifest(4, labels=(None,))
    assert diff_versions(rows, rows).unchanged == 4
    assert list_changes(rows, rows).height == 0
    assert diff_versions(rows.clear(), rows).by_label == {"colour-2d/no label": {"added": 4}}
