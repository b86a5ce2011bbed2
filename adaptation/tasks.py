"""One learning task of a dataset version: which classes can be modelled, its probe, its evaluation, what the model is unsure of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from adaptation.encoders import Features
from adaptation.evaluate import evaluate
from adaptation.probe import Labels, Part, Probabilities, Probe, choose_strength, fit_probe, fit_projection, predict_out_of_fold
from adaptation.recipe import FinetuneSettings

UNCERTAINTY_SCHEMA = pl.Schema(
    {"image_id": pl.String, "task": pl.String, "predicted": pl.String, "confidence": pl.Float64, "uncertainty": pl.Float64}
    | {"label_issue_score": pl.Float64, "out_of_sample": pl.Boolean}
)
PREDICTIONS_SCHEMA = pl.Schema(
    {"image_id": pl.String, "patient": pl.String, "task": pl.String, "split": pl.String, "label": pl.String, "predicted": pl.String}
    | {"label_probability": pl.Float64, "confidence": pl.Float64, "probabilities": pl.List(pl.Float64)}
)


@dataclass(frozen=True)
class Classes:
    """Which classes of a task are modelled, and how many real train images those have that are not."""

    modelled: tuple[str, ...]
    too_few: dict[str, int]


@dataclass(frozen=True)
class TaskResult:
    """What one task gives. `summary` goes into metrics.json; the tables have `UNCERTAINTY_SCHEMA` and `PREDICTIONS_SCHEMA`."""

    probe: Probe
    summary: dict[str, Any]
    uncertainty: pl.DataFrame
    predictions: pl.DataFrame


def find_classes(rows: pl.DataFrame, least_train_images: int) -> Classes:
    """Return the classes of one task's rows that have enough real train images; fewer than two such classes are none."""
    is_real_train = (pl.col("split") == "train") & (pl.col("origin") == "acquired")
    counts = rows.drop_nulls("label").group_by("label").agg(real=is_real_train.sum()).sort("label")
    real = dict(zip(counts["label"].to_list(), counts["real"].to_list(), strict=True))
    modelled = tuple(name for name, images in real.items() if images >= least_train_images)
    if len(modelled) < 2:
        return Classes((), real)
    return Classes(modelled, {name: images for name, images in real.items() if name not in modelled})


def fit_task(rows: pl.DataFrame, features: Features, classes: Classes, settings: FinetuneSettings) -> TaskResult:
    """Fit, choose on val, evaluate on real test patients, and predict every row of one task.

    Args:
        rows: rows of one task with a column `task`, labelled or not.
        features: `(N, F)` of the rows.
        classes: from `find_classes`.
        settings: the recipe's part.
    """
    rows = rows.with_columns(group=pl.coalesce("group_id", "patient_id"), known=pl.col("label").is_in(classes.modelled).fill_null(False))
    is_real = pl.col("origin") == "acquired"
    is_train = _mask(rows, pl.col("known") & (pl.col("split") == "train"))
    is_test = _mask(rows, pl.col("known") & (pl.col("split") == "test") & is_real)
    train, val = _part(rows, features, is_train), _part(rows, features, _mask(rows, pl.col("known") & (pl.col("split") == "val") & is_real))
    names = classes.modelled
    projection = fit_projection(train.features, settings.pca)
    choice = choose_strength(train, val, names, projection, settings.strengths, settings.seed)
    probe = fit_probe(train.features, train.labels, names, projection, choice.strength)
    probabilities = probe.predict(features)
    held_out = predict_out_of_fold(train.features, train.labels, train.groups, names, projection, choice.strength, settings.seed)
    honest, knows_label = probabilities.copy(), np.ones(rows.height, np.bool_)
    if held_out is not None:
        honest[is_train], knows_label[is_train] = held_out
    test = _part(rows, features, is_test)
    evaluation = evaluate(probabilities[is_test], test.labels, test.groups, names, settings.bootstrap, settings.seed)
    summary = {
        "classes": list(names),
        "strength": choice.strength,
        "strength_rule": choice.rule,
        "strength_scores": choice.scores,
        "components": len(projection.components),
        "train": _count_train(rows.filter(is_train), names),
        "val": {"images": len(val.labels), "patients": len(np.unique(val.groups))},
        **evaluation,
        "not_modelled": classes.too_few,
        "notes": _notes(rows, classes, held_out is not None),
    }
    uncertainty = _tell_uncertainty(rows, honest, names, ~is_train | (held_out is not None), knows_label)
    return TaskResult(probe, summary, uncertainty, _tell_predictions(rows, probabilities, names))


def _mask(rows: pl.DataFrame, condition: pl.Expr) -> npt.NDArray[np.bool_]:
    return rows.select(condition.fill_null(False)).to_series().to_numpy()


def _part(rows: pl.DataFrame, features: Features, mask: npt.NDArray[np.bool_]) -> Part:
    chosen = rows.filter(mask)
    return Part(features[mask], _strings(chosen["label"]), _strings(chosen["group"]))


def _strings(column: pl.Series) -> Labels:
    return np.array(column.to_list(), dtype=np.str_)


def _count_train(rows: pl.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return what the probe learned from: real and synthetic images of each class, real patients."""
    real, synthetic = rows.filter(pl.col("origin") == "acquired"), rows.filter(pl.col("origin") == "synthetic")
    by_label = {name: {"real": real.filter(label=name).height, "synthetic": synthetic.filter(label=name).height} for name in classes}
    return {"images": rows.height, "synthetic": synthetic.height, "patients": real["group"].n_unique(), "by_label": by_label}


def _notes(rows: pl.DataFrame, classes: Classes, has_folds: bool) -> list[str]:
    """Return what a reader of the numbers should know."""
    notes = []
    left_out = rows.filter((pl.col("split") == "test") & (pl.col("origin") == "acquired") & pl.col("label").is_in(list(classes.too_few)))
    if left_out.height:
        notes.append(f"{left_out.height} test images of classes that are not modelled are not in these numbers")
    if not has_folds:
        notes.append("train images have too few patients for out-of-fold predictions: their uncertainties come from a model that saw them")
    return notes


def _tell_uncertainty(
    rows: pl.DataFrame, probabilities: Probabilities, classes: tuple[str, ...], out_of_sample: npt.NDArray[np.bool_], knows_label: npt.NDArray[np.bool_]
) -> pl.DataFrame:
    """Return one row an image: uncertainty is 1 - (highest - second highest probability); label_issue_score the probability of the given label.

    No label_issue_score where the probe that judged the image had never seen its class: its 0 would call every such label wrong.
    """
    given = _of_label(rows, probabilities, classes)
    ordered = np.sort(probabilities.astype(np.float64), axis=1)
    columns = {
        "image_id": rows["image_id"],
        "task": rows["task"],
        "predicted": [classes[code] for code in probabilities.argmax(1)],
        "confidence": ordered[:, -1],
        "uncertainty": np.clip(1 - (ordered[:, -1] - ordered[:, -2]), 0, 1),
        "label_issue_score": [score if known else None for score, known in zip(given, knows_label, strict=True)],
        "out_of_sample": out_of_sample,
    }
    return pl.DataFrame(columns, schema=UNCERTAINTY_SCHEMA)


def _of_label(rows: pl.DataFrame, probabilities: Probabilities, classes: tuple[str, ...]) -> list[float | None]:
    """Return the probability of each row's label, None without a modelled one."""
    places = {name: code for code, name in enumerate(classes)}
    return [float(row[places[label]]) if label in places else None for row, label in zip(probabilities, rows["label"], strict=True)]


def _tell_predictions(rows: pl.DataFrame, probabilities: Probabilities, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return one row a real labelled val or test image: the evidence behind the metrics."""
    table = pl.DataFrame(
        {
            "image_id": rows["image_id"],
            "patient": rows["group"],
            "task": rows["task"],
            "split": rows["split"],
            "label": rows["label"],
            "predicted": [classes[code] for code in probabilities.argmax(1)],
            "label_probability": _of_label(rows, probabilities, classes),
            "confidence": probabilities.max(1).astype(np.float64),
            "probabilities": probabilities.astype(np.float64).tolist(),
        },
        schema=PREDICTIONS_SCHEMA,
    )
    return table.filter(rows["known"] & rows["split"].is_in(["val", "test"]) & (rows["origin"] == "acquired"))
