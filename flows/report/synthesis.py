"""The section that shows what was drawn, what the screens measured on it, and what those screens find when copies are planted."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from flows.report.evidence import Evidence, EvidenceFile
from flows.report.forest import Mark, strip_chart
from flows.report.rewards import describe_rewards
from flows.report.screens import describe_screens

if TYPE_CHECKING:
    from flows.report.material import Material

STOPPED = {"near-copies": "memorization", "unproven": "power", "wrong class": "class_agreement", "source": "shortcut", "junk": "reward"}
"""What a column counts, by the screen that was failed."""
SELDOM = ("unproven", "source", "junk")
"""Left out of the table where they count nothing."""
NUMBERS = ("drawn", *STOPPED, "shown", "accepted", "rejected", "copies found")
FIGURES = ("fid", "kid", "kid_low", "kid_high", "precision", "recall", "density", "coverage", "ms_ssim")
FIGURE_NAMES = {"fid": "FID", "kid": "KID", "kid_low": "from", "kid_high": "to", "ms_ssim": "MS-SSIM"}


def describe_synthesis(material: Material, evidence: Evidence, files: dict[str, EvidenceFile]) -> dict[str, Any]:
    """Return what the template asks for about the candidates; without any, empty tables."""
    found = material.candidates
    files["candidates"] = evidence.add_table("candidates", found, "every synthetic image that was drawn, with what its screens measured")
    heads = found.select("task", "label").unique().sort("task", "label").iter_rows()
    known = set(found["generator"].drop_nulls())
    rounds = {one["task"]: one for one in material.rounds if (one["generator_sha256"] or "")[:12] in known}
    newest = list(rounds.values())
    fidelity = list_fidelity(newest)
    measured = [name for name in fidelity.columns if fidelity[name].dtype == pl.Float64]
    files["fidelity"] = evidence.add_table("fidelity", fidelity, "fidelity and variety of the newest round of each task, beside held-out real images")
    counts = count_candidates(found)
    counts = counts.drop(name for name in SELDOM if not counts[name].sum())
    return (
        describe_rewards(newest)
        | describe_screens(newest)
        | {
            "fidelity": fidelity.filter(pl.any_horizontal(pl.col(measured).is_not_null())).with_columns(pl.col(measured).round(3)),
            "synthesis_warnings": [f"{one['task']}: {warning}" for one in newest for warning in one.get("warnings", ())],
            "cautions": sorted({f"{one['task']}, {label}: {about['caution']}" for one in newest for label, about in one["fidelity"].items()}),
            "fidelity_numbers": measured,
            "fidelity_names": FIGURE_NAMES,
            "grids": [grid for one in newest for grid in read_grids(one)],
            "strips": [strip for one in newest for strip in read_strips(one)],
            "candidates": counts,
            "candidate_numbers": [name for name in NUMBERS if name in counts.columns],
            "distance_charts": [(task, label, draw_distances(found.filter(task=task, label=label))) for task, label in heads],
        }
    )


def count_candidates(found: pl.DataFrame) -> pl.DataFrame:
    """Return one row a class: how many were drawn, stopped by each screen, shown and judged, and the share of planted copies that the screen found.

    An image may fail several screens.
    """
    failed = pl.col("screens").fill_null("").str.split(" ").list
    is_stopped = pl.col("screens").fill_null("") != ""
    return (
        found.group_by("task", "label")
        .agg(
            pl.len().alias("drawn"),
            *(failed.contains(screen).sum().alias(name) for name, screen in STOPPED.items()),
            (~is_stopped).sum().alias("shown"),
            (pl.col("verdict") == "accepted").sum().alias("accepted"),
            ((pl.col("verdict") == "rejected") & ~is_stopped).sum().alias("rejected"),
            pl.coalesce("power_class", "power").mean().round(3).alias("copies found"),
        )
        .sort("task", "label")
    )


def draw_distances(found: pl.DataFrame) -> Any:
    """Return a strip of marks: how far each candidate is from the nearest train image, with the limit below which it counts as a copy."""
    shown = found.filter(pl.col("feature_distance").is_not_null())
    if shown.is_empty():
        return None
    marks = [
        Mark(distance, "no" if "memorization" in (failed or "").split() else "synthetic", f"seed {seed}: {distance:.4f}")
        for distance, failed, seed in shown.select("feature_distance", "screens", "seed").sort("feature_distance").iter_rows()
    ]
    limit = shown["feature_threshold"].drop_nulls()
    return strip_chart(marks, float(limit[-1]) if len(limit) else None, "cosine distance to the nearest train image")


def list_fidelity(rounds: list[dict[str, Any]]) -> pl.DataFrame:
    """Return two rows a class: the figures of its synthetic images, and of real ones held out, from equally many images."""
    rows = [
        {"task": one["task"], "class": label, "images": kind.replace("_", " "), **{name: measured.get(name) for name in FIGURES}}
        for one in rounds
        for label, about in sorted(one["fidelity"].items())
        for kind in ("synthetic", "held_out")
        for measured in (about[kind],)
    ]
    texts = dict.fromkeys(("task", "class", "images"), pl.String)
    return pl.DataFrame(rows, schema={**texts, **dict.fromkeys(FIGURES, pl.Float64)})


@dataclass(frozen=True)
class Strip:
    """A picture of a round: a data URI and what it shows."""

    label: str
    uri: str


def read_strips(one: dict[str, Any]) -> list[Strip]:
    """Return the denoising strips of a round that are still there, by the class that was asked for."""
    return [Strip(label, _embed(one["root"] / path)) for label, path in sorted(one.get("strips", {}).items()) if (one["root"] / path).exists()]


def read_grids(one: dict[str, Any]) -> list[Strip]:
    """Return the picture of everything that a round drew, if it is still there, by its classes in their order."""
    path = one.get("sample_grid")
    return [Strip(f"{one['task']}, {', '.join(sorted(one['requested']))}", _embed(one["root"] / path))] if path and (one["root"] / path).exists() else []


def _embed(path: Path) -> str:
    """Return a picture as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
