"""The edge of the command line: one place turns errors into a message and an exit code.

0 done; 1 a gate refused or a check failed; 2 wrong use or recipe; 3 an outside service could not be reached; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperGroup

from curation.errors import CuraloopError

if TYPE_CHECKING:
    from flows.stages import Work

T = TypeVar("T")

FULL = "the disk is full: make room, or move the project, and run the same command again; what was finished is kept"
CLOSED = "a file or folder may not be written or read: look at its owner, its rights and whether the disk is mounted read-only, then run the same command again"
REMEDIES = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: CLOSED, errno.EACCES: CLOSED, errno.EPERM: CLOSED}


@dataclass
class Call:
    """What one call of the command line is about.

    Attributes:
        here: folder from which the project is looked for and to which other paths are relative, as with `git -C`.
        wants_json: stdout gets one JSON document and nothing else, also when it fails.
    """

    here: Path = field(default_factory=Path.cwd)
    wants_json: bool = False


class Doorstep(TyperGroup):
    """The group of all commands; every error passes here once."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command and end the process with the exit code of what went wrong."""
        try:
            return super().invoke(ctx)
        except CuraloopError as error:
            _tell(str(error), ctx.obj, error.exit_code, type(error).__name__)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _tell("stopped; what was finished is kept, the same command goes on from there", ctx.obj, 130, "Interrupted")
            raise typer.Exit(130) from error
        except Exception as error:
            if isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "exit_code"):
                raise  # typer's own: wrong options, --help
            if isinstance(error, OSError) and error.errno in REMEDIES:
                _tell(REMEDIES[error.errno], ctx.obj, 1, type(error).__name__)
                raise typer.Exit(1) from error
            _show_lines(error)
            message = f"unexpected {type(error).__name__} (see the traceback above). Run the same command again; if it stays, please report it."
            _tell(message, ctx.obj, 1, type(error).__name__)
            raise typer.Exit(1) from error


def _show_lines(error: BaseException) -> None:
    """Print the lines of code that led to an error and its causes, without what a library says of it: that may quote a row, a file or its name."""
    cause = error.__cause__ or error.__context__
    if cause is not None:
        _show_lines(cause)
    print("Traceback (most recent call last):", file=sys.stderr)
    traceback.print_tb(error.__traceback__)
    said = error.strerror if isinstance(error, OSError) else ""
    print(f"{type(error).__name__}: {said or '(its text is not shown, it may hold data of patients)'}", file=sys.stderr)


def _tell(message: str, call: Call | None, code: int, kind: str) -> None:
    from rich.markup import escape

    from flows.console import err, print_json

    err().print(f"[bold red]error[/] {escape(message)}", soft_wrap=True)
    if call and call.wants_json:
        print_json({"error": {"kind": kind, "message": message, "exit_code": code}})


def call_of(ctx: typer.Context) -> Call:
    """Return what this call is about."""
    call = ctx.find_object(Call)
    return call if call is not None else Call()


def at_work(ctx: typer.Context, stage: Callable[[Work], T]) -> T:
    """Open the project and run `stage` on it with a progress bar; what libraries print goes to stderr."""
    from flows.console import progress_bar, stdout_to_stderr
    from flows.stages import open_work

    with stdout_to_stderr(), progress_bar() as progress:
        return stage(open_work(call_of(ctx).here, progress))


def quietly(task: Callable[[], T], what: str = "") -> T:
    """Run something that is not a stage; what libraries print goes to stderr."""
    from flows.console import err, stdout_to_stderr

    with stdout_to_stderr():
        if not what or not sys.stderr.isatty():
            return task()
        with err().status(what):
            return task()


def wants_json(ctx: typer.Context, value: bool) -> bool:
    """Remember `--json` before the command starts, so that errors are JSON too."""
    call_of(ctx).wants_json = value
    return value
