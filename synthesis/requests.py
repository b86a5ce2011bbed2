"""Requests: how many candidates are wanted of which condition, from the gap table and what was made already."""

from __future__ import annotations

import json
from collections import Counter
from typing import NamedTuple

import polars as pl

from curation.gaps import LEAST_PATIENTS
from curation.modalities import with_task
from synthesis.conditions import LABEL, cell_columns
from synthesis.engines.engine import Condition
from synthesis.recipe import SynthesisSettings


class Request(NamedTuple):
    """So many images of one condition."""

    condition: Condition
    number: int


def plan_requests(gaps: pl.DataFrame, rows: pl.DataFrame, generator: str | None, settings: SynthesisSettings) -> list[Request]:
    """Return how many candidates to draw of each condition: for the gaps of the rarest classes, and a share that shows the other classes.

    The rarest classes with cells to synthesize come first. A cell is the label and those of the gap table's columns that the generator is told
    (`synthesis.generator.conditions`); cells that it cannot tell apart count together. Candidates that wait for the experts count as made,
    whichever generator made them; so do those of this generator that its screens rejected, else a weak generator would be asked again in every
    run. Accepted ones that stand in no cell of the gap table count for the cell that they were made for.

    Args:
        gaps: table of `curation.gaps`.
        rows: working manifest.
        generator: hash of the generator that would be asked, None when it is not trained yet.
        settings: task, conditions, number of classes, most candidates in one round, share of other classes.
    """
    table = gaps.filter((pl.col("task") == settings.task) & pl.col("label").is_not_null())
    cells = _wanted_cells(table, settings)
    made, held = _made(table, rows, generator, settings, [name for name in cells.columns if name not in ("train_images", "missing")])
    for_gaps = settings.candidates - int(settings.candidates * settings.counterbalance)
    there = sum(held[label] for label in set(cells[LABEL]))
    gap_requests = _fill_gaps(cells, made, min(for_gaps - there, settings.candidates - held.total()))
    return gap_requests + (_counterbalance(table, cells, made, gap_requests, settings) if gap_requests else [])


def asks_for_synthesis(settings: SynthesisSettings) -> pl.Expr:
    """Say of which cells of the gap table candidates are made; the table leaves volumes to collecting, unless the engine makes volumes."""
    possible = (pl.col("missing") > 0) & (pl.col("train_patients") >= LEAST_PATIENTS) & pl.lit(settings.generator.engine == "volume")
    return (pl.col("action") == "synthesize") | possible


def _wanted_cells(table: pl.DataFrame, settings: SynthesisSettings) -> pl.DataFrame:
    """Return the cells of the rarest classes that ask for synthesis: label, conditions, `train_images`, `missing`; rarest class first.

    A cell of images whose sex, say, nobody knows is no subgroup to fill, when the generator is told the sex.
    """
    known = cell_columns(table, settings.generator.conditions)
    asking = table.filter(asks_for_synthesis(settings)).with_columns(pl.col(column).alias(name) for name, column in known.items()).drop_nulls([*known])
    cells = asking.group_by(LABEL, *known).agg(pl.col("train_images", "missing").sum())
    rarest = pl.DataFrame({LABEL: rarest_classes(table, settings)}, schema={LABEL: pl.String}).with_row_index("rank")
    return cells.join(rarest, on=LABEL).sort("rank", -pl.col("missing"), *known, nulls_last=True).drop("rank")


def rarest_classes(gaps: pl.DataFrame, settings: SynthesisSettings) -> tuple[str, ...]:
    """Return the classes that candidates are made for, rarest first: of those that ask for synthesis, the ones with fewest train images.

    A class with fewer than `least_class_patients` train patients is passed over while another has enough: nothing would be learned of it, and it would
    keep the others from being drawn. A patient counts in each of its cells. When no class has enough, the rarest are returned: the plan says what they lack.
    """
    known = cell_columns(gaps, settings.generator.conditions)
    table = gaps.filter((pl.col("task") == settings.task) & pl.col(LABEL).is_not_null())
    asking = table.filter(asks_for_synthesis(settings)).drop_nulls([*known.values()])[LABEL].unique()
    sizes = table.filter(pl.col(LABEL).is_in(asking.implode())).group_by(LABEL).agg(pl.col("train_images", "train_patients").sum())
    enough = sizes.filter(pl.col("train_patients") >= settings.plan.least_class_patients)
    return tuple((sizes if enough.is_empty() else enough).sort("train_images", LABEL).head(settings.classes)[LABEL])


def say_fewer_classes(gaps: pl.DataFrame, settings: SynthesisSettings) -> str:
    """Return one sentence when the recipe wants candidates of more classes than there are to make any for; else an empty one."""
    there = rarest_classes(gaps, settings)
    if not there or len(there) == settings.classes:
        return ""
    return f"synthesis.classes is {settings.classes}, but candidates can be made for {len(there)} only ({', '.join(there)}): `curaloop gaps` shows the others"


def _made(
    table: pl.DataFrame, rows: pl.DataFrame, generator: str | None, settings: SynthesisSettings, keys: list[str]
) -> tuple[Counter[tuple[str | None, ...]], Counter[str]]:
    """Return how many candidates of each cell are there beyond those that the gap table counts, and how many of each class wait or were screened out."""
    waiting = pl.col("verdict").is_null()
    screened_out = (pl.col("verdict") == "rejected") & pl.col("readers").is_null() & (pl.col("generator_sha256") == pl.lit(generator))
    synthetic = with_task(rows).filter((pl.col("origin") == "synthetic") & (pl.col("task") == settings.task))
    held = synthetic.filter(waiting | screened_out)
    accepted = synthetic.filter(pl.col("verdict") == "accepted")
    made: Counter[tuple[str | None, ...]] = Counter()
    for text, label in pl.concat([held, accepted]).select("condition", LABEL).iter_rows():
        asked = json.loads(text or "{}") | {LABEL: label}
        made[tuple(asked.get(key) for key in keys)] += 1
    columns = [LABEL, *cell_columns(table, settings.generator.conditions).values()]
    made.subtract({row[:-1]: row[-1] for row in table.group_by(columns).agg(pl.col("synthetic_images").sum()).iter_rows()})
    return made, Counter(held[LABEL].to_list())


def _fill_gaps(cells: pl.DataFrame, made: Counter[tuple[str | None, ...]], left: int) -> list[Request]:
    """Return requests for the cells: the classes share what is `left` evenly, and so do the cells of a class."""
    requests, labels = [], cells[LABEL].unique(maintain_order=True).to_list()
    for position, label in enumerate(labels):
        own = cells.filter(pl.col(LABEL) == label).drop("train_images")
        share = -(-left // (len(labels) - position))
        for number, (*values, missing) in enumerate(own.iter_rows()):
            wanted = max(0, min(missing - made[tuple(values)], -(-share // (own.height - number))))
            share, left = share - wanted, left - wanted
            if wanted:
                named = {name: value for name, value in zip(own.columns, values, strict=False) if value is not None}
                requests.append(Request(named, wanted))
    return requests


def _counterbalance(
    table: pl.DataFrame, cells: pl.DataFrame, made: Counter[tuple[str | None, ...]], requests: list[Request], settings: SynthesisSettings
) -> list[Request]:
    """Return requests for the classes that no gap asks for: together the recipe's share of a round, each the same number, less what is there."""
    others = sorted(set(table.filter(pl.col("train_images") > 0)[LABEL]) - set(cells[LABEL]))
    if not others or not settings.counterbalance:
        return []
    labels = set(cells[LABEL])
    asked = sum(request.number for request in requests) + sum(max(0, number) for key, number in made.items() if key[0] in labels)
    whole = asked * settings.counterbalance / max(0.01, 1 - settings.counterbalance)
    each = max(1, round(min(whole, settings.candidates * settings.counterbalance) / len(others)))
    there = Counter[str | None]()
    for key, number in made.items():
        there[key[0]] += max(0, number)
    return [Request({LABEL: label}, each - there[label]) for label in others if there[label] < each]
