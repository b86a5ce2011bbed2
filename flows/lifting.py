"""Settings to the lift court: and whether a release would ask for its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation.errors import UsageError
from flows.stages import Work, read_rows, record, run_gaps

if TYPE_CHECKING:
    import polars as pl

    from adaptation.encoders import Encoder
    from validation.lift.foresight import Foresight
    from validation.lift.holding import LiftReport


def run_lift(work: Work) -> LiftReport:
    """Judge the synthetic images of the working manifest on real test patients; verdicts go into the ledger."""
    from threadpoolctl import threadpool_limits

    from validation.lift.holding import hold_court

    rows, settings = _split_rows(work), work.settings
    flips, columns = settings.synthesis.generator.flips, settings.gaps.columns
    with work.writing("lift"), threadpool_limits(settings.run.threads):
        report = hold_court(work.project, rows, settings.lift, settings.finetune.encoder, lambda: _open_encoder(work), flips, columns, work.progress)
        return record(work, "lift", report)


def run_foresight(work: Work) -> Foresight:
    """Ask the court about real images in the place of synthetic ones, for the classes that `synthesize` would draw; no verdict goes into the ledger.

    Raises:
        UsageError: nothing is split, or the gap table asks for no images.
    """
    import polars as pl
    from threadpoolctl import threadpool_limits

    from synthesis.requests import rarest_classes
    from validation.lift.foresight import foresee, see_patients
    from validation.lift.gathering import gather_real, real_case

    rows, settings = _split_rows(work), work.settings
    task, labels = settings.synthesis.task, rarest_classes(run_gaps(work), settings.synthesis)
    if not labels:
        raise UsageError(f"the gap table asks for no synthetic images of the task {task}: see `curaloop gaps`, and set synthesis.task or synthesis.classes")
    case, flips = real_case(rows, task, settings.gaps.columns), settings.synthesis.generator.flips
    train = case.real.filter(case.real["split"] == "train")
    see_patients({label: train.filter(train["label"] == label).select(pl.coalesce("group_id", "patient_id")).n_unique() for label in labels})
    with work.writing("lift"), threadpool_limits(settings.run.threads):
        cohort = gather_real(work.project, case, labels, _open_encoder(work), settings.lift, flips, work.progress)
        return record(work, "foresight", foresee(task, cohort, labels, settings.lift, work.progress))


def _split_rows(work: Work) -> pl.DataFrame:
    """Return the working manifest.

    Raises:
        UsageError: nothing is split.
    """
    rows = read_rows(work)
    if rows.height and rows["split"].null_count() == rows.height:
        raise UsageError("nothing is split yet, so nobody can be tested on: run `curaloop curate` first")
    return rows


def _open_encoder(work: Work) -> Encoder:
    """Return the encoder that the recipe fine-tunes with."""
    from adaptation.encoders import load_encoder

    return load_encoder(work.settings.finetune.encoder, work.settings.run.threads, work.settings.finetune.batch_size)


def needs_court(work: Work) -> bool:
    """Say whether a release would ask for a verdict: the recipe demands one, and experts accepted synthetic images."""
    import polars as pl

    rows = read_rows(work)
    return work.settings.lift.required and not rows.filter((pl.col("origin") == "synthetic") & (pl.col("verdict") == "accepted")).is_empty()
