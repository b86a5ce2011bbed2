"""Commands about versions and state: status, diff, verify, report."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.console import out, print_json, table
from flows.doorstep import at_work, wants_json

Json = Annotated[bool, typer.Option("--json", callback=wants_json, help="One JSON document on stdout.")]
Version = Annotated[str | None, typer.Argument(help="e.g. data-v2; default: the current version.")]


def status(ctx: typer.Context, json: Json = False) -> None:
    """Show where the project stands and what to do next."""
    from flows.status import read_status, show_status

    found = at_work(ctx, read_status)
    if json:
        print_json(found)
        return
    show_status(found)


def diff(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="e.g. data-v1; `curaloop status` names the newest.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="e.g. data-v2.")],
    json: Json = False,
) -> None:
    """Show what changed between two versions: images added, removed, relabelled, on another side of the split.

    Example: [bold]curaloop diff data-v1 data-v2[/]
    """
    from flows.showing import show_diff
    from flows.stages import run_diff

    found = at_work(ctx, lambda work: run_diff(work, old, new))
    if json:
        print_json(found)
        return
    show_diff(old, new, found)


def verify(ctx: typer.Context, version: Version = None, json: Json = False) -> None:
    """Check a version again: every byte, every invariant, the ledger. Exit code 1 when something does not hold.

    Example: [bold]curaloop verify data-v2 --json[/]
    """
    from flows.showing import show_checks
    from flows.stages import run_verify

    checks = at_work(ctx, lambda work: run_verify(work, version))
    holds = all(check.passed for check in checks)
    if json:
        print_json({"version": version, "passed": holds, "checks": checks})
    else:
        show_checks(f"Verify {version or 'the current version'}", checks)
        out().print(
            "[green]everything holds[/]"
            if holds
            else "[bold red]something does not hold[/]: do not train on this version; damaged files in data/ come back with `dvc checkout --force`"
        )
    if not holds:
        raise typer.Exit(1)


def report(ctx: typer.Context, version: Version = None) -> None:
    """Write the HTML report of a version: one file, opens offline."""
    from flows.stages import run_report

    path: Any = at_work(ctx, lambda work: run_report(work, version))
    out().print(table("Report", [("file", str(path))], "", ""))
