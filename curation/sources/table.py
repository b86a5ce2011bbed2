"""What a CSV table says of the images of a source: labels, patients, and columns of the record.

Fails closed: a mapped text column must be a *category*, that is at most 64 different short values of harmless characters, without long numbers and dates,
most of which stand for several patients. Free text, names, dates and identifiers are never copied. Patients and sites leave as keyed pseudonyms, ages are
capped, dates are shifted.
"""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import polars as pl

from curation.errors import SourceError, near
from curation.pseudonyms import pseudonym, shift_date
from curation.recipe import SourceSettings

MAX_AGE_YEARS = 90.0
MAX_CATEGORY_CHARACTERS = 40
MAX_CATEGORIES = 64
MAX_ATTRIBUTE_NUMBER = 100_000
LEAST_NAMES = 8
MOST_OF_ONE = 0.8
IDENTIFYING = r"[0-9]{6}|(?:19|20)[0-9]{2}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:19|20)[0-9]{2}"
"""Long numbers and dates."""

CATEGORY = r"^[A-Za-z0-9 ._+()/&,'-]*$"

_CATEGORIES = ("label", "body_part", "view_position", "manufacturer", "modality")
_RECORD_COLUMNS = (*_CATEGORIES, "laterality", "model_name", "site", "age_years", "sex", "acquired_on")
_MISSING = ("", "nan", "na", "n/a", "none", "null", "-", "?")
_SEXES = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M", "o": "O", "other": "O", "d": "O"}
_SIDES = {"l": "L", "left": "L", "r": "R", "right": "R", "b": "B", "both": "B", "bilateral": "B"}


@dataclass(frozen=True)
class Lookup:
    """What the recipe and the table say of one image.

    Attributes:
        patient: raw identifier; None when the table does not say it.
        fields: columns of the record, already de-identified.
        problem: (code, reason) when the image must go to quarantine because of the table.
        structures: value in a label map → what it means, as the recipe says it.
        text: the raw report, only when the recipe keeps it; it is cleaned by the worker that knows the image's header.
        known: raw names, dates and numbers that must not stay in the text.
    """

    patient: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    problem: tuple[str, str] | None = None
    structures: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """The rows of a source's table by key."""

    source: SourceSettings
    rows: dict[str, dict[str, str | None]] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)

    def look_up(self, key_value: str | None, secret: bytes) -> Lookup:
        """Return what is known of the image that the table calls `key_value`."""
        if key_value in self.conflicts:
            return Lookup(problem=("TABLE_CONFLICT", self.conflicts[key_value]))
        row = self.rows.get(key_value or "", {})
        patient = row.get("patient")
        if self.source.patient and not patient and self.source.kind != "dicom":
            return Lookup(problem=("NO_PATIENT", self._why_nobody(is_listed=bool(row))))
        fields = _to_fields({name: value for name, value in row.items() if name not in ("patient", "text")}, self.source, patient, secret)
        return Lookup(patient, fields, structures=self.source.structures, text=row.get("text"))

    def _why_nobody(self, is_listed: bool) -> str:
        """Return why nobody knows whose image it is, and the recipe's keys to look at; never a value of the table."""
        if is_listed:
            return f"its row of the table has no patient: the column {self.source.patient!r} is empty"
        return f"no row of the table is about this file: the column {self.source.key!r} (key) was compared with its {self.source.matches} (match)"


def add_fields(lookup: Lookup, *further: dict[str, Any]) -> Lookup:
    """Return the lookup with columns that it does not have yet, the first given first; names that are no columns of the record become `attributes`."""
    fields = dict(lookup.fields)
    attributes = json.loads(fields.get("attributes", "{}"))
    for name, value in (pair for part in further for pair in part.items()):
        (fields if name in _RECORD_COLUMNS else attributes).setdefault(name, value)
    if attributes:
        fields["attributes"] = json.dumps(attributes, sort_keys=True)
    return replace(lookup, fields=fields)


def read_table(source: SourceSettings) -> Table:
    """Return the table of a source; one without rows when it has none.

    Raises:
        UsageError: the table cannot be read, lacks a column, or a mapped column is not a category; the message names the recipe's key.
    """
    if source.table is None or source.key is None:
        return Table(source)
    frame = _read_csv(source)
    wanted = {"label": source.label, "patient": source.patient, **({"text": source.text} if source.keep_text else {}), **source.columns}
    used = {name: column for name, column in wanted.items() if column is not None}
    for name, column in {"key": source.key, **used}.items():
        if column not in frame.columns:
            raise _wrong(source, _recipe_key(source, name), f"the table has no column {column!r}{near(column, frame.columns)}")
    for name in source.columns:
        _refuse_reserved(source, name)
    rows = frame.with_row_index("line", offset=2).select(
        "line", _clean(source.key).alias("key"), *(_clean(column).alias(name) for name, column in used.items())
    )
    rows = rows.filter(pl.col("key").is_not_null()).with_columns(_mapped(name, source) for name in used)
    if rows.is_empty():
        raise _wrong(source, "table", "has a header but no rows: all labels and patients of this source would be lost. Was it cut short while it was written?")
    for name in used:
        _refuse_free_text(rows, name, source)
    return _index(rows, list(used), source)


def _read_csv(source: SourceSettings) -> pl.DataFrame:
    """Read all columns as text: BOM, `,` `;` or tab, bytes that are not UTF-8."""
    assert source.table is not None
    try:
        text = source.table.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise _wrong(source, "table", f"{source.table} cannot be read: {error.strerror}") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    try:
        return pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise _wrong(source, "table", f"is not a CSV table with a header ({type(error).__name__})") from None


def _clean(column: str) -> pl.Expr:
    """Strip a text column; what stands for a missing value becomes null."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text.str.to_lowercase().is_in(_MISSING)).then(None).otherwise(text)


def _mapped(name: str, source: SourceSettings) -> pl.Expr:
    """Apply the recipe's `values` of one column; an empty text takes a value away."""
    if name not in source.values:
        return pl.col(name)
    mapped = pl.col(name).replace(source.values[name])
    return pl.when(mapped != "").then(mapped)


def _refuse_reserved(source: SourceSettings, name: str) -> None:
    from curation.records import SCHEMA

    if name in ("label", "patient", "text") or (name in SCHEMA and name not in _RECORD_COLUMNS):
        raise _wrong(source, f"columns.{name}", "this column of the record cannot come from a table")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise _wrong(source, f"columns.{name}", "names of columns are lower case letters, digits and underscores")


def _refuse_free_text(rows: pl.DataFrame, name: str, source: SourceSettings) -> None:
    """Let only categories and plain numbers pass; the message never quotes a value."""
    if name in ("patient", "text", "site", "model_name", "age_years", "sex", "laterality", "acquired_on"):
        return
    distinct = rows[name].drop_nulls().unique()
    if name not in _CATEGORIES and _is_plain_number(distinct):
        return
    key = _recipe_key(source, name)
    if distinct.len() > MAX_CATEGORIES:
        raise _wrong(source, key, f"{distinct.len()} different values are not a category (at most {MAX_CATEGORIES}); free text is never copied")
    too_long, odd = (distinct.str.len_chars() > MAX_CATEGORY_CHARACTERS).sum(), (~distinct.str.contains(CATEGORY)).sum()
    if too_long or odd:
        raise _wrong(source, key, f"{max(too_long, odd)} values are too long or hold odd characters for a category; free text is never copied")
    if identifying := distinct.str.contains(IDENTIFYING).sum():
        raise _wrong(source, key, f"{identifying} values hold a date or a number of six digits or more; identifiers are never copied")
    if distinct.len() > LEAST_NAMES and _share_of_one(rows, name) > MOST_OF_ONE:
        raise _wrong(source, key, f"nearly each of {distinct.len()} values stands for one patient only, as a name would; identifiers are never copied")


def _share_of_one(rows: pl.DataFrame, name: str) -> float:
    """Return the share of the values that only one patient has (without a column of patients: only one row)."""
    owners = rows.drop_nulls(name).group_by(name).agg(pl.col("patient" if "patient" in rows.columns else "key").n_unique().alias("owners"))
    return float((owners["owners"] == 1).sum() / owners.height)


def _is_plain_number(distinct: pl.Series) -> bool:
    """Say whether all values are numbers that are too small to be identifiers."""
    numbers = distinct.cast(pl.Float64, strict=False)
    return numbers.null_count() == 0 and bool((numbers.abs() < MAX_ATTRIBUTE_NUMBER).all())


def _index(rows: pl.DataFrame, names: list[str], source: SourceSettings) -> Table:
    """Return the rows by key; rows that say the same are one, rows that contradict each other are conflicts."""
    distinct = rows.unique(["key", *names], keep="first", maintain_order=True)
    clash = distinct.filter(pl.col("key").is_duplicated()).group_by("key", maintain_order=True).agg("line")
    conflicts = {key: f"rows {', '.join(map(str, lines[:5]))} of the table contradict each other" for key, lines in clash.iter_rows()}
    kept = distinct.filter(~pl.col("key").is_duplicated()).drop("line")
    return Table(source, {row["key"]: {name: row[name] for name in names} for row in kept.iter_rows(named=True)}, conflicts)


def _to_fields(row: dict[str, str | None], source: SourceSettings, patient: str | None, secret: bytes) -> dict[str, Any]:
    """Return the columns of the record, without the empty ones."""
    fields: dict[str, Any] = {name: value for name, value in row.items() if name in _CATEGORIES}
    fields["sex"] = _SEXES.get((row.get("sex") or "").lower())
    fields["laterality"] = _SIDES.get((row.get("laterality") or "").lower())
    fields["age_years"] = _age(row.get("age_years"))
    fields["acquired_on"] = _shifted(row.get("acquired_on"), patient, source, secret)
    for name in ("site", "model_name"):
        value = row.get(name)
        fields[name] = f"{name.partition('_')[0]}-{pseudonym(secret, f'{name}:{source.name}', value)[:8]}" if value else None
    fields["site"] = source.site or fields["site"]
    fields["modality"] = fields.get("modality") or source.modality
    further = {name: _number_or_text(value) for name, value in row.items() if name not in _RECORD_COLUMNS and value is not None}
    fields["attributes"] = json.dumps(further, sort_keys=True) if further else None
    return {name: value for name, value in fields.items() if value is not None}


def _age(text: str | None) -> float | None:
    """Return years from `63`, `63.5`, `063Y` or `18M`, capped at 90."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*([YyMmWwDd]?)", text or "")
    if not match:
        return None
    years = float(match[1]) / {"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2].upper()]
    return min(years, MAX_AGE_YEARS)


def _shifted(text: str | None, patient: str | None, source: SourceSettings, secret: bytes) -> str | None:
    """Return an ISO date moved by the patient's secret number of days; None when patient or date is unclear."""
    if not text or not patient:
        return None
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return shift_date(secret, f"{source.patient_space}:{patient}", day).isoformat()


def _number_or_text(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _recipe_key(source: SourceSettings, name: str) -> str:
    return f"columns.{name}" if name in source.columns else name


def _wrong(source: SourceSettings, key: str, reason: str) -> SourceError:
    return SourceError(source.name, key, reason)
