"""Builders of small cohorts with real pixels in real shards."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

from curation.records import ImageRecord, to_frame


def digest(text: str) -> str:
    """Return 64 hex digits for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def a_row(number: int, **changes: Any) -> ImageRecord:
    """Return an acquired gray image of its own patient; every fourth is in val, every fifth in test."""
    split = "val" if number % 4 == 3 else "test" if number % 5 == 4 else "train"
    values: dict[str, Any] = {
        "image_id": digest(f"image {number}")[:32],
        "patient_id": digest(f"patient {number}")[:20],
        "group_id": digest(f"patient {number}")[:20],
        "source": "chest",
        "modality": "CR",
        "site": "north" if number % 2 else "south",
        "age_years": float(20 + number % 70),
        "sex": "F" if number % 2 else "M",
        "acquired_on": "2011-04-05",
        "ndim": 2,
        "rows": 16,
        "columns": 16,
        "dtype": "uint8",
        "value_unit": "8-bit",
        "recipe_sha256": digest("recipe"),
        "pixels_sha256": digest(f"pixels {number}"),
        "shard": f"{digest('shard')}.tar",
        "offset": 512 * number,
        "size_bytes": 400,
        "suffix": ".png",
        "label": "covid" if number % 3 == 0 else "clear",
        "label_source": "source",
        "split": split,
    }
    return ImageRecord(**(values | changes))


def a_cohort(size: int = 12) -> pl.DataFrame:
    """Return `size` acquired rows without files behind them."""
    return to_frame([a_row(number) for number in range(size)])
