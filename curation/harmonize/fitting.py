"""What is fitted on train for the pixels of all images: Nyúl's landmarks, and references of stains. Applied only when the recipe names the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curation.errors import ImageError, UsageError
from curation.harmonize.foreground import find_foreground
from curation.harmonize.nyul import fit_nyul, landmarks_of
from curation.harmonize.stain_macenko import average_stains, fit_stains
from curation.harmonize.stain_reinhard import average_tones, fit_tone
from curation.manifest import write_bytes
from curation.modalities import FAMILIES
from curation.pixels import Pixels
from curation.progress import Progress, silent
from curation.recipe import MrSettings

Read = Callable[[dict[str, Any]], Pixels]


@dataclass(frozen=True)
class Fitted:
    """Parameters of one transform as the recipe takes them, and which train images they come from.

    Attributes:
        transform: nyul, stain_macenko or stain_reinhard.
        values: `[[percentile, value], …]`, or 8 (Macenko) or 6 (Reinhard) numbers.
        train_images: images that were used.
        left_out: train images that could not be.
        train_sha256: of their ids.
        settings: what else has to be the same when it is applied.
    """

    transform: str
    values: list[Any]
    train_images: int
    left_out: int
    train_sha256: str
    settings: dict[str, Any]


def fit_transforms(rows: pl.DataFrame, read: Read, mr: MrSettings, progress: Progress | None = None) -> list[Fitted]:
    """Fit every transform for which there are real train images.

    Args:
        rows: of a manifest, split; only real train rows are read.
        read: row to pixels before any fitted transform.
        mr: the foreground of MR.
        progress: told of every image.
    """
    train = rows.filter((pl.col("split") == "train") & (pl.col("origin") == "acquired")).sort("image_id")
    volumes = train.filter((pl.col("ndim") == 3) & (pl.col("value_unit") == "z"))
    colours = train.filter((pl.col("channels") == 3) & pl.col("modality").replace_strict(FAMILIES, default="gray").is_in(["colour"]))
    progress = progress or silent
    found = []
    if volumes.height:
        landmarks, used = _each(volumes, lambda row: _landmarks(read(row), row, mr), progress, "measuring volumes")
        found.append(_fitted("nyul", [list(pair) for pair in fit_nyul(landmarks)], used, volumes, {"foreground": mr.foreground, "bias_field": mr.bias_field}))
    if colours.height:
        stains, used = _each(colours, lambda row: fit_stains(read(row)), progress, "measuring stains")
        if used:
            average = average_stains(stains)
            found.append(_fitted("stain_macenko", _numbers(average.vectors.T, average.strengths), used, colours, {}))
        tones, used = _each(colours, lambda row: fit_tone(read(row)), progress, "measuring colours")
        tone = average_tones(tones)
        found.append(_fitted("stain_reinhard", _numbers(tone.mean, tone.deviation), used, colours, {}))
    return found


def _landmarks(volume: Pixels, row: dict[str, Any], mr: MrSettings) -> Any:
    return landmarks_of(volume[find_foreground(volume, mr.foreground, tuple(row["spacing_mm"]))])


def _each(rows: pl.DataFrame, measure: Callable[[dict[str, Any]], Any], progress: Progress, what: str) -> tuple[list[Any], list[str]]:
    """Return the measures of all rows that can be measured, and their ids."""
    measured, used = [], []
    for place, row in enumerate(rows.iter_rows(named=True)):
        progress(place, rows.height, what)
        try:
            measured.append(measure(row))
        except ImageError:
            continue
        used.append(row["image_id"])
    return measured, used


def _numbers(*parts: Any) -> list[float]:
    return [round(float(number), 6) for number in np.concatenate([np.ravel(part) for part in parts])]


def _fitted(transform: str, values: list[Any], used: list[str], rows: pl.DataFrame, settings: dict[str, Any]) -> Fitted:
    return Fitted(transform, values, len(used), rows.height - len(used), hashlib.sha256("\n".join(used).encode()).hexdigest(), settings)


def save_fitted(fitted: Fitted, folder: Path) -> Path:
    """Write `<folder>/<transform>.json` and return its path."""
    path = folder / f"{fitted.transform}.json"
    write_bytes((json.dumps(fitted.__dict__, indent=1, sort_keys=True) + "\n").encode(), path)
    return path


def read_fitted(path: Path) -> list[Any]:
    """Return the values of a file of `save_fitted`.

    Raises:
        UsageError: there is no such file, or it is not one.
    """
    try:
        values: list[Any] = json.loads(path.read_text())["values"]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; `curaloop harmonize --fit` writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a file of `curaloop harmonize --fit`") from error
    return values
