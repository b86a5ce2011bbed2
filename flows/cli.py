"""The command line. Commands only translate: options to a stage call, its report to a table or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands import machine, stages, versions
from flows.commands.harmonize import harmonize
from flows.commands.lift import lift
from flows.doorstep import Call, Doorstep

app = typer.Typer(
    name="curaloop",
    cls=Doorstep,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"curaloop {version('curaloop')}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    project: Annotated[Path, typer.Option("--project", "-C", metavar="DIR", help="Run as if started in DIR.", envvar="CURALOOP_PROJECT")] = Path(),
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,  # noqa: ARG001
) -> None:
    """Raw medical images in; a curated, reviewed, versioned dataset and an evaluated model out.

    Start with [bold]curaloop init DIR[/], name your sources in its curaloop.toml, then [bold]curaloop -C DIR run[/].

    Exit codes: 0 done, 1 a gate refused or a check failed, 2 wrong use or recipe, 3 an outside service could not be reached.
    """
    ctx.obj = Call((Path.cwd() / project.expanduser()).resolve())


BEGIN, LOOP, KNOW, MACHINE = "Begin", "The loop", "Versions and state", "Servers and this machine"

app.command("init", rich_help_panel=BEGIN)(machine.init)
app.command("demo", rich_help_panel=BEGIN)(machine.demo)
app.command("run", rich_help_panel=LOOP)(stages.run)
app.command("ingest", rich_help_panel=LOOP)(stages.ingest)
app.command("harmonize", rich_help_panel=LOOP)(harmonize)
app.command("curate", rich_help_panel=LOOP)(stages.curate)
app.command("gaps", rich_help_panel=LOOP)(stages.gaps)
app.command("synthesize", rich_help_panel=LOOP)(stages.synthesize)
app.add_typer(stages.review, name="review", rich_help_panel=LOOP)
app.command("lift", rich_help_panel=LOOP)(lift)
app.command("release", rich_help_panel=LOOP)(stages.release)
app.command("finetune", rich_help_panel=LOOP)(stages.finetune)
app.command("status", rich_help_panel=KNOW)(versions.status)
app.command("diff", rich_help_panel=KNOW)(versions.diff)
app.command("verify", rich_help_panel=KNOW)(versions.verify)
app.command("report", rich_help_panel=KNOW)(versions.report)
app.command("up", rich_help_panel=MACHINE)(machine.up)
app.command("down", rich_help_panel=MACHINE)(machine.down)
app.command("deploy", rich_help_panel=MACHINE)(machine.deploy)
app.command("doctor", rich_help_panel=MACHINE)(machine.doctor)
app.command("listen", rich_help_panel=MACHINE)(machine.listen)
app.command("deidentify", rich_help_panel=MACHINE)(machine.deidentify)
