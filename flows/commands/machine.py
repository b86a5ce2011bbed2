"""Commands about projects, servers and this computer: init, demo, up, down, deploy, doctor, deidentify, listen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.doorstep import at_work, call_of, quietly


def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new project.")],
    remote: Annotated[str, typer.Option(help="DVC remote: a folder or a URL such as s3://bucket/path. Default: DIR-remote beside it.")] = "",
    name: Annotated[str, typer.Option(help="Name of the dataset. Default: the folder's.")] = "",
) -> None:
    """Make a dataset project: git, DVC, a commented recipe, a key, a first commit.

    Example: [bold]curaloop init lungs --remote /archive/lungs-versions[/]
    """
    import shlex

    from rich.markup import escape

    from flows.console import out
    from flows.init_project import init_project

    made = quietly(lambda: init_project(call_of(ctx).here / folder.expanduser(), remote, name))
    console = out()
    console.print(f"[bold]New project[/] {escape(str(made.root))}", soft_wrap=True)
    console.print(f"  recipe   {escape(str(made.root / 'curaloop.toml'))}", soft_wrap=True)
    console.print(f"  remote   {escape(made.remote)}", soft_wrap=True)
    state = "made now, readable by you only" if made.key_is_new else "was there already"
    console.print(f"  key      {escape(str(made.key))} ({state})", soft_wrap=True)
    console.print("           [dim]all pseudonyms come from it: back it up in a safe place, never beside the data; lose it and ids change[/]", soft_wrap=True)
    console.print(f"[dim]next: add a \\[\\[source]] to curaloop.toml, then: curaloop -C {escape(shlex.quote(str(folder)))} run[/]", soft_wrap=True)


def demo(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the demo's project.")] = Path("demo-project"),
) -> None:
    """Run the whole loop on a simulated hospital, with simulated readers."""
    from flows.console import out
    from flows.demo.run_demo import run_demo

    raise typer.Exit(run_demo(call_of(ctx).here / folder, out()))


def up(
    ctx: typer.Context,
    label_studio: Annotated[bool, typer.Option(help="Also start Label Studio.")] = True,
) -> None:
    """Start a local Prefect server, a worker and Label Studio on 127.0.0.1. Already up: says so."""
    from flows.console import err, out
    from flows.services import start_services

    err().print("[dim]looking for servers, starting what is missing; the first start takes a minute or two …[/]")
    running, started = at_work(ctx, lambda work: start_services(work.project, work.settings, label_studio))
    console = out()
    if not (running.prefect or running.label_studio):
        console.print("nothing to start: the recipe's \\[services] names those of your team")
        return
    console.print(f"started {', '.join(started)}" if started else "already up")
    if running.prefect:
        user, _, password = running.prefect.auth_string.partition(":")
        console.print(f"  Prefect       {running.prefect.url}   log in with: {user}:{password}", markup=False, soft_wrap=True)
    if running.label_studio:
        studio = running.label_studio
        console.print(f"  Label Studio  {studio.url}   user {studio.email}   password {studio.password}", markup=False, soft_wrap=True)
    console.print("[dim]next: curaloop deploy registers schedules and the fine-tuning trigger; curaloop down stops everything[/]", soft_wrap=True)


def down(ctx: typer.Context) -> None:
    """Stop what `curaloop up` started."""
    from curation.project import find_project
    from flows.console import out
    from flows.services import stop_services

    stopped = quietly(lambda: stop_services(find_project(call_of(ctx).here)), "stopping")
    out().print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def deploy(ctx: typer.Context) -> None:
    """Register this project's flows, schedules and the release trigger with Prefect."""
    from flows.console import out, table
    from flows.deployments import deploy as deploy_to

    access, names = at_work(ctx, lambda work: deploy_to(work.project, work.settings))
    out().print(table(f"Deployed to {access.api_url}", [(name,) for name in names], "flow/deployment"))
    variables = f"PREFECT_API_URL={access.api_url} PREFECT_API_AUTH_STRING='<what curaloop up shows>'"
    out().print(f"[dim]to start one: {variables} prefect deployment run {names[0]} --watch[/]", soft_wrap=True)


def doctor(ctx: typer.Context) -> None:
    """Check this computer and, inside one, this project. Exit code 1 when something needs repair."""
    from flows.console import err, out
    from flows.doctor import examine, show_findings

    with err().status("looking"):
        findings = examine(call_of(ctx).here)
    show_findings(findings, out())
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def deidentify(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="File or folder; only read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the cleaned files; must be empty or new.")],
    clean_pixel_data: Annotated[bool | None, typer.Option(help="Cover burned-in text; without, an image that shows text is refused.")] = None,
    clean_descriptors: Annotated[bool | None, typer.Option(help="Keep codes of anatomy, views and segments that the standard has.")] = None,
    retain_longitudinal_modified_dates: Annotated[bool | None, typer.Option(help="Keep dates, moved by a secret number of days a patient.")] = None,
    retain_patient_characteristics: Annotated[bool | None, typer.Option(help="Keep sex, age (at most 90), height, weight.")] = None,
    retain_device_identity: Annotated[bool | None, typer.Option(help="Keep known names of models.")] = None,
    retain_safe_private: Annotated[bool | None, typer.Option(help="Keep private numbers known to be safe, e.g. b-values.")] = None,
    accept_face_risk: Annotated[bool | None, typer.Option(help="Pass head volumes with thin slices, from which a face could be drawn.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: the recipe's executor, else one for each core.")] = None,
) -> None:
    """Write de-identified copies: DICOM to DICOM, NIfTI to NIfTI, images to images. Needs no project.

    Options are those of DICOM PS3.15; inside a project the table deidentify of its recipe says what is not given here. What cannot be cleaned is refused
    with a reason and not written; that is no failure, so scripts look at the counts.

    Example: [bold]curaloop deidentify /archive/export /tmp/cleaned[/]
    """
    from flows.deidentification import options_of, run_deidentify, show_deidentify

    given = {
        "clean_pixel_data": clean_pixel_data, "clean_descriptors": clean_descriptors,
        "retain_longitudinal_modified_dates": retain_longitudinal_modified_dates, "retain_patient_characteristics": retain_patient_characteristics,
        "retain_device_identity": retain_device_identity, "retain_safe_private": retain_safe_private, "accept_face_risk": accept_face_risk,
    }  # fmt: skip
    here = call_of(ctx).here
    settings, executor = options_of(here, {name: value for name, value in given.items() if value is not None}, workers)
    show_deidentify(run_deidentify(here / source.expanduser(), here / target.expanduser(), settings, executor), target)


def listen(
    ctx: typer.Context,
    inbox: Annotated[Path | None, typer.Argument(metavar="INBOX", help="Folder for what is received. Default: inbox of \\[listen] in the recipe.")] = None,
    allow: Annotated[list[str] | None, typer.Option(metavar="TITLE", help="AE title that may send; may be repeated.")] = None,
    ae_title: Annotated[str | None, typer.Option(metavar="TITLE", help="What the receiver is called. Default: CURALOOP.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: 11112; 0: any free one.")] = None,
) -> None:
    """Receive DICOM files from scanners or a PACS (C-STORE, C-ECHO) into a folder that a source reads.

    Runs until Ctrl-C or SIGTERM. Only callers on the list may send. DICOM is not encrypted: outside of 127.0.0.1 use a network that you trust.

    Example: [bold]curaloop listen /data/inbox --allow CT_ROOM_1 --allow PACS --host 10.0.0.5[/]
    """
    from flows.console import err, out
    from flows.receive_files import listen_settings, receive_files

    options = {"allow": tuple(allow or ()), "ae_title": ae_title, "host": host, "port": port}
    settings = listen_settings(call_of(ctx).here, inbox, options)
    came, again, refused = receive_files(settings, lambda line: err().print(line, markup=False, highlight=False, soft_wrap=True))
    out().print(f"{came:,} files received, {again:,} sent again, {refused:,} callers turned away")
