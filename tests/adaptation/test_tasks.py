"""One task: who is modelled, who is tested, what is uncertain."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from adaptation.recipe import FinetuneSettings
from adaptation.tasks import TaskResult, find_classes, fit_task
from curation.modalities import with_task
from curation.records import to_frame
from tests.adaptation.builders import CLASSES, features_of, split_rows
from tests.builders import a_synthetic_record, an_id

SETTINGS = FinetuneSettings(bootstrap=100, least_train_images=3)


def fit(rows: pl.DataFrame, noise: float = 0.3) -> TaskResult:
    """Fit the one task of the rows on features with known classes."""
    rows = with_task(rows)
    return fit_task(rows, features_of(rows, noise=noise), find_classes(rows, SETTINGS.least_train_images), SETTINGS)


def test_a_class_with_few_real_train_images_is_not_modelled_and_counted() -> None:
    """Synthetic images do not make a class learnable on their own."""
    rows = split_rows(60)
    rare = rows.with_columns(label=pl.when((pl.col("label") == "melanoma") & (pl.col("split") == "train")).then(None).otherwise("label"))
    synthetic = to_frame([a_synthetic_record(image_id=an_id(f"s{n}"), verdict="accepted") for n in range(9)])
    both = pl.concat([rare, synthetic]).sort("image_id")
    found = find_classes(both, 3)
    assert found.modelled == ("keratosis", "nevus")
    assert found.too_few == {"melanoma": 0}
    result = fit(both)
    assert result.summary["not_modelled"] == {"melanoma": 0}
    assert any("not modelled" in note for note in result.summary["notes"])
    assert find_classes(rows.filter(label="nevus"), 3).modelled == ()


def test_synthetic_images_are_learned_from_and_never_tested_on() -> None:
    """Planted: a synthetic row with split test is not evaluated, one in train is counted."""
    planted = to_frame([a_synthetic_record(image_id=an_id("s0"), split="test"), a_synthetic_record(image_id=an_id("s1"), split="train")])
    rows = split_rows(60)
    result = fit(pl.concat([rows, planted]).sort("image_id"))
    real_test = rows.filter(split="test")
    assert result.summary["test"]["images"] == real_test.height
    assert result.summary["test"]["patients"] == real_test["patient_id"].n_unique()
    assert result.summary["train"]["by_label"]["melanoma"]["synthetic"] == 1
    assert set(result.predictions["image_id"]) == set(rows.filter(pl.col("split").is_in(["val", "test"]))["image_id"])


def test_every_row_gets_an_uncertainty_unlabelled_ones_too() -> None:
    """1 - margin lies in 0 to 1, and images between two classes have the largest."""
    rows = split_rows(60).with_columns(label=pl.when(pl.col("image_id") == an_id(0)).then(None).otherwise("label"))
    result = fit(rows)
    table = result.uncertainty
    assert set(table["image_id"]) == set(rows["image_id"])
    assert table["uncertainty"].is_between(0, 1).all()
    assert table.filter(image_id=an_id(0))["label_issue_score"].item() is None
    assert table.filter(image_id=an_id(0))["uncertainty"].item() > table["uncertainty"].median()
    assert table["out_of_sample"].all()


def test_a_flipped_train_label_has_the_lowest_issue_scores() -> None:
    """Out-of-fold predictions do not believe a planted wrong label."""
    rows = with_task(split_rows(120))
    features = features_of(rows, noise=0.3)
    flipped = rows.filter((pl.col("split") == "train") & (pl.col("label") == "nevus"))["image_id"].head(2).to_list()
    wrong = rows.with_columns(label=pl.when(pl.col("image_id").is_in(flipped)).then(pl.lit("melanoma")).otherwise("label"))
    result = fit_task(wrong, features, find_classes(wrong, 3), SETTINGS)
    assert set(result.uncertainty.sort("label_issue_score")["image_id"].head(2)) == set(flipped)


def test_a_class_of_one_train_patient_has_no_issue_scores() -> None:
    """Whoever is held out leaves nobody to learn the class from: probability 0 would call every such label wrong."""
    rows = with_task(split_rows(60))
    alone = (pl.col("split") == "train") & (pl.col("label") == "melanoma")
    rows = rows.with_columns(pl.when(alone).then(pl.lit("only")).otherwise(name).alias(name) for name in ("patient_id", "group_id"))
    result = fit_task(rows, features_of(rows, noise=0.3), find_classes(rows, 3), SETTINGS)
    scores = rows.select("image_id", alone=alone).join(result.uncertainty, on="image_id")
    assert scores.filter("alone")["label_issue_score"].null_count() == scores["alone"].sum() > 2
    assert scores.filter(~pl.col("alone"))["label_issue_score"].null_count() == 0


def test_test_images_influence_nothing_but_their_own_numbers() -> None:
    """The probe is the same to the bit when all test features change."""
    rows = with_task(split_rows(60))
    features, classes = features_of(rows), find_classes(rows, 3)
    changed = features.copy()
    changed[(rows["split"] == "test").to_numpy()] = 99
    first, second = fit_task(rows, features, classes, SETTINGS).probe, fit_task(rows, changed, classes, SETTINGS).probe
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.projection.mean, second.projection.mean)
    assert first.classes == CLASSES


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    """Macro AUPRC and its interval are those of the same images in another order."""
    rows = with_task(split_rows(60))
    features, classes = features_of(rows, noise=0.8), find_classes(rows, 3)
    order = np.random.default_rng(seed).permutation(rows.height)
    first = fit_task(rows, features, classes, SETTINGS).summary
    second = fit_task(rows[order.tolist()], features[order], classes, SETTINGS).summary
    np.testing.assert_allclose(first["macro"]["auprc"], second["macro"]["auprc"], atol=5e-3)
