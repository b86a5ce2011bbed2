"""The data contract: what every value of a released manifest must be, checked by Great Expectations.

This is the only door to Great Expectations. The suite is made from `curation.records.COLUMNS` and the three tables below (ranges, patterns,
rules), so a new column is checked without a line here. A check that crashes says `success=False` like one that fails;
`exception_info` tells the two apart, and both stop a release.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import polars as pl

from curation.records import COLUMNS, SCHEMA
from validation.checks import SHOWN, CheckResult, conclude

if TYPE_CHECKING:
    import pandas as pd

RANGES: dict[str, tuple[float | None, float | None]] = {
    "age_years": (0, 90),
    "rows": (1, None),
    "columns": (1, None),
    "slices": (1, None),
    "offset": (0, None),
    "size_bytes": (1, None),
    "label_map_offset": (0, None),
    "label_map_size_bytes": (1, None),
    "label_confidence": (0, 1),
    "label_issue_score": (0, 1),
    "uncertainty": (0, 1),
    "agreement": (0, 1),
    "readers": (1, None),
    "seed": (0, None),
    "guidance_scale": (0, None),
    "steps": (1, None),
    "brightness": (0, 1),
    "contrast": (0, 0.5),
    "sharpness": (0, None),
    "entropy_bits": (0, 8),
    "clipped": (0, 1),
    "saturation": (0, 1),
}

PATTERNS: dict[str, str] = {
    "image_id": r"^[0-9a-f]{32}$",
    "recipe_sha256": r"^[0-9a-f]{64}$",
    "pixels_sha256": r"^[0-9a-f]{64}$",
    "label_map_sha256": r"^[0-9a-f]{64}$",
    "perceptual_hash": r"^[0-9a-f]{16}$",
    "generator_sha256": r"^[0-9a-f]{64}$",
    "training_manifest_sha256": r"^[0-9a-f]{64}$",
    "shard": r"^[0-9a-f]{64}\.tar$",
    "modality": r"^[A-Z]{2,4}$",
    "study_uid": r"^2\.25\.[0-9]{1,39}$",
    "series_uid": r"^2\.25\.[0-9]{1,39}$",
    "acquired_on": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
}

DTYPES = {"HU": "int16", "z": "float32", "SUV": "float32", "Bq/ml": "float32", "counts": "float32", "8-bit": "uint8", "16-bit": "uint16"}

_synthetic = pl.col("origin") == "synthetic"
_MADE = ("generator_sha256", "training_manifest_sha256", "condition", "seed", "screens")
RULES: dict[str, tuple[str, pl.Expr]] = {
    "volumes_are_nifti": ("3-D rows are .nii.gz, 2-D rows .png with one slice", pl.when(pl.col("ndim") == 3).then(pl.col("suffix") == ".nii.gz")
        .otherwise((pl.col("suffix") == ".png") & (pl.col("slices") == 1))),
    "spacing_is_positive": ("distances of voxels are above zero", pl.col("spacing_mm").list.min().fill_null(1) > 0),
    "unit_fits_dtype": ("HU is int16; z, SUV, Bq/ml and counts are float32; 8-bit is uint8, 16-bit is uint16",
        pl.col("value_unit").replace_strict(DTYPES, default="") == pl.col("dtype")),
    "label_map_is_complete": ("a label map has a place, a hash and names, or none of them",
        pl.sum_horizontal(pl.col("label_map_offset", "label_map_size_bytes", "label_map_sha256", "label_map_values").is_null()).is_in([0, 4])),
    "label_has_a_source": ("a label says who gave it", pl.col("label").is_null() | pl.col("label_source").is_not_null()),
    "place_is_complete": ("a released row says where its bytes lie", pl.all_horizontal(pl.col("shard", "offset", "size_bytes").is_not_null())),
    "synthetic_is_traceable": ("a synthetic row names its generator, training rows, condition, seed and screens",
        ~_synthetic | pl.all_horizontal(pl.col(*_MADE).is_not_null())),
    "acquired_has_no_generator": ("an acquired row has no generator and no condition",
        _synthetic | (pl.all_horizontal(pl.col(*_MADE).is_null()) & (pl.col("label_source").fill_null("source") != "condition"))),
    "split_is_known": ("a released row has a side of the split", pl.col("split").is_not_null()),
    "verdict_has_readers": ("a verdict says how many readers stand behind it", pl.col("verdict").is_null() | (pl.col("readers").fill_null(0) >= 1)),
}  # fmt: skip

KINDS = {
    "columns": "Every column of the record is there and no other.",
    "required": "Columns that must be filled are filled.",
    "allowed": "Values are among those that the column allows.",
    "ranges": "Numbers are in their range: " + ", ".join(sorted(RANGES)) + ".",
    "patterns": "Identifiers, hashes and dates have their form: " + ", ".join(sorted(PATTERNS)) + ".",
    "unique": "Every image_id is there once.",
    "rules": "Columns fit each other: " + "; ".join(text for text, _ in RULES.values()) + ".",
}


def check_contract(rows: pl.DataFrame) -> tuple[CheckResult, ...]:
    """Check the rows that would be released; one result for the types and one a kind of rule in `KINDS`."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    found: dict[str, list[str]] = defaultdict(list)
    broken: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for result in _run(_to_pandas(rows)):
        kind, text = result.expectation_config.meta["kind"], result.expectation_config.meta["text"]
        counts[kind] += 1
        if error := _crash(result.exception_info):
            broken[kind].append(f"{text}: could not be checked ({error})")
        elif not result.success:
            found[kind].append(f"{text}: {_ids(result.result)}")
    return (_check_types(rows), *(_conclude(kind, found[kind], broken[kind], counts[kind]) for kind in KINDS))


def _check_types(rows: pl.DataFrame) -> CheckResult:
    """Compare the Parquet types, which pandas would blur: an integer column with empty cells becomes a float column there."""
    wrong = [f"{name} is {rows.schema[name]}, not {dtype}" for name, dtype in SCHEMA.items() if name in rows.columns and rows.schema[name] != dtype]
    return conclude("contract: types", "Every column has the Parquet type of the record.", wrong, len(SCHEMA))


def _conclude(kind: str, failures: list[str], broken: list[str], count: int) -> CheckResult:
    name = f"contract: {kind}"
    if broken:
        return CheckResult(name, KINDS[kind], False, tuple(broken[:SHOWN] + failures[:SHOWN]), count, is_broken=True)
    return conclude(name, KINDS[kind], failures, count)


def _to_pandas(rows: pl.DataFrame) -> pd.DataFrame:
    """Return the rows as pandas, with one Boolean column a rule; lists become counts, since only their presence is checked."""
    known = [name for name in SCHEMA if name in rows.columns]
    rules = {name: expression.fill_null(False) for name, (_, expression) in RULES.items() if set(expression.meta.root_names()) <= set(rows.columns)}
    lists = [pl.col(name).list.len() for name in known if isinstance(rows.schema[name], pl.List)]
    return rows.with_columns(**{f"rule:{name}": rule for name, rule in rules.items()}).with_columns(lists).to_pandas()


def _run(frame: pd.DataFrame) -> list[Any]:
    """Return the raw results of the suite on `frame`, in an ephemeral context that writes nothing."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("manifest").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name="record", expectations=_expectations(frame))
    found = {"result_format": "COMPLETE", "unexpected_index_column_names": ["image_id"]}
    answer = batch.get_batch(batch_parameters={"dataframe": frame}).validate(suite, result_format=found)
    return list(answer.results)


def _expectations(frame: pd.DataFrame) -> list[Any]:
    """Return the suite: expectations with `meta` kind and text."""
    from great_expectations import expectations as e

    rules = [f"rule:{name}" for name in RULES]
    suite = [e.ExpectTableColumnsToMatchSet(column_set=[*SCHEMA, *rules], exact_match=True, meta=_meta("columns", "columns of the record"))]
    for column in COLUMNS:
        if column.name not in frame.columns:
            continue
        suite += _of_column(column.name, column.optional, column.allowed)
    for name, (text, _) in RULES.items():
        if f"rule:{name}" in frame.columns:
            suite.append(e.ExpectColumnValuesToBeInSet(column=f"rule:{name}", value_set=[True], meta=_meta("rules", text)))
    suite.append(e.ExpectColumnValuesToBeUnique(column="image_id", meta=_meta("unique", "image_id")))
    return suite


def _of_column(name: str, optional: bool, allowed: tuple[Any, ...]) -> list[Any]:
    from great_expectations import expectations as e

    suite: list[Any] = []
    if not optional:
        suite.append(e.ExpectColumnValuesToNotBeNull(column=name, meta=_meta("required", name)))
    if allowed:
        suite.append(e.ExpectColumnValuesToBeInSet(column=name, value_set=list(allowed), meta=_meta("allowed", name)))
    if name in RANGES:
        low, high = RANGES[name]
        suite.append(e.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, meta=_meta("ranges", name)))
    if name in PATTERNS:
        suite.append(e.ExpectColumnValuesToMatchRegex(column=name, regex=PATTERNS[name], meta=_meta("patterns", name)))
    return suite


def _meta(kind: str, text: str) -> dict[str, str]:
    return {"kind": kind, "text": text}


def _crash(information: dict[str, Any] | None) -> str:
    """Return the type of the exception when the check crashed, else an empty string."""
    for part in [information or {}, *(value for value in (information or {}).values() if isinstance(value, dict))]:
        if part.get("raised_exception"):
            return str(part.get("exception_message") or "exception").split(":")[0][:80]
    return ""


def _ids(result: dict[str, Any]) -> str:
    """Return which rows are unexpected, by image_id only: the values themselves may be the problem."""
    rows = result.get("unexpected_index_list") or []
    ids = [str(row["image_id"]) for row in rows if "image_id" in row]
    if not ids:
        mismatched = (result.get("details") or {}).get("mismatched") or {}
        return ", ".join(f"{kind} {', '.join(map(str, names))}" for kind, names in sorted(mismatched.items())) or "does not hold"
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"images {', '.join(ids[:5])}{more}"
