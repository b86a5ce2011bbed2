"""Tests of curation.splits."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.groups import assign_groups
from curation.recipe import SplitSettings
from curation.records import to_frame
from curation.splits import assign_splits, find_moved_groups
from tests.builders import a_manifest, a_record, a_synthetic_record, an_id

patients = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from(["XC", "DX"]), st.integers(1, 3), st.sampled_from([None, "d1", "d2"])), max_size=25
)
Patients = list[tuple[str | None, str, int, str | None]]


def cohort(drawn: Patients, start: int = 0) -> pl.DataFrame:
    """Return one row an image; some images of different patients are duplicates."""
    records = [
        a_record(image_id=an_id(f"{start + n}-{k}"), patient_id=f"p{start + n}", label=label, modality=modality, duplicate_group=copy if k == 0 else None)
        for n, (label, modality, images, copy) in enumerate(drawn)
        for k in range(images)
    ]
    return assign_groups(to_frame(records))


@settings(deadline=None, max_examples=60)
@given(patients, st.integers(0, 5), st.integers(0, 99))
def test_no_group_is_on_two_sides_and_the_order_of_the_rows_does_not_matter(drawn: Patients, seed: int, shuffle: int) -> None:
    """Every row has a side, every group one; shuffled rows get the same."""
    rows = cohort(drawn)
    done = assign_splits(rows, SplitSettings(seed=seed))
    assert done["split"].null_count() == 0
    assert done.group_by("group_id").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height == 0
    other = assign_splits(rows.sample(fraction=1, shuffle=True, seed=shuffle), SplitSettings(seed=seed))
    assert other.sort("image_id").equals(done.sort("image_id"))


@settings(deadline=None, max_examples=40)
@given(patients, patients)
def test_new_patients_never_move_old_ones(old: Patients, new: Patients) -> None:
    """Only patients that a new duplicate joins to another side may move."""
    first = assign_splits(cohort(old), SplitSettings())
    alone = [(label, modality, images, None) for label, modality, images, _ in new]
    grown = assign_splits(pl.concat([first, cohort(alone, start=1000)]), SplitSettings())
    assert grown.filter(pl.col("image_id").is_in(first["image_id"].to_list())).sort("image_id").equals(first.sort("image_id"))


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1))
def test_every_label_with_three_patients_is_on_every_side(counts: dict[str, int]) -> None:
    """Rare classes can be trained, chosen and tested."""
    drawn: Patients = [(label, "XC", 1, None) for label, count in counts.items() for _ in range(count)]
    done = assign_splits(cohort(drawn), SplitSettings())
    for label, count in counts.items():
        sides = done.filter(pl.col("label") == label)["split"]
        assert sides.n_unique() == min(count, 3)
        assert abs(sides.eq("train").sum() - max(0.6 * count, 1)) <= 1


def test_shares_are_kept_for_every_label() -> None:
    """Of 100 patients a label 60, 20 and 20 land on the sides."""
    done = assign_splits(assign_groups(a_manifest(600)), SplitSettings())
    counts = done.group_by("label", "split").agg(n=pl.col("patient_id").n_unique()).sort("label", "split")
    assert counts["n"].to_list() == [20, 60, 20] * 3


def test_labels_of_two_patients_spread_over_val_and_test() -> None:
    """Five labels of two patients each: every label trains, and neither of the other sides is empty."""
    done = assign_splits(assign_groups(a_manifest(10, images_per_patient=1, labels=tuple("abcde"))), SplitSettings())
    assert dict(done.group_by("split").len().iter_rows()) == {"train": 5, "val": 2, "test": 3}


def test_a_group_that_is_found_on_two_sides_goes_to_train() -> None:
    """A duplicate joined a train patient with a test patient."""
    rows = a_manifest(2, images_per_patient=1).with_columns(group_id=pl.lit("g"), split=pl.Series(["test", "train"]))
    assert find_moved_groups(rows) == ["g"]
    assert assign_splits(rows, SplitSettings())["split"].to_list() == ["train", "train"]


def test_a_held_out_patient_stays_held_out() -> None:
    """Sides outside of the three shares persist too."""
    rows = assign_groups(a_manifest(6)).with_columns(split=pl.when(pl.col("patient_id") == pl.col("patient_id").min()).then(pl.lit("holdout")))
    done = assign_splits(rows, SplitSettings())
    assert done.filter(pl.col("split") == "holdout")["patient_id"].unique().to_list() == [rows["patient_id"].min()]


def test_synthetic_images_are_always_train() -> None:
    """Also when somebody put one elsewhere."""
    rows = assign_groups(to_frame([a_synthetic_record(split="test"), a_record()]))
    assert assign_splits(rows, SplitSettings()).filter(pl.col("origin") == "synthetic")["split"].to_list() == ["train"]
