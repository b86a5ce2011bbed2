"""Tests of curation.gaps."""

from __future__ import annotations

import polars as pl
import pytest

from curation.errors import UsageError
from curation.gaps import find_gaps
from curation.recipe import GapSettings
from curation.records import to_frame
from tests.builders import a_manifest, a_synthetic_record, an_id


def cohort() -> pl.DataFrame:
    """Return 20 nevi of 10 patients, 4 melanomas of 2 and 1 keratosis, all train."""
    parts = (
        a_manifest(20, labels=("nevus",)),
        a_manifest(4, labels=("melanoma",), start=20),
        a_manifest(1, labels=("keratosis",), start=24),
    )
    return pl.concat(parts).with_columns(split=pl.lit("train"))


def test_the_table_counts_what_is_there_and_says_what_is_missing() -> None:
    """Target is half of the largest class; one patient alone cannot be synthesized from."""
    table = find_gaps(cohort(), GapSettings()).rows_by_key("label", named=True, unique=True)
    assert table["nevus"] | {"task": "colour-2d"} == {
        "task": "colour-2d", "train_images": 20, "train_patients": 10, "synthetic_images": 0, "target": 10, "missing": 0, "action": "leave",
    }  # fmt: skip
    assert (table["melanoma"]["missing"], table["melanoma"]["action"]) == (6, "synthesize")
    assert (table["keratosis"]["missing"], table["keratosis"]["action"]) == (9, "collect")


def test_only_accepted_synthetic_images_fill_a_gap() -> None:
    """Candidates and rejected ones do not count, and none counts as real."""
    verdicts = ("accepted", "accepted", "rejected", None)
    synthetic = to_frame([a_synthetic_record(image_id=an_id(f"s{n}"), verdict=verdict) for n, verdict in enumerate(verdicts)])
    melanoma = find_gaps(pl.concat([cohort(), synthetic]), GapSettings()).rows_by_key("label", named=True, unique=True)["melanoma"]
    assert (melanoma["train_images"], melanoma["synthetic_images"], melanoma["missing"]) == (4, 2, 4)


def test_rejected_images_fill_no_cell() -> None:
    """What the readers call unusable is in no release, so it neither fills a cell nor raises the target."""
    rows = cohort().with_columns(verdict=pl.when(pl.int_range(pl.len()) >= 8, pl.int_range(pl.len()) < 21).then(pl.lit("rejected")))
    table = find_gaps(rows, GapSettings()).rows_by_key("label", named=True, unique=True)
    assert (table["nevus"]["train_images"], table["nevus"]["target"], table["melanoma"]["train_images"]) == (8, 4, 3)


def test_cells_of_chosen_columns_include_those_without_an_image() -> None:
    """Label × site: a keratosis was never seen in the south."""
    table = find_gaps(cohort(), GapSettings(columns=("site",)))
    cell = table.filter((pl.col("label") == "keratosis") & (pl.col("site") == "south")).row(0, named=True)
    assert (cell["train_images"], cell["target"], cell["action"]) == (0, 5, "collect")
    assert table.height == 3 * 2


def test_ages_are_counted_in_decades_and_attributes_by_their_key() -> None:
    """Every column becomes text."""
    rows = cohort().with_columns(attributes=pl.lit('{"skin_type": "II"}'))
    table = find_gaps(rows, GapSettings(columns=("age_years", "skin_type")))
    assert table.select("age_years", "skin_type").unique().rows() == [("50-59", "II")]


def test_an_unknown_column_is_named() -> None:
    """The message holds the key of the recipe."""
    with pytest.raises(UsageError, match=r"gaps\.columns.*colour_of_shoes"):
        find_gaps(cohort(), GapSettings(columns=("colour_of_shoes",)))


def test_volumes_are_collected_and_dropped_duplicates_not_counted() -> None:
    """The generator makes 2-D images."""
    volumes = pl.concat([a_manifest(6, labels=("nodule",)), a_manifest(2, images_per_patient=1, labels=("clear",), start=6)])
    rows = volumes.with_columns(split=pl.lit("train"), ndim=pl.lit(3, pl.Int64), modality=pl.lit("CT"))
    copy = rows.head(1).with_columns(image_id=pl.lit(an_id("copy")), duplicate_group="image_id")
    table = find_gaps(pl.concat([rows, copy]), GapSettings()).rows_by_key("label", named=True, unique=True)
    assert table["nodule"]["train_images"] == 6
    assert (table["clear"]["missing"], table["clear"]["action"]) == (1, "collect")


def test_an_empty_manifest_has_no_gaps() -> None:
    """Nothing to count."""
    assert find_gaps(a_manifest(2).clear(), GapSettings(columns=("site",))).height == 0
