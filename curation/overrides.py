"""Overrides: what a person decided against the machine, one line of `records/overrides.csv` a decision."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from curation.errors import UsageError
from curation.ledger import append_decision, read_ledger
from curation.sources.table import IDENTIFYING

HEADER = ("image_id", "column", "value", "who", "why")
SPLITS = ("train", "val", "test", "holdout")
ACTION = "overridden"


class Override(NamedTuple):
    """One decision; `value` is empty to take a label away."""

    line: int
    image_id: str
    column: str
    value: str
    who: str
    why: str


def read_overrides(path: Path) -> tuple[Override, ...]:
    """Return the decisions in the file, or none when there is no file.

    Raises:
        UsageError: a line is wrong; the message names it.
    """
    if not path.exists():
        return ()
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        if (header := tuple(next(lines, HEADER))) != HEADER:
            raise UsageError(f"{path}:1: the header must be {','.join(HEADER)}, not {','.join(header)}")
        return tuple(_parse(path, lines.line_num, fields) for fields in lines if fields)


def _parse(path: Path, line: int, fields: list[str]) -> Override:
    """Return one decision, or raise `UsageError` with its line."""
    if len(fields) != len(HEADER):
        raise UsageError(f"{path}:{line}: {len(fields)} fields instead of {len(HEADER)}")
    override = Override(line, *(field.strip() for field in fields))
    reasons = {
        "image_id must be 32 hex digits": re.fullmatch(r"[0-9a-f]{32}", override.image_id),
        "column must be label or split": override.column in ("label", "split"),
        f"a split is one of {', '.join(SPLITS)}": override.column != "split" or override.value in SPLITS,
        "who and why must be filled in": override.who and override.why,
        "value and why go into the ledger for good: no dates, no numbers of six digits or more": not _identifies(f"{override.value} {override.why}"),
    }
    for reason, holds in reasons.items():
        if not holds:
            raise UsageError(f"{path}:{line}: {reason}")
    return override


def _identifies(text: str) -> bool:
    """Say whether a text holds what an identifier of a patient looks like; image_ids do not count."""
    return re.search(IDENTIFYING, re.sub(r"\b[0-9a-f]{32}\b", "", text)) is not None


def override_labels(rows: pl.DataFrame, overrides: Sequence[Override], path: Path) -> pl.DataFrame:
    """Return the rows with the labels that a person decided; the last line on an image counts.

    Raises:
        UsageError: a synthetic image is to be relabelled.
    """
    labels = {each.image_id: each for each in overrides if each.column == "label"}
    _refuse_synthetic(rows, list(labels.values()), path)
    table = pl.DataFrame(
        {"image_id": list(labels), "decided": [each.value or None for each in labels.values()]}, schema={"image_id": pl.String, "decided": pl.String}
    ).with_columns(is_decided=pl.lit(True))
    decided = pl.col("is_decided").fill_null(False)
    joined = rows.join(table, on="image_id", how="left", maintain_order="left").with_columns(
        label=pl.when(decided).then("decided").otherwise("label"),
        label_source=pl.when(decided & pl.col("decided").is_not_null()).then(pl.lit("expert")).when(decided).then(None).otherwise("label_source"),
    )
    return joined.select(rows.columns)


def override_splits(rows: pl.DataFrame, overrides: Sequence[Override], path: Path) -> pl.DataFrame:
    """Return the rows with the splits that a person decided; the whole group of the image moves.

    Raises:
        UsageError: a synthetic image is to be moved, or two lines send one group to different sides.
    """
    splits = [each for each in overrides if each.column == "split"]
    _refuse_synthetic(rows, splits, path)
    group_of = dict(rows.filter(pl.col("image_id").is_in([each.image_id for each in splits])).select("image_id", "group_id").iter_rows())
    decided: dict[str, Override] = {}
    for each in splits:
        group = group_of.get(each.image_id)
        if group is None:
            continue
        if decided.setdefault(group, each).value != each.value:
            raise UsageError(f"{path}:{each.line}: line {decided[group].line} sends an image of the same group to {decided[group].value}")
    sides = {group: each.value for group, each in decided.items()}
    moved = pl.col("group_id").replace_strict(sides, default=pl.col("split"), return_dtype=pl.String) if sides else pl.col("split")
    return rows.with_columns(split=moved)


def _refuse_synthetic(rows: pl.DataFrame, overrides: Sequence[Override], path: Path) -> None:
    synthetic = set(rows.filter(pl.col("origin") == "synthetic")["image_id"])
    for each in overrides:
        if each.image_id in synthetic:
            raise UsageError(f"{path}:{each.line}: a synthetic image keeps its {each.column}; reject it in the review instead")


def record_overrides(rows: pl.DataFrame, overrides: Sequence[Override], ledger: Path) -> int:
    """Write every decision on a known image into the ledger once; return how many were new.

    Args:
        rows: the manifest before the overrides, for the old values.
        overrides: decisions.
        ledger: the project's ledger.
    """
    if not overrides:
        return 0
    known = {(line["what"], str(line["new"]), line["who"], line["why"]) for line in read_ledger(ledger) if line["action"] == ACTION}
    old = {row["image_id"]: row for row in rows.select("image_id", "label", "split").iter_rows(named=True)}
    new = [each for each in overrides if each.image_id in old and (each.image_id, str(_value(each)), each.who, each.why) not in known]
    for each in new:
        before = {each.column: old[each.image_id][each.column]}
        append_decision(ledger, ACTION, what=each.image_id, why=each.why, old=before, new=_value(each), who=each.who)
    return len(new)


def find_overridden(ledger: Path) -> frozenset[str]:
    """Return the image_ids on which a person's decision was ever recorded."""
    return frozenset(str(line["what"]) for line in read_ledger(ledger) if line["action"] == ACTION)


def _value(override: Override) -> dict[str, str | None]:
    return {override.column: override.value or None}
