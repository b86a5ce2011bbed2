"""Tests of curation.duplicates."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.duplicates import group_duplicates, is_dropped_duplicate
from curation.records import to_frame
from tests.builders import a_manifest, a_record, a_synthetic_record, an_id


def equal_images(*labels: str | None, **changes: object) -> pl.DataFrame:
    """Return one row a label, all with equal pixels; ids rise with the position."""
    ids = sorted(an_id(number) for number in range(len(labels)))
    return to_frame([a_record(image_id=i, label=label, pixels_sha256="same", **changes) for i, label in zip(ids, labels, strict=True)])


def test_equal_images_form_one_group_and_others_none() -> None:
    """The first image leads the group and stays in a release."""
    rows = group_duplicates(pl.concat([equal_images("nevus", "nevus"), a_manifest(4, start=10)]))
    grouped = rows.filter(pl.col("duplicate_group").is_not_null())
    assert grouped.height == 2
    assert grouped["duplicate_group"].unique().to_list() == [grouped["image_id"].min()]
    assert rows.filter(is_dropped_duplicate()).height == 1


def test_a_group_whose_labels_disagree_loses_its_label_and_goes_to_the_experts() -> None:
    """The conflict stays when the stage runs again."""
    rows = group_duplicates(equal_images("nevus", "melanoma"))
    assert rows["label"].to_list() == [None, None]
    assert rows["route"].to_list() == ["label_conflict"] * 2
    assert group_duplicates(rows).equals(rows)


def test_an_expert_settles_a_conflict() -> None:
    """The expert's label goes to the whole group and the route is cleared."""
    rows = group_duplicates(equal_images("nevus", "melanoma"))
    head = pl.col("image_id") == pl.col("duplicate_group")
    judged = rows.with_columns(label=pl.when(head).then(pl.lit("melanoma")), label_source=pl.when(head).then(pl.lit("expert")))
    settled = group_duplicates(judged)
    assert settled["label"].to_list() == ["melanoma"] * 2
    assert settled["label_source"].to_list() == ["expert"] * 2
    assert settled["route"].to_list() == [None, None]


@pytest.mark.parametrize(("label", "source"), [("keratosis", "expert"), ("nevus", "source")])
def test_an_expert_who_thinks_again_does_not_contradict_the_copy(label: str, source: str) -> None:
    """The copy has its expert's label from the head: it follows a changed answer, and one that was taken back."""
    rows = group_duplicates(equal_images("nevus", "nevus"))
    head = pl.col("image_id") == pl.col("duplicate_group")
    for answer, given_by in (("melanoma", "expert"), (label, source)):
        judged = rows.with_columns(label=pl.when(head).then(pl.lit(answer)).otherwise("label"))
        rows = group_duplicates(judged.with_columns(label_source=pl.when(head).then(pl.lit(given_by)).otherwise("label_source")))
    assert rows.select("label", "label_source", "route").rows() == [(label, source, None)] * 2


def test_a_copy_that_a_person_overrode_keeps_its_say() -> None:
    """An override may name any of the equal images."""
    rows = group_duplicates(equal_images("nevus", "nevus"))
    copy = rows.filter(is_dropped_duplicate())["image_id"].item()
    decided = rows.with_columns(
        label=pl.when(pl.col("image_id") == copy).then(pl.lit("melanoma")).otherwise("label"),
        label_source=pl.when(pl.col("image_id") == copy).then(pl.lit("expert")).otherwise("label_source"),
    )
    assert group_duplicates(decided, {copy})["label"].to_list() == ["melanoma"] * 2


def test_an_unlabelled_head_takes_the_label_of_its_equals() -> None:
    """A label is not lost with the dropped row."""
    rows = group_duplicates(equal_images(None, "nevus"))
    assert rows["label"].to_list() == ["nevus", "nevus"]


def test_the_head_stays_when_an_equal_image_with_a_smaller_id_arrives() -> None:
    """A release does not swap one image for its copy."""
    first, second = equal_images("nevus", "nevus").iter_slices(1)
    curated = second.with_columns(split=pl.lit("train"))
    assert group_duplicates(pl.concat([first, curated]))["duplicate_group"].unique().to_list() == second["image_id"].to_list()


def test_synthetic_images_are_not_duplicates_of_acquired_ones() -> None:
    """The screens judge near-copies; here the acquired image stays alone."""
    rows = to_frame([a_record(pixels_sha256="same"), a_synthetic_record(pixels_sha256="same")])
    assert group_duplicates(rows)["duplicate_group"].to_list() == [None, None]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", None])), min_size=1, max_size=12), st.randoms())
def test_grouping_is_idempotent_and_does_not_depend_on_the_order(images: list[tuple[int, str | None]], random: object) -> None:
    """Any pixels, any labels, any order."""
    records = [a_record(image_id=an_id(n), pixels_sha256=str(pixels), label=label) for n, (pixels, label) in enumerate(images)]
    once = group_duplicates(to_frame(records))
    assert group_duplicates(once).equals(once)
    shuffled = to_frame(records).sample(fraction=1, shuffle=True, seed=random.randint(0, 999))  # type: ignore[attr-defined]
    assert group_duplicates(shuffled).sort("image_id").equals(once)
