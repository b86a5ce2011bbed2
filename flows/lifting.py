"""Settings to the lift court: and whether a release would ask for its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation.errors import UsageError
from flows.stages import Work, read_rows, record

if TYPE_CHECKING:
    from adaptation.encoders import Encoder
    from validation.lift.holding import LiftReport


def run_lift(work: Work) -> LiftReport:
    """Judge the synthetic images of the working manifest on real test patients; verdicts go into the ledger."""
    from threadpoolctl import threadpool_limits

    from adaptation.encoders import load_encoder
    from validation.lift.holding import hold_court

    rows, settings = read_rows(work), work.settings
    if rows.height and rows["split"].null_count() == rows.height:
        raise UsageError("nothing is split yet, so nobody can be tested on: run `curaloop curate` first")

    def open_encoder() -> Encoder:
        return load_encoder(settings.finetune.encoder, settings.run.threads, settings.finetune.batch_size)

    flips, columns = settings.synthesis.generator.flips, settings.gaps.columns
    with work.writing("lift"), threadpool_limits(settings.run.threads):
        report = hold_court(work.project, rows, settings.lift, settings.finetune.encoder, open_encoder, flips, columns, work.progress)
        return record(work, "lift", report)


def needs_court(work: Work) -> bool:
    """Say whether a release would ask for a verdict: the recipe demands one, and experts accepted synthetic images."""
    import polars as pl

    rows = read_rows(work)
    return work.settings.lift.required and not rows.filter((pl.col("origin") == "synthetic") & (pl.col("verdict") == "accepted")).is_empty()
