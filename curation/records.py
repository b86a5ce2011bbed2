"""The record: one row of the manifest, each column defined once.

The Parquet schema (`SCHEMA`), the table in the README (`column_table`) and the data contract are made from the
fields of `ImageRecord`. pydantic stands at the borders; tables of records are Polars frames with `SCHEMA`.
"""

from __future__ import annotations

import types
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import polars as pl
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Origin = Literal["acquired", "synthetic"]
Split = Literal["train", "val", "test", "holdout"]
LabelSource = Literal["source", "expert", "consensus", "condition"]
ValueUnit = Literal["HU", "z", "8-bit", "16-bit", "SUV", "Bq/ml", "counts"]
Verdict = Literal["accepted", "rejected", "relabelled", "confirmed"]


def _column(description: str, *, group: str, default: Any = None, dicom: str = "", unit: str = "") -> Any:
    """Return a pydantic field that carries what a column needs besides its type."""
    return Field(default=default, description=description, json_schema_extra={"group": group, "dicom": dicom, "unit": unit})


class ImageRecord(BaseModel):
    """One 2-D image or one 3-D volume that is ready for training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # identity
    image_id: str = _column("32 hex digits of a hash of the decoded source pixels and geometry (SHA-256; BLAKE3 for CT volumes)", group="identity", default=...)
    patient_id: str = _column("keyed pseudonym of the patient", group="identity", default=..., dicom="PatientID")
    group_id: str | None = _column("patients and duplicates that must stay on one side of a split", group="identity")
    study_uid: str | None = _column("remapped study UID", group="identity", dicom="StudyInstanceUID")
    series_uid: str | None = _column("remapped series UID", group="identity", dicom="SeriesInstanceUID")
    source: str = _column("name of the source in the recipe", group="identity", default=...)
    # acquisition
    modality: str = _column("DICOM modality code", group="acquisition", default=..., dicom="Modality")
    body_part: str | None = _column("body part examined", group="acquisition", dicom="BodyPartExamined")
    view_position: str | None = _column("view of a projection image", group="acquisition", dicom="ViewPosition")
    laterality: Literal["L", "R", "B", "U"] | None = _column("side of the body", group="acquisition", dicom="ImageLaterality")
    manufacturer: str | None = _column("maker of the device, from a list of known makers", group="acquisition", dicom="Manufacturer")
    model_name: str | None = _column("keyed pseudonym of the device model", group="acquisition", dicom="ManufacturerModelName")
    site: str | None = _column("pseudonym or declared name of the site", group="acquisition", dicom="InstitutionName")
    age_years: float | None = _column("age, capped at 90", group="acquisition", dicom="PatientAge", unit="years")
    sex: Literal["F", "M", "O"] | None = _column("sex as recorded", group="acquisition", dicom="PatientSex")
    acquired_on: str | None = _column("date, shifted by a secret number of days of the patient (YYYY-MM-DD)", group="acquisition", dicom="AcquisitionDate")
    attributes: str | None = _column("further columns of the user, as one JSON object with sorted keys", group="acquisition")
    # pixels
    ndim: Literal[2, 3] = _column("2 for an image, 3 for a volume", group="pixels", default=...)
    rows: int = _column("height", group="pixels", default=..., dicom="Rows", unit="px")
    columns: int = _column("width", group="pixels", default=..., dicom="Columns", unit="px")
    slices: int = _column("number of slices; 1 for an image", group="pixels", default=1, unit="px")
    channels: Literal[1, 3] = _column("1 for gray, 3 for RGB", group="pixels", default=1, dicom="SamplesPerPixel")
    spacing_mm: list[float] | None = _column("distance of neighbouring voxels along slices, rows, columns (2-D: rows, columns)", group="pixels", unit="mm")
    dtype: Literal["uint8", "uint16", "int16", "float32"] = _column("type of a stored value", group="pixels", default=...)
    value_unit: ValueUnit = _column("what a value means", group="pixels", default=...)
    masked_px: int | None = _column("pixels that were covered because they showed text; empty when none did", group="pixels", unit="px")
    notes: list[str] | None = _column("codes of what the reader corrected or could not do", group="pixels")
    recipe_sha256: str = _column("hash of the harmonization recipe of this image", group="pixels", default=...)
    pixels_sha256: str = _column("hash of the stored pixels, shape, dtype and spacing", group="pixels", default=...)
    # quality, of the stored image (of a volume: of its middle slice)
    perceptual_hash: str | None = _column("pHash, 16 hex digits: images that look alike differ in few of its 64 bits", group="quality")
    brightness: float | None = _column("mean gray, 0 (black) to 1", group="quality")
    contrast: float | None = _column("standard deviation of gray, 0 to 0.5", group="quality")
    sharpness: float | None = _column("variance of the Laplacian of gray in 0..255; blurred images are low", group="quality")
    entropy_bits: float | None = _column("Shannon entropy of 256 grays, 0 to 8", group="quality", unit="bits")
    clipped: float | None = _column("share of pixels that are black or white, 0 to 1", group="quality")
    saturation: float | None = _column("mean colour saturation, 0 (gray) to 1; empty for gray images", group="quality")
    # place
    shard: str | None = _column("name of the tar shard", group="place")
    offset: int | None = _column("where the file's bytes begin in the shard", group="place", unit="bytes")
    size_bytes: int | None = _column("how many bytes the file has", group="place", unit="bytes")
    suffix: Literal[".png", ".nii.gz"] = _column("file type in the shard", group="place", default=...)
    # labels
    label: str | None = _column("the class, empty when nobody knows it yet", group="labels")
    label_source: LabelSource | None = _column("who gave the label; `condition` is what a synthetic image was asked to show", group="labels")
    label_confidence: float | None = _column("agreement of the readers, 0 to 1", group="labels")
    label_issue_score: float | None = _column("probability that the label is right, 0 to 1; lower is more suspicious", group="labels")
    labels: list[str] | None = _column("multi-label targets", group="labels")
    label_map_offset: int | None = _column("where the bytes of the label map, a NIfTI on the image's grid, begin in the shard", group="labels", unit="bytes")
    label_map_size_bytes: int | None = _column("how many bytes the label map has", group="labels", unit="bytes")
    label_map_sha256: str | None = _column("hash of the label map's values, shape, dtype and spacing", group="labels")
    label_map_values: str | None = _column("what each value of the label map means, as one JSON object with sorted keys", group="labels")
    boxes_px: list[list[float]] | None = _column("boxes as x, y, width, height", group="labels", unit="px")
    text: str | None = _column("de-identified report", group="labels")
    # curation
    duplicate_group: str | None = _column("image_id of the first of several equal images", group="curation")
    split: Split | None = _column("side of the split", group="curation")
    uncertainty: float | None = _column("of the last model on this image, 0 (sure) to 1", group="curation")
    route: str | None = _column("queue that the router chose", group="curation")
    route_reason: str | None = _column("why the router chose it", group="curation")
    # origin
    origin: Origin = _column("acquired from a patient, or synthetic", group="origin", default="acquired", dicom="SyntheticData")
    generator_sha256: str | None = _column("hash of the generator's weights and settings", group="origin")
    training_manifest_sha256: str | None = _column("hash of the rows that the generator was trained on", group="origin")
    condition: str | None = _column("what the generator was asked for, as one JSON object", group="origin")
    seed: int | None = _column("seed of this image", group="origin")
    guidance_scale: float | None = _column("strength of classifier-free guidance", group="origin")
    steps: int | None = _column("denoising steps", group="origin")
    parents: list[str] | None = _column("image_ids that this image was made from", group="origin")
    screens: str | None = _column("result of every screen, as one JSON object", group="origin")
    # review
    verdict: Verdict | None = _column("what the experts said", group="review")
    readers: int | None = _column("number of readers behind the verdict", group="review")
    agreement: float | None = _column("share of readers who agree with the verdict, 0 to 1", group="review")
    reviewed_at: str | None = _column("time of the last annotation, UTC, ISO 8601", group="review")


class Column(NamedTuple):
    """What is known of one column."""

    name: str
    dtype: pl.DataType
    optional: bool
    allowed: tuple[Any, ...]
    group: str
    unit: str
    dicom: str
    description: str


def _describe(name: str, field: FieldInfo) -> Column:
    """Read one pydantic field as a column."""
    annotation, optional = field.annotation, False
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        annotation, optional = members[0], True
    allowed = get_args(annotation) if get_origin(annotation) is Literal else ()
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    return Column(name, _polars_type(annotation), optional, allowed, str(extra["group"]), str(extra["unit"]), str(extra["dicom"]), str(field.description))


def _polars_type(annotation: Any) -> pl.DataType:
    """Return the Polars type of a Python annotation."""
    if get_origin(annotation) is Literal:
        annotation = type(get_args(annotation)[0])
    if get_origin(annotation) is list:
        return pl.List(_polars_type(get_args(annotation)[0]))
    return {str: pl.String(), int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean()}[annotation]


COLUMNS: tuple[Column, ...] = tuple(_describe(name, field) for name, field in ImageRecord.model_fields.items())
SCHEMA: pl.Schema = pl.Schema({column.name: column.dtype for column in COLUMNS})
QUALITY = ("perceptual_hash", "brightness", "contrast", "sharpness", "entropy_bits", "clipped", "saturation")
ADDED = frozenset({"notes", "masked_px", "label_map_offset", "label_map_size_bytes", "label_map_sha256", "label_map_values", *QUALITY})
"""Columns that versions before 0.2 do not have; they are empty there."""
REMOVED = frozenset({"label_map_id"})
"""Columns that only versions before 0.2 have; they were always empty."""


def upgraded(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of an older version of the record with the columns of this one; what cannot be an older version stays as it is."""
    missing, extra = set(SCHEMA) - set(rows.columns), set(rows.columns) - set(SCHEMA)
    if not (missing or extra) or not (missing <= ADDED and extra <= REMOVED) or any(rows[name].count() for name in extra):
        return rows
    return rows.with_columns(pl.lit(None, SCHEMA[name]).alias(name) for name in missing).select(list(SCHEMA))


def to_frame(records: list[ImageRecord]) -> pl.DataFrame:
    """Return the records as a table with `SCHEMA`, sorted by `image_id`."""
    return pl.DataFrame([record.model_dump() for record in records], schema=SCHEMA).sort("image_id")


def column_table() -> str:
    """Return the Markdown table of all columns, as the documentation shows it."""
    lines = ["| group | column | type | unit | DICOM | meaning |", "|---|---|---|---|---|---|"]
    for c in COLUMNS:
        allowed = f" ({', '.join(map(str, c.allowed))})" if c.allowed else ""
        optional = "" if c.optional else " *"
        lines.append(f"| {c.group} | `{c.name}`{optional} | {c.dtype} | {c.unit} | {c.dicom} | {c.description}{allowed} |")
    return "\n".join(lines)
