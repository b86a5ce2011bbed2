"""`curaloop listen`: receive DICOM until somebody says stop. Inside a project its recipe says who may send; outside, the options do."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curation.errors import UsageError
from curation.project import Project, find_project
from curation.recipe import ListenSettings


def listen_settings(here: Path, inbox: Path | None, options: dict[str, Any]) -> ListenSettings:
    """Return `[listen]` of the project that holds `here`, with the options of the command line on top; paths are absolute.

    Raises:
        UsageError: an option is wrong, or outside a project no inbox is named.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    project = _project(here)
    if project is None and inbox is None:
        raise UsageError("name the folder for what is received: curaloop listen INBOX --allow TITLE")
    known = _of_recipe(project) if project is not None else {}
    if inbox is not None:
        given["inbox"] = here / inbox.expanduser()
    try:
        return ListenSettings(**{**known, **given})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        option, said = str(detail["loc"][0]), str(detail["msg"])
        title = "an AE title is 1 to 16 printable characters, without a backslash and without spaces at its ends"
        raise UsageError(f"--{option.replace('_', '-')}: {title if option in ('allow', 'ae_title') else said}") from error


def _project(here: Path) -> Project | None:
    try:
        return find_project(here)
    except UsageError:
        return None


def _of_recipe(project: Project) -> dict[str, Any]:
    from flows.settings import read_settings

    settings = read_settings(project.recipe_path).listen
    return {**settings.model_dump(), "inbox": (project.root / settings.inbox.expanduser()).resolve()}


def receive_files(settings: ListenSettings, tell: Callable[[str], None]) -> tuple[int, int, int]:
    """Listen until SIGTERM or SIGINT; return how many files came, came again, and how many callers were turned away."""
    from curation.listening import receiving

    ends = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # the threads of the receiver inherit it; only the wait below hears them
    try:
        with receiving(settings, settings.inbox, tell) as receiver:
            tell(f"listening on {settings.host} port {receiver.port} as {settings.ae_title}; may send: {', '.join(settings.allow)}")
            tell(f'files go to {settings.inbox}; a source with kind = "dicom" and this path takes them. Ctrl-C ends')
            signal.sigwait(ends)
        return receiver.received, receiver.repeated, receiver.refused
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
