"""The probe learns, is chosen on val, survives the disk, and says how it was chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adaptation.probe import Part, Probe, choose_strength, fit_probe, fit_projection, load_probes, predict_out_of_fold, save_probes
from curation.errors import IntegrityError

STRENGTHS = (1e-4, 1e-2, 1.0)


def a_part(n: int, classes: tuple[str, ...] = ("a", "b", "c"), seed: int = 0) -> Part:
    """Return `n` images, two a patient, of classes that take turns, 6 features."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) // 2 % len(classes)
    features = rng.normal(0, 0.6, (n, 6)).astype(np.float32)
    features[np.arange(n), codes] += 2
    return Part(features, np.array(classes)[codes], np.array([f"{seed}-{number // 2}" for number in range(n)]))


def a_probe(classes: tuple[str, ...] = ("a", "b", "c")) -> Probe:
    """Return a fitted probe."""
    train = a_part(60, classes)
    return fit_probe(train.features, train.labels, classes, fit_projection(train.features, 4), 1.0)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_a_probe_is_the_logistic_regression_of_scikit_learn(classes: tuple[str, ...]) -> None:
    """Probabilities equal predict_proba on the same projected features, for two classes and for more."""
    from sklearn.linear_model import LogisticRegression

    train, val = a_part(60, classes), a_part(30, classes, seed=1)
    projection = fit_projection(train.features, 4)
    assert projection.components.shape == (4, 6)
    own = fit_probe(train.features, train.labels, classes, projection, 0.5).predict(val.features)
    theirs = LogisticRegression(C=0.5, tol=1e-3, max_iter=500).fit(projection.apply(train.features).astype(np.float64), train.labels)
    np.testing.assert_allclose(own, theirs.predict_proba(projection.apply(val.features).astype(np.float64)), atol=1e-5)
    assert (np.array(classes)[own.argmax(1)] == val.labels).mean() > 0.9


def test_fewer_images_than_components_are_fine() -> None:
    """At most N - 1 components; a constant feature does no harm."""
    features = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    features[:, 3] = 7
    projection = fit_projection(features, 256)
    assert projection.components.shape == (4, 40)
    assert np.isfinite(projection.apply(features)).all()


def test_a_probe_survives_the_disk(tmp_path: Path) -> None:
    """Write, read, predict the same; the file is safetensors with metadata."""
    probe, features = a_probe(), a_part(10, seed=2).features
    save_probes({"colour-2d": probe}, tmp_path / "model.safetensors", {"version": "data-v1"})
    again = load_probes(tmp_path / "model.safetensors")["colour-2d"]
    np.testing.assert_array_equal(again.predict(features), probe.predict(features))
    assert (again.classes, again.strength) == (probe.classes, probe.strength)
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(IntegrityError):
        load_probes(tmp_path / "model.safetensors")


def test_the_strength_is_chosen_on_val_and_otherwise_the_rule_says_how() -> None:
    """Val decides; with one class in val folds of train do; with one patient a class nothing does."""
    train, nothing = a_part(60), a_part(0)
    projection = fit_projection(train.features, 4)
    names = ("a", "b", "c")
    by_val = choose_strength(train, a_part(30, seed=1), names, projection, STRENGTHS, 0)
    assert by_val.rule == "macro AUPRC on val"
    assert by_val.scores is not None
    assert by_val.scores[f"{by_val.strength:g}"] == max(by_val.scores.values())
    assert "2 of 3 classes" in choose_strength(train, a_part(30, ("a", "b"), seed=1), names, projection, STRENGTHS, 0).rule
    assert "cross-validation" in choose_strength(train, nothing, names, projection, STRENGTHS, 0).rule
    alone = Part(train.features, train.labels, np.full(60, "one patient"))
    assert choose_strength(alone, nothing, names, projection, STRENGTHS, 0) == choose_strength(alone, nothing, names, projection, STRENGTHS, 1)
    assert choose_strength(alone, nothing, names, projection, STRENGTHS, 0).strength == 1e-2


def test_out_of_fold_predictions_expose_a_wrong_label() -> None:
    """Every planted flip has a low probability of its given label; the same patient never trains on itself."""
    train = a_part(120)
    labels = train.labels.copy()
    labels[[0, 1, 60, 61]] = "b"
    held_out = predict_out_of_fold(train.features, labels, train.groups, ("a", "b", "c"), fit_projection(train.features, 6), 0.1, 0)
    assert held_out is not None
    assert held_out.knows_label.all()
    probabilities = held_out.probabilities
    given = probabilities[np.arange(120), [("a", "b", "c").index(name) for name in labels]]
    flipped = labels != train.labels
    assert given[flipped].max() < np.median(given[~flipped])
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_out_of_fold_predictions_never_come_from_a_probe_that_saw_the_patient() -> None:
    """Features that only name the patient tell nothing about other patients: with random labels, out-of-fold predictions are at chance."""
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(40), 5)
    labels = np.array(("a", "b"))[rng.permutation(np.arange(40) % 2)][patients]
    features = np.eye(40, dtype=np.float32)[patients]
    held_out = predict_out_of_fold(features, labels, patients.astype(str), ("a", "b"), fit_projection(features, 40), 1.0, 0)
    assert held_out is not None
    right = np.array(("a", "b"))[held_out.probabilities.argmax(1)] == labels
    assert right.mean() < 0.7
