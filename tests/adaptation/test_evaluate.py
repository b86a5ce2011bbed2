"""Evaluation states intervals where there is something to resample, and the reason where there is not."""

from __future__ import annotations

import json

import numpy as np

from adaptation.evaluate import evaluate

CLASSES = ("a", "b", "rare", "absent")


def an_evaluation(images: int = 80) -> dict[str, object]:
    """Return the evaluation of a good classifier on `images` images, two a patient; only one patient has the class `rare`."""
    rng = np.random.default_rng(0)
    codes = np.arange(images) // 2 % 2
    codes[:2] = 2
    scores = rng.normal(0, 1, (images, 4))
    scores[np.arange(images), codes] += 2.5
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    patients = np.array([f"p{number // 2}" for number in range(images)])
    return evaluate(probabilities.astype(np.float32), np.array(CLASSES)[codes], patients, CLASSES, 200, 0)


def test_every_value_lies_in_its_interval_and_is_json() -> None:
    """[value, low, high] with low <= value <= high for classes with patients."""
    result = json.loads(json.dumps(an_evaluation(), allow_nan=False))
    for name in ("a", "b"):
        for kind in ("auprc", "recall", "f1"):
            value, low, high = result["per_class"][name][kind]
            assert low <= value <= high
        assert result["per_class"][name]["no_interval"] is None
    for triple in (*result["macro"].values(), result["balanced_accuracy"], result["ece"]):
        assert triple[1] < triple[2]
    assert result["test"] == {"images": 80, "patients": 40, "by_label": {"a": 38, "b": 40, "rare": 2, "absent": 0}}


def test_one_patient_gives_a_value_without_interval_and_the_reason() -> None:
    """A class of one test patient, and one of none."""
    result = json.loads(json.dumps(an_evaluation()))
    rare, absent = result["per_class"]["rare"], result["per_class"]["absent"]
    assert rare["auprc"][0] is not None
    assert rare["auprc"][1:] == [None, None]
    assert "one test patient" in rare["no_interval"]
    assert absent["auprc"] == [None, None, None]
    assert "no test patient" in absent["no_interval"]


def test_a_tiny_test_set_is_said_to_be_tiny() -> None:
    """Below 30 patients nobody should read the numbers as a result; above, rare classes are named."""
    assert "tiny" in str(an_evaluation(20)["warning"])
    assert "rare" in str(an_evaluation(80)["warning"])


def test_no_test_images_at_all_is_an_answer_too() -> None:
    """All numbers are None."""
    result = evaluate(np.zeros((0, 4), np.float32), np.array([], dtype=np.str_), np.array([], dtype=np.str_), CLASSES, 100, 0)
    assert result["macro"]["auprc"] == [None, None, None]
    assert result["balanced_accuracy"] == [None, None, None]
