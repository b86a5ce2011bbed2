"""Is a new model better than an old one? The paired patient bootstrap on the test images that both have seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from adaptation.evaluate import resampled
from adaptation.metrics import LEAST_PATIENTS, Floats, auprc, macro
from curation.resampling import interval, resample_patients

Word = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class ModelDifference:
    """New minus old AUPRC of one class, or of the macro average (`label` None), on the same images with the same labels.

    `interval` is the 95 % percentile interval of the difference over resampled patients; None: too few patients. `word` is "better" or
    "worse" only when the interval leaves out 0.
    """

    task: str
    label: str | None
    images: int
    patients: int
    old: float | None
    new: float | None
    difference: float | None
    interval: tuple[float, float] | None
    word: Word


def compare_models(old: Path, new: Path, draws: int = 1000, seed: int = 0) -> list[ModelDifference]:
    """Compare two finished models on their common real test images.

    Labels are those of the newer predictions: when experts corrected one in between, both models are judged by the correction.

    Args:
        old: folder (or metrics.json) of the older model.
        new: folder (or metrics.json) of the newer model.
        draws: patient resamples.
        seed: of the resamples.

    Returns:
        One row a class that both model, then the macro average, for each task that both have.
    """
    classes = [_classes(folder) for folder in (old, new)]
    pairs = _pair(_test_predictions(old), _test_predictions(new))
    found: list[ModelDifference] = []
    for task in sorted(set(classes[0]) & set(classes[1])):
        shared = [name for name in classes[1][task] if name in classes[0][task]]
        rows = pairs.filter((pl.col("task") == task) & pl.col("label").is_in(shared))
        if rows.height:
            found += _compare_task(task, rows, shared, (classes[0][task], classes[1][task]), draws, seed)
    return found


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _classes(path: Path) -> dict[str, list[str]]:
    metrics = json.loads((_folder(path) / "metrics.json").read_text())
    return {task: summary["classes"] for task, summary in metrics["tasks"].items()}


def _test_predictions(path: Path) -> pl.DataFrame:
    return pl.read_parquet(_folder(path) / "predictions.parquet").filter(split="test")


def _pair(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the images that both predicted, with the new labels and both probabilities."""
    return new.join(old.select("image_id", "task", old_probabilities="probabilities"), on=["image_id", "task"], how="inner").sort("image_id")


def _compare_task(task: str, rows: pl.DataFrame, shared: list[str], classes: tuple[list[str], list[str]], draws: int, seed: int) -> list[ModelDifference]:
    """Return the differences of all shared classes and of their macro average."""
    labels, patients = np.array(rows["label"].to_list()), np.array(rows["patient"].to_list())
    before, after = np.array(rows["old_probabilities"].to_list()), np.array(rows["probabilities"].to_list())
    weights = resample_patients(patients, draws, seed).astype(np.uint16)
    found: list[ModelDifference] = []
    olds: list[tuple[Floats, Floats]] = []
    news: list[tuple[Floats, Floats]] = []
    for name in shared:
        is_class = labels == name
        olds.append(_both(is_class, before[:, classes[0].index(name)], weights))
        news.append(_both(is_class, after[:, classes[1].index(name)], weights))
        found.append(_difference(task, name, int(is_class.sum()), len(np.unique(patients[is_class])), olds[-1], news[-1]))
    old_macro, new_macro = ((macro([value for value, _ in side]), macro([spread for _, spread in side])) for side in (olds, news))
    return [*found, _difference(task, None, len(labels), len(np.unique(patients)), old_macro, new_macro)]


def _both(is_class: npt.NDArray[np.bool_], score: npt.NDArray[Any], weights: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the AUPRC and its values in all resamples."""
    return auprc(is_class, score), resampled(lambda weight: auprc(is_class, score, weight), weights)


def _difference(task: str, label: str | None, images: int, patients: int, old: tuple[Floats, Floats], new: tuple[Floats, Floats]) -> ModelDifference:
    if not np.isfinite(old[0]):
        return ModelDifference(task, label, images, patients, None, None, None, None, "no difference shown")
    bounds = interval(new[1] - old[1]) if patients >= LEAST_PATIENTS else None
    word: Word = "no difference shown"
    if bounds and bounds[0] > 0:
        word = "better"
    elif bounds and bounds[1] < 0:
        word = "worse"
    return ModelDifference(task, label, images, patients, float(old[0]), float(new[0]), float(new[0] - old[0]), bounds, word)
