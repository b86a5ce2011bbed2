"""What is fitted for pixels sees train rows only, and survives the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curation.errors import UsageError
from curation.harmonize.fitting import fit_transforms, read_fitted, save_fitted
from curation.harmonize.plain import plain_settings, unfitted_settings
from curation.pixels import Pixels
from curation.recipe import ColourSettings, HarmonizeSettings, MrSettings
from tests.builders import a_manifest


def rows_and_pixels(others: float = 0.0) -> tuple[pl.DataFrame, dict[str, Pixels]]:
    """Return 12 MR volumes and 12 colour images, half of them train; `others` is added to all pixels outside train."""
    volumes = a_manifest(12, modality="MR", ndim=3, channels=1, value_unit="z", dtype="float32", spacing_mm=[1.0, 1.0, 1.0], suffix=".nii.gz")
    rows = pl.concat([volumes, a_manifest(12, start=12)])
    rows = rows.with_columns(split=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("train")).otherwise(pl.lit("test")))
    rng, pixels = np.random.default_rng(0), {}
    for row in rows.iter_rows(named=True):
        made = rng.normal(0, 1, (6, 10, 10)).astype(np.float32) if row["ndim"] == 3 else rng.integers(20, 200, (12, 12, 3)).astype(np.uint8)
        pixels[row["image_id"]] = made if row["split"] == "train" else (made + others).astype(made.dtype)
    return rows, pixels


def fit(others: float) -> list[Any]:
    """Return what is fitted."""
    rows, pixels = rows_and_pixels(others)
    return fit_transforms(rows, lambda row: pixels[row["image_id"]], MrSettings())


def test_test_images_change_no_parameter() -> None:
    """Other pixels outside train, equal values."""
    assert fit(0.0) == fit(50.0)
    assert {fitted.transform: fitted.train_images for fitted in fit(0.0)} == {"nyul": 6, "stain_macenko": 6, "stain_reinhard": 6}


def test_the_recipe_takes_what_was_written(tmp_path: Path) -> None:
    """The values of each file are valid settings."""
    values = {fitted.transform: read_fitted(save_fitted(fitted, tmp_path)) for fitted in fit(0.0)}
    assert MrSettings(intensity="nyul", nyul=values["nyul"]).nyul[5][0] == 50.0
    assert len(ColourSettings(stain="macenko", stain_reference=values["stain_macenko"]).stain_reference) == 8
    assert len(ColourSettings(stain="reinhard", stain_reference=values["stain_reinhard"]).stain_reference) == 6
    (tmp_path / "broken.json").write_text("[]")
    with pytest.raises(UsageError, match="is not a file"):
        read_fitted(tmp_path / "broken.json")


def test_plain_and_unfitted_recipes_leave_out_what_they_say() -> None:
    """Sizes and grids stay."""
    settings = HarmonizeSettings(
        mr=MrSettings(spacing_mm=(2, 1, 1), bias_field="n4", intensity="white_stripe"),
        colour=ColourSettings(size_px=64, constancy="shades_of_gray", stain="macenko"),
    )
    plain, unfitted = plain_settings(settings), unfitted_settings(settings)
    assert (plain.mr.intensity, plain.mr.bias_field, plain.mr.spacing_mm) == ("min_max", "none", (2, 1, 1))
    assert plain.colour == ColourSettings(size_px=64)
    assert (unfitted.mr.bias_field, unfitted.mr.intensity, unfitted.colour.stain) == ("n4", "robust_z", "none")
