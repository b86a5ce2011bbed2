"""Cleaning a data set in memory, as a file would be."""

from __future__ import annotations

import io
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from curation.deidentify.objects import clean_object
from curation.deidentify.options import DeidentifySettings
from curation.deidentify.routing import kind_of

KEY = b"k" * 32


def clean_bytes(dataset: Dataset, **options: Any) -> tuple[bytes, ...]:
    """Return the parts of the new file for a data set."""
    new = clean_object(dataset, kind_of(dataset), KEY, DeidentifySettings(**options))
    return tuple(bytes(part) for part in new.parts)


def clean_dataset(dataset: Dataset, **options: Any) -> Dataset:
    """Return the new data set as pydicom reads it; `options` are those of `DeidentifySettings`."""
    return dcmread(io.BytesIO(b"".join(clean_bytes(dataset, **options))))
