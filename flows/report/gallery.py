"""Pictures of the gallery: a few real and synthetic images of each class, drawn by rule and not by looks."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from curation.modalities import with_task
from curation.pixels import encode_png
from curation.versions import Version

SIDE_PX = 144
SHOWN = 6
MOST_CLASSES = 12


@dataclass(frozen=True)
class Picture:
    """One image of the gallery: a data URI and what stands below it."""

    uri: str
    image_id: str
    split: str
    seed: int | None
    screens: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True)
class Shelf:
    """The pictures of one class: real ones, synthetic ones, the real train image that each of those is nearest to, and the one that it was made from.

    The last are left out where no synthetic image was made from a real one.
    """

    task: str
    label: str
    real: tuple[Picture, ...]
    synthetic: tuple[Picture, ...]
    nearest: tuple[Picture | None, ...]
    parents: tuple[Picture | None, ...]
    real_images: int
    synthetic_images: int


def draw_shelves(version: Version, rows: pl.DataFrame) -> list[Shelf]:
    """Return a shelf a class, those with synthetic images first; the pictures are the first by image_id, so nobody chose them."""
    labelled = with_task(rows.filter(pl.col("label").is_not_null()))
    made = (pl.col("origin") == "synthetic").sum()
    classes = labelled.group_by("task", "label").agg(made=made.cast(pl.Int64)).sort(-pl.col("made"), "task", "label").head(MOST_CLASSES)
    return [
        _shelf(version, rows, labelled.filter((pl.col("task") == task) & (pl.col("label") == label)), task, label) for task, label, *_ in classes.iter_rows()
    ]


def _shelf(version: Version, every: pl.DataFrame, rows: pl.DataFrame, task: str, label: str) -> Shelf:
    real = rows.filter(pl.col("origin") == "acquired").sort(pl.col("split") != "train", "image_id")
    made = rows.filter(pl.col("origin") == "synthetic").sort("image_id")
    pictures = [tuple(_picture(version, row) for row in part.head(SHOWN).iter_rows(named=True)) for part in (real, made)]
    shown = made.head(SHOWN)
    nearest = tuple(_find(version, every, _nearest(screens)) for screens in shown["screens"])
    has_parents = shown.filter(pl.col("parents").list.len() > 0).height > 0
    parents = tuple(_find(version, every, *names[:1]) for names in shown["parents"].fill_null([])) if has_parents else ()
    return Shelf(task, label, pictures[0], pictures[1], nearest, parents, real.height, made.height)


def _nearest(screens: str | None) -> str:
    """Return the id of the real train image that the memorization screen found nearest, or an empty one."""
    memorization = json.loads(screens).get("memorization", {}) if screens else {}
    return str(memorization.get("nearest", ""))


def _find(version: Version, rows: pl.DataFrame, image_id: str = "") -> Picture | None:
    """Return a real image, or None when this version does not hold it."""
    found = rows.filter((pl.col("image_id") == image_id) & (pl.col("origin") == "acquired"))
    return _picture(version, found.row(0, named=True)) if found.height else None


def _picture(version: Version, row: dict[str, Any]) -> Picture:
    from validation.review.render import fit, stretch, window_volume

    pixels = version.pixels(row)
    flat = window_volume(pixels[pixels.shape[0] // 2 :][:1], row["modality"])[0] if row["suffix"] == ".nii.gz" else stretch(pixels)
    uri = "data:image/png;base64," + base64.b64encode(encode_png(fit(flat, SIDE_PX))).decode()
    return Picture(uri, row["image_id"], row["split"] or "", row["seed"], read_screens(row["screens"]))


def read_screens(text: str | None) -> tuple[tuple[str, str, bool], ...]:
    """Return (name, value, passed) of every screen of a synthetic image."""
    results = json.loads(text) if text else {}
    return tuple((name, _value(result), bool(result.get("passed")) if isinstance(result, dict) else result is True) for name, result in sorted(results.items()))


def _value(result: Any) -> str:
    """Return the number that a screen looked at: a distance or a probability."""
    measured = [result[key] for key in ("feature_distance", "probability") if key in result] if isinstance(result, dict) else []
    return f"{measured[0]:.2f}" if measured else ""
