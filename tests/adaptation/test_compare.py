"""Two models are compared on the same patients, and only a shown difference is called one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from adaptation.compare import compare_models
from adaptation.tasks import PREDICTIONS_SCHEMA

CLASSES = ["a", "b"]


def a_model(folder: Path, skill: float, patients: int = 60, shift: int = 0, classes: list[str] | None = None, seed: int = 0) -> Path:
    """Write predictions on one test image of each patient; `skill` 0 is chance. Noise is the same for the same image and seed."""
    names = classes or CLASSES
    folder.mkdir()
    codes = (np.arange(patients) + shift) % 2
    noise = np.random.default_rng(seed).normal(0, 1, 500)[shift : shift + patients]
    score = 1 / (1 + np.exp(-(noise + skill * (2 * codes - 1))))
    probabilities = np.stack([1 - score, score] + [np.zeros(patients)] * (len(names) - 2), axis=1)
    table = pl.DataFrame(
        {
            "image_id": [f"i{n + shift}" for n in range(patients)],
            "patient": [f"p{n + shift}" for n in range(patients)],
            "task": "colour-2d",
            "split": "test",
            "label": [CLASSES[code] for code in codes],
            "predicted": [CLASSES[code] for code in probabilities[:, :2].argmax(1)],
            "label_probability": probabilities[np.arange(patients), codes],
            "confidence": probabilities.max(1),
            "probabilities": probabilities.tolist(),
        },
        schema=PREDICTIONS_SCHEMA,
    )
    table.write_parquet(folder / "predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps({"tasks": {"colour-2d": {"classes": names}}}))
    return folder


def test_a_better_model_is_called_better_and_the_reverse_worse(tmp_path: Path) -> None:
    """A planted gain is found in each class and in the macro average, in both directions."""
    weak, strong = a_model(tmp_path / "weak", 0.3), a_model(tmp_path / "strong", 2.0)
    found = compare_models(weak, strong / "metrics.json", draws=300)
    assert [row.label for row in found] == ["a", "b", None]
    assert {row.word for row in found} == {"better"}
    assert {row.word for row in compare_models(strong, weak, draws=300)} == {"worse"}
    for row in found:
        assert row.interval is not None
        assert row.difference is not None
        assert row.interval[0] <= row.difference <= row.interval[1]


def test_a_model_compared_with_itself_shows_no_difference(tmp_path: Path) -> None:
    """The difference is 0 and so is its interval."""
    one = a_model(tmp_path / "one", 1.0)
    assert {(row.difference, row.interval, row.word) for row in compare_models(one, one, draws=100)} == {(0.0, (0.0, 0.0), "no difference shown")}


def test_models_of_equal_skill_are_not_called_better_or_worse(tmp_path: Path) -> None:
    """Other errors give another number; the interval holds 0, so nothing is shown, whichever came first."""
    one, other = a_model(tmp_path / "one", 1.0), a_model(tmp_path / "other", 1.0, seed=1)
    found = compare_models(one, other, draws=300) + compare_models(other, one, draws=300)
    assert all(row.difference and row.interval and row.interval[0] < 0 < row.interval[1] for row in found)
    assert {row.word for row in found} == {"no difference shown"}


def test_only_common_images_and_classes_count(tmp_path: Path) -> None:
    """40 of 60 patients are in both; a class that one model lacks is not compared."""
    old, new = a_model(tmp_path / "old", 1.0), a_model(tmp_path / "new", 1.0, shift=20, classes=["a", "b", "c"])
    found = compare_models(old, new, draws=100)
    assert [row.label for row in found] == ["a", "b", None]
    assert found[-1].images == found[-1].patients == 40
