"""Kinds of images: which DICOM modalities are treated alike, and what makes one learning task."""

from __future__ import annotations

from typing import Literal

import polars as pl

Family = Literal["ct", "mr", "pt", "xray", "colour", "gray"]

FAMILIES: dict[str, Family] = {
    "CT": "ct", "MR": "mr", "CR": "xray", "DX": "xray", "RG": "xray", "MG": "xray", "XA": "xray", "RF": "xray", "PX": "xray", "IO": "xray",
    "XC": "colour", "ES": "colour", "GM": "colour", "SM": "colour", "OP": "colour", "DMS": "colour",
    "US": "gray", "OT": "gray", "NM": "gray", "PT": "pt", "OPT": "gray", "SC": "gray",
}  # fmt: skip


def family_of(modality: str) -> Family | None:
    """Return the family of a DICOM modality code, or None for one that holds no images that we take."""
    return FAMILIES.get(modality)


def with_task(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a column `task`."""
    family = pl.col("modality").replace_strict(FAMILIES, default="gray", return_dtype=pl.String)
    return rows.with_columns(task=pl.concat_str(family, pl.lit("-"), pl.col("ndim").cast(pl.String), pl.lit("d")))
