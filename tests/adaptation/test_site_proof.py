"""A planted site effect: found, taken away by ComBat, and the label measured beside it; a harm is called a harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from adaptation.encoders import Features
from adaptation.metrics import auroc
from adaptation.recipe import FinetuneSettings
from adaptation.site_correction import fit_correction, load_correction
from adaptation.site_proof import COMBAT, Effect, SiteProof, grouped_auroc, judge, prove_task
from curation.errors import UsageError
from tests.builders import a_manifest

SETTINGS = FinetuneSettings(bootstrap=200, pca=16, combat="site")
PATIENTS = 240
DIMENSION = 24


def a_planted_cohort(share_south: tuple[float, float] = (0.5, 0.5), site_effect: float = 2.0, seed: int = 0) -> tuple[pl.DataFrame, Features]:
    """Return rows of two sites and their features: each site has its own shift and spread, the label its own direction.

    Args:
        share_south: how many of the patients of each label come from the southern site.
        site_effect: size of the planted shift, in deviations of a feature.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    rows = a_manifest(PATIENTS, images_per_patient=1, labels=("nevus", "melanoma"))
    sick = (rows["label"] == "melanoma").to_numpy()
    south = rng.random(rows.height) < np.where(sick, share_south[1], share_south[0])
    side = rng.choice(["train", "val", "test"], rows.height, p=[0.5, 0.2, 0.3])
    rows = rows.with_columns(site=pl.Series(np.where(south, "south", "north")), split=pl.Series(side))
    label, shift, spread = (rng.normal(0, 1, DIMENSION) for _ in range(3))
    features = rng.normal(0, 1, (rows.height, DIMENSION)) + np.outer(sick, 0.5 * label)
    features[south] = features[south] * np.exp(0.3 * spread) + site_effect * shift
    return rows, features.astype(np.float32)


def find(proof: SiteProof, target: str, variant: str) -> Effect:
    """Return one effect."""
    return next(effect for effect in proof.effects if (effect.target, effect.variant) == (target, variant))


def test_the_planted_site_is_found_and_taken_away_and_the_label_stays() -> None:
    """Before: the site is told perfectly. After ComBat: by chance, and the label no worse."""
    rows, features = a_planted_cohort()
    proof = prove_task("colour-2d", rows, {"harmonized pixels": features}, "label", SETTINGS)
    before, after = find(proof, "site", "harmonized pixels"), find(proof, "site", COMBAT)
    assert before.auroc[0] > 0.98
    assert after.auroc[0] < 0.7
    assert after.change is not None
    assert after.change[2] < 0
    label = find(proof, "label", COMBAT)
    assert label.auroc[0] > 0.8
    assert label.change is not None
    assert label.change[2] > 0
    assert proof.cramers_v < 0.3
    assert not proof.warnings
    assert any("told less well" in sentence for sentence in proof.verdicts)
    assert not any("HURT" in sentence for sentence in proof.verdicts)


def test_a_confounded_site_is_warned_of() -> None:
    """Nine of ten melanomas come from the south: the label probe may read the site, and the report says so."""
    rows, features = a_planted_cohort(share_south=(0.1, 0.9))
    proof = prove_task("colour-2d", rows, {"harmonized pixels": features}, "label", SETTINGS)
    assert proof.cramers_v > 0.6
    assert "confounded" in proof.warnings[0]
    assert "melanoma at south" in proof.warnings[0]
    within = find(proof, "label within sites", "harmonized pixels")
    assert within.auroc[0] < find(proof, "label", "harmonized pixels").auroc[0]


def test_a_rare_label_that_a_site_lacks_is_warned_of() -> None:
    """No melanoma in the south, though a dozen were expected: Cramér's V alone would stay silent."""
    rows, features = a_planted_cohort(share_south=(0.4, 0.4))
    is_sick = (pl.col("site") == "north") & (pl.int_range(pl.len()).over("site") < 24)
    rows = rows.with_columns(label=pl.when(is_sick).then(pl.lit("melanoma")).otherwise(pl.lit("nevus")))
    proof = prove_task("colour-2d", rows, {"harmonized pixels": features}, "label", SETTINGS)
    assert proof.cramers_v < 0.3
    assert "no melanoma at south" in proof.warnings[0]


def test_a_site_that_decides_the_label_leaves_no_combat() -> None:
    """Everything that could be taken away might be the label; nothing is."""
    rows, features = a_planted_cohort(share_south=(0.0, 1.0))
    proof = prove_task("colour-2d", rows, {"harmonized pixels": features}, "label", SETTINGS)
    assert any("no ComBat" in warning for warning in proof.warnings)
    assert {effect.variant for effect in proof.effects} == {"harmonized pixels"}


def test_a_step_that_destroys_the_label_is_called_a_harm() -> None:
    """The second variant is noise: its label cannot be told any more, and the verdict says HURT."""
    rows, features = a_planted_cohort()
    noise = np.random.default_rng(1).normal(0, 1, features.shape).astype(np.float32)
    proof = prove_task("colour-2d", rows, {"plain pixels": features, "harmonized pixels": noise}, "label", SETTINGS)
    assert any("plain pixels → harmonized pixels: the label is HURT" in sentence for sentence in proof.verdicts)


def test_test_rows_change_no_parameter(tmp_path: Path) -> None:
    """Other features, labels and sites of val and test: the same fitted bytes. Another train row: others."""
    rows, features = a_planted_cohort()
    held_out = (rows["split"] != "train").to_numpy()
    fit_correction(rows, features, SETTINGS).save(tmp_path / "one")
    other = features.copy()
    other[held_out] = 1000
    turned = rows.with_columns(
        label=pl.when(pl.Series(held_out)).then(pl.lit("nevus")).otherwise("label"), site=pl.when(pl.Series(held_out)).then(pl.lit("mars")).otherwise("site")
    )
    fit_correction(turned, other, SETTINGS).save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    other[~held_out] += np.eye(1, DIMENSION, dtype=np.float32)
    fit_correction(rows, other, SETTINGS).save(tmp_path / "three")
    assert (tmp_path / "one").read_bytes() != (tmp_path / "three").read_bytes()
    np.testing.assert_array_equal(load_correction(tmp_path / "one").apply(rows, features), fit_correction(rows, features, SETTINGS).apply(rows, features))


def test_the_label_of_a_test_image_does_not_touch_its_features() -> None:
    """Preserving the label must not write it into the features: swapped labels, equal answers."""
    rows, features = a_planted_cohort(share_south=(0.3, 0.7))
    correction = fit_correction(rows, features, SETTINGS)
    swapped = rows.with_columns(label=pl.when(pl.col("label") == "nevus").then(pl.lit("melanoma")).otherwise(pl.lit("nevus")))
    np.testing.assert_array_equal(correction.apply(rows, features), correction.apply(swapped, features))


def test_synthetic_images_have_no_site_and_stay() -> None:
    """Also when unseen sites are refused."""
    rows, features = a_planted_cohort()
    correction = fit_correction(rows, features, SETTINGS.model_copy(update={"combat_unseen": "refuse"}))
    made = rows.head(3).with_columns(origin=pl.lit("synthetic"), site=pl.lit(None, pl.String))
    np.testing.assert_array_equal(correction.apply(made, features[:3]), features[:3])
    with pytest.raises(UsageError, match="3 images"):
        correction.apply(made.with_columns(origin=pl.lit("acquired")), features[:3])


@pytest.mark.parametrize(("column", "reason"), [("site", "two sites"), ("label", "two labels")])
def test_what_cannot_be_measured_says_why(column: str, reason: str) -> None:
    """One site, or one label: no numbers, one sentence."""
    rows, features = a_planted_cohort()
    proof = prove_task("colour-2d", rows.with_columns(pl.lit("same").alias(column)), {"harmonized pixels": features}, "label", SETTINGS)
    assert not proof.effects
    assert reason in proof.warnings[0]


def test_verdicts_claim_nothing_that_the_interval_does_not_show() -> None:
    """An interval with 0 in it is no change, in either direction."""
    one = Effect("site", "a", 2, (0.9, 0.8, 1.0), (0.8, 0.7, 0.9), None)
    two = Effect("site", "b", 2, (0.8, 0.7, 0.9), (0.7, 0.6, 0.8), (-0.1, -0.2, 0.01))
    assert "not shown to be told less well" in judge((one, two), "site", "label")[0]
    worse = Effect("site", "b", 2, (0.95, 0.9, 1.0), (0.7, 0.6, 0.8), (0.05, 0.01, 0.1))
    assert "told BETTER" in judge((one, worse), "site", "label")[0]


def test_grouped_auroc_has_its_worked_value() -> None:
    """The docstring's example."""
    truth, groups = np.array(["a", "b", "a", "b"]), np.array(["1", "1", "2", "2"])
    chances = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4]], np.float32)
    assert grouped_auroc(truth, chances, ("a", "b"), groups) == pytest.approx(0.5)
    assert grouped_auroc(truth, chances, ("a", "b"), np.full(4, "")) == pytest.approx(0.75)


def test_auroc_has_its_worked_value_and_counts_ties_half() -> None:
    """The docstring's example, ties, weights as repetitions, and one kind only."""
    is_class, score = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])
    assert auroc(is_class, score) == pytest.approx(0.75)
    assert auroc(is_class, np.full(4, 0.5)) == pytest.approx(0.5)
    weights = np.array([[1, 1, 1, 1], [2, 1, 0, 3]])
    repeated = np.repeat(np.arange(4), weights[1])
    assert auroc(is_class, score, weights)[1] == pytest.approx(float(auroc(is_class[repeated], score[repeated])))
    assert np.isnan(auroc(np.array([True, True]), score[:2]))
