"""The command `harmonize`: what is fitted on train, and what harmonization does."""

from __future__ import annotations

from typing import Annotated

import typer

from curation.errors import UsageError
from flows.console import print_json
from flows.doorstep import at_work, wants_json


def harmonize(
    ctx: typer.Context,
    version: Annotated[str | None, typer.Argument(help="e.g. data-v2; default: the current version, or what is ingested.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Measure how well site and label are told, before and after.")] = False,
    fit: Annotated[bool, typer.Option("--fit", help="Fit Nyúl's landmarks and stain references on train; writes records/*.json.")] = False,
    by: Annotated[str, typer.Option("--by", help="What the site is: site, manufacturer, model_name or source.")] = "site",
    label: Annotated[str, typer.Option("--label", help="Column of what must survive.")] = "label",
    plain: Annotated[bool, typer.Option("--plain/--no-plain", help="Compare with unharmonized pixels too: reads the sources again.")] = True,
    json: Annotated[bool, typer.Option("--json", callback=wants_json, help="One JSON document on stdout.")] = False,
) -> None:
    """Prove what harmonization does, on held-out patients; or fit what the recipe applies.

    Pixels are harmonized by `curaloop ingest`, features by `curaloop finetune`, as the recipe says. This command shows whether that was a good idea.

    Example: [bold]curaloop harmonize --report --by manufacturer[/]
    """
    from flows.harmonization import run_harmonize_fit, run_harmonize_report
    from flows.showing_harmonization import show_fit, show_proof

    if report == fit:
        raise UsageError("say --report, to measure what harmonization does, or --fit, to fit landmarks and references on train")
    if fit:
        fitted = at_work(ctx, run_harmonize_fit)
        print_json(fitted) if json else show_fit(fitted)
        return
    found = at_work(ctx, lambda work: run_harmonize_report(work, version, by, label, plain))
    print_json(found) if json else show_proof(found)
