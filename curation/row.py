"""From one decoded image to its row of the manifest and its stored bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.harmonize.recipes import Harmonized, harmonize
from curation.pixels import Pixels, encode_nifti, encode_png, hash_pixels, name_volume
from curation.pseudonyms import pseudonym
from curation.quality import look_of
from curation.recipe import HarmonizeSettings
from curation.records import ImageRecord
from curation.sources.table import Lookup

COMPUTED = frozenset(
    {
        "image_id",
        "patient_id",
        "study_uid",
        "series_uid",
        "recipe_sha256",
        "pixels_sha256",
        "suffix",
        "dtype",
        "value_unit",
        "origin",
        "label_map_sha256",
        "perceptual_hash",
    }
)
"""Columns that cannot hold an identifier: keyed pseudonyms, hashes, fixed words."""
TEXT_DROPPED = "TEXT_DROPPED"
"""Note of an image whose report still held something that identifies after cleaning; the image is kept without it."""


def make_row(
    acquired: Acquired, lookup: Lookup, source: str, settings: HarmonizeSettings, secret: bytes, patients: str = ""
) -> tuple[dict[str, Any], bytes | memoryview]:
    """Return the row of the manifest and the bytes of the stored image, followed by those of its label map (`label_map_size_bytes`) if it has one.

    `patients` is the name space of patient ids, by default the source.

    Raises:
        ImageError: the image cannot be harmonized, or its row would hold the patient's identifier (IDENTITY_LEAK).
    """
    harmonized = harmonize(acquired, settings)
    patient = lookup.patient or acquired.patient
    fields = {**acquired.fields, **lookup.fields, "modality": acquired.modality}
    if "attributes" in acquired.fields and "attributes" in lookup.fields:
        fields["attributes"] = json.dumps(json.loads(acquired.fields["attributes"]) | json.loads(lookup.fields["attributes"]), sort_keys=True)
    text, notes = _clean_text(lookup, patient, acquired)
    record = ImageRecord(
        image_id=image_id_of(acquired),
        patient_id=pseudonym(secret, f"patient:{patients or source}", patient),
        source=source,
        label_source="source" if "label" in fields else None,
        **fields,
        text=text,
        notes=sorted({*acquired.notes, *notes}) or None,
        **_describe_pixels(harmonized),
        **_describe_label_map(harmonized, acquired.label_values),
    )
    row = record.model_dump()
    _refuse_leak(row, (patient, acquired.patient))
    stored = encode_png(harmonized.pixels) if harmonized.affine is None else encode_nifti(harmonized.pixels, harmonized.affine)
    if harmonized.label_map is None:
        return row, stored
    label_map = _encode_label_map(harmonized, harmonized.label_map)
    return row | {"label_map_size_bytes": len(label_map)}, b"".join([stored, label_map])


def _clean_text(lookup: Lookup, patient: str, acquired: Acquired) -> tuple[str | None, tuple[str, ...]]:
    """Return the report without what identifies, and codes of what happened to it; a text that cannot be cleaned is dropped, not the image."""
    if not lookup.text:
        return None, ()
    from curation.visible.report_text import clean_report

    try:
        return clean_report(lookup.text, lookup.known | {patient, acquired.patient}), ()
    except ImageError:
        return None, (TEXT_DROPPED,)


def _encode_label_map(harmonized: Harmonized, label_map: Pixels) -> bytes | memoryview:
    """Return the label map as `.nii.gz`; that of a 2-D image is one slice, whose affine holds the spacing only."""
    if harmonized.affine is not None:
        return encode_nifti(label_map, harmonized.affine, compress=True)
    rows_mm, columns_mm = harmonized.spacing_mm or (1.0, 1.0)
    return encode_nifti(label_map[None], np.diag([columns_mm, rows_mm, 1.0, 1.0]), compress=True)


def image_id_of(acquired: Acquired) -> str:
    """Return 32 hex digits of a hash of the source's decoded pixels and geometry: BLAKE3 for a series of whole numbers (CT), SHA-256 for the rest."""
    geometry = [*(acquired.spacing_mm or ()), *(np.ravel(acquired.affine) if acquired.affine is not None else ())]
    is_series = acquired.pixels.dtype == np.int16 and "series_uid" in acquired.fields
    numbers = [round(float(number), 4) + 0.0 for number in geometry]
    return name_volume(acquired.pixels, numbers) if is_series else hash_pixels(acquired.pixels, numbers)[:32]


def _describe_pixels(harmonized: Harmonized) -> dict[str, Any]:
    pixels = harmonized.pixels
    is_volume = harmonized.affine is not None
    spacing_mm = [round(step, 6) for step in harmonized.spacing_mm] if harmonized.spacing_mm else None
    rows, columns = pixels.shape[1:3] if is_volume else pixels.shape[:2]
    return {
        "ndim": 3 if is_volume else 2,
        "rows": rows,
        "columns": columns,
        "slices": pixels.shape[0] if is_volume else 1,
        "channels": 3 if pixels.ndim == 3 and not is_volume else 1,
        "spacing_mm": spacing_mm,
        "dtype": pixels.dtype.name,
        "value_unit": harmonized.value_unit,
        "recipe_sha256": harmonized.recipe_sha256,
        "pixels_sha256": hash_pixels(pixels, spacing_mm),
        "suffix": harmonized.suffix,
        **look_of(pixels, is_volume=is_volume),
    }


def _describe_label_map(harmonized: Harmonized, values: dict[int, str]) -> dict[str, Any]:
    if harmonized.label_map is None:
        return {}
    names = {str(value): name for value, name in values.items()}
    return {
        "label_map_sha256": hash_pixels(harmonized.label_map, harmonized.spacing_mm and [round(step, 6) for step in harmonized.spacing_mm]),
        "label_map_values": json.dumps(names, sort_keys=True),
    }


def _refuse_leak(row: dict[str, Any], patients: tuple[str, ...]) -> None:
    """Refuse a row that holds the raw identifier; keyed and computed columns cannot, shorter ones would match by chance."""
    for patient in patients:
        wanted = patient.strip().casefold()
        if len(wanted) <= 3:
            continue
        if any(wanted in value.casefold() for name, value in row.items() if isinstance(value, str) and name not in COMPUTED):
            raise ImageError("IDENTITY_LEAK", "the row of the image would hold the patient's identifier")
