"""Duplicates: equal images keep one row in a release, the others only keep the patient groups together."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

CONFLICT = "label_conflict"
CONFLICT_REASON = "equal images carry different labels"
EXPERTS = ("expert", "consensus")


def group_duplicates(rows: pl.DataFrame, overridden: Collection[str] = ()) -> pl.DataFrame:
    """Return the rows with `duplicate_group` set for acquired images whose stored pixels are equal.

    A group is named by its head, the one image that a release keeps: the head it had before, else the image that was curated first,
    else the smallest `image_id`. The head takes the label that the group agrees on; an expert's label beats the source's. Groups that do
    not agree lose their label and go to the experts (`route = "label_conflict"`). Running it again changes nothing.

    Args:
        rows: the working manifest.
        overridden: image_ids whose label a person decided, copies perhaps; other copies have an expert's label from their head only.
    """
    rows = _forget_copied_labels(rows, overridden)
    members = rows.filter((pl.col("origin") == "acquired") & (pl.len().over("pixels_sha256", "origin") > 1))
    groups = _name_groups(members)
    rows = rows.drop("duplicate_group").join(groups, on="image_id", how="left", maintain_order="left")
    return _agree_on_labels(rows).select(members.columns)


def _forget_copied_labels(rows: pl.DataFrame, overridden: Collection[str]) -> pl.DataFrame:
    """Take away the experts' labels that copies got from their head in an earlier run: else a changed answer would contradict its own copy."""
    has_head = pl.col("duplicate_group").is_in(rows["image_id"].to_list()) & ~pl.col("image_id").is_in(sorted(overridden))
    copied = is_dropped_duplicate() & has_head & pl.col("readers").is_null() & pl.col("label_source").is_in(EXPERTS)
    return rows.with_columns(pl.when(copied.fill_null(False)).then(None).otherwise(name).alias(name) for name in ("label", "label_source"))


def is_dropped_duplicate() -> pl.Expr:
    """Return the expression that is true for duplicates that a release leaves out."""
    return (pl.col("duplicate_group") != pl.col("image_id")).fill_null(False)


def _name_groups(members: pl.DataFrame) -> pl.DataFrame:
    """Return `image_id`, `duplicate_group` of all images that have an equal."""
    was_head = pl.col("duplicate_group").eq_missing(pl.col("image_id"))
    ranked = members.sort(was_head.not_(), pl.col("split").is_null(), "image_id")
    return ranked.select("image_id", duplicate_group=pl.col("image_id").first().over("pixels_sha256"))


def _agree_on_labels(rows: pl.DataFrame) -> pl.DataFrame:
    """Give every group one label, its head's source of it, or a conflict."""
    by_expert = pl.col("label_source").is_in(EXPERTS) & pl.col("label").is_not_null()
    grouped = rows.filter(pl.col("duplicate_group").is_not_null() & pl.col("label").is_not_null())
    trusted = grouped.filter(by_expert | ~by_expert.any().over("duplicate_group"))
    agreed = trusted.group_by("duplicate_group").agg(
        labels_found=pl.col("label").n_unique(), agreed=pl.col("label").min(), agreed_source=pl.col("label_source").sort_by("image_id").first()
    )
    rows = rows.join(agreed, on="duplicate_group", how="left", maintain_order="left")
    one, many = (pl.col("labels_found") == 1).fill_null(False), (pl.col("labels_found") > 1).fill_null(False)
    solved = one & (pl.col("route") == CONFLICT).fill_null(False)
    return rows.with_columns(
        label=pl.when(one).then("agreed").when(many).then(None).otherwise("label"),
        label_source=pl.when(one & pl.col("label").ne_missing(pl.col("agreed"))).then("agreed_source").when(many).then(None).otherwise("label_source"),
        route=pl.when(many).then(pl.lit(CONFLICT)).when(solved).then(None).otherwise("route"),
        route_reason=pl.when(many).then(pl.lit(CONFLICT_REASON)).when(solved).then(None).otherwise("route_reason"),
    )
