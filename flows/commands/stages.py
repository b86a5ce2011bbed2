"""Commands of the loop: run, ingest, curate, gaps, synthesize, review, release, finetune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import stages, synthesizing
from flows.console import print_json
from flows.doorstep import at_work, wants_json

if TYPE_CHECKING:
    from flows.stages import Work

Json = Annotated[bool, typer.Option("--json", callback=wants_json, help="One JSON document on stdout.")]
review = typer.Typer(help="Experts judge in Label Studio: push the queue, pull verdicts.", no_args_is_help=True)


def run(
    ctx: typer.Context,
    json: Json = False,
    finetune: Annotated[bool, typer.Option("--finetune", help="Fine-tune here afterwards instead of leaving it to Prefect.")] = False,
) -> None:
    """Run the whole loop once: ingest, curate, synthesize, review push, release.

    Nothing changed, nothing done: a second run makes no new version.

    Example: [bold]curaloop -C lungs run --json > report.json[/]
    """
    report = at_work(ctx, lambda work: stages.run_loop(work, with_finetune=finetune))
    if json:
        print_json(report)
        return
    from flows.showing import show_loop

    show_loop(report)


def ingest(ctx: typer.Context) -> None:
    """Bring the sources in: read, de-identify, harmonize, store. Sources are never changed."""
    from flows.showing import show_ingest

    show_ingest(at_work(ctx, stages.run_ingest))


def curate(ctx: typer.Context) -> None:
    """Apply verdicts, find duplicates, split by patient, measure the gaps."""
    from flows.showing import show_curate

    show_curate(at_work(ctx, stages.run_curate))


def gaps(ctx: typer.Context, json: Json = False) -> None:
    """Show what the cohort lacks, cell by cell."""
    found = at_work(ctx, stages.run_gaps)
    if json:
        print_json(found)
        return
    from flows.showing import show_gaps

    show_gaps(found)


def synthesize(
    ctx: typer.Context,
    replay: Annotated[str | None, typer.Option("--replay", metavar="IMAGE_ID", help="Make one synthetic image again and compare it bit by bit.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only look at data and machine, time a few steps, and show what would be trained and why.")] = False,
    json: Json = False,
) -> None:
    """Make and screen candidates for the gaps; experts decide about each.

    Trains a generator on train rows, minutes to hours: [bold]--plan[/] says how long and trains nothing.
    Stopped, the same command goes on from its last checkpoint.
    On several GPUs: [bold]accelerate launch "$(which curaloop)" synthesize[/]

    Example of a quick trial: [bold]CURALOOP_SYNTHESIS__GENERATOR__STEPS=50 curaloop synthesize[/]
    """
    from flows.showing import show_report
    from flows.showing_synthesis import show_plan, show_synthesis

    if plan:
        planned = at_work(ctx, synthesizing.run_plan)
        print_json(planned) if json else show_plan(planned)
        return
    if replay:
        replayed = at_work(ctx, lambda work: synthesizing.run_replay(work, replay))
        print_json(replayed) if json else show_report("Replay", replayed, "the image is bit by bit the one in its row")
        return

    report = at_work(ctx, synthesizing.run_asked_synthesis)
    print_json(report) if json else show_synthesis(report)


@review.command("push")
def review_push(ctx: typer.Context) -> None:
    """Hand the review queue to Label Studio; what is there already is not sent again."""
    from flows.showing import show_push

    show_push(at_work(ctx, stages.run_push))


@review.command("pull")
def review_pull(ctx: typer.Context) -> None:
    """Fetch new verdicts; each becomes a line in records/verdicts.jsonl."""
    from flows.showing import show_report

    then = "next: curaloop curate applies them; then curaloop lift, when synthetic images were accepted, and curaloop release"
    show_report("Review pull", at_work(ctx, stages.run_pull), then)


@review.command("status")
def review_status(ctx: typer.Context) -> None:
    """Show how far the readers are."""
    from flows.showing import show_report

    show_report("Review", at_work(ctx, stages.run_review_status), "")


def release(ctx: typer.Context) -> None:
    """Check everything that must hold and make the next version, if anything changed."""
    from flows.showing import show_release

    def checked_and_told(work: Work) -> tuple[Any, str]:
        report = stages.run_release(work)
        return report, stages.announce(work, report.version)

    show_release(*at_work(ctx, checked_and_told))


def finetune(ctx: typer.Context, version: Annotated[str | None, typer.Argument(help="e.g. data-v2; default: the current version.")] = None) -> None:
    """Fine-tune and evaluate on a version; done once for each version and recipe.

    Example: [bold]curaloop finetune data-v2[/]
    """
    from flows.showing import show_finetune

    show_finetune(at_work(ctx, lambda work: stages.run_finetune(work, version)))
