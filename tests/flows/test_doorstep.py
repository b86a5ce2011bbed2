"""The edge of the command line: how errors become exit codes."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from curation.errors import CuraloopError, GateError, IntegrityError, LockedError, RecipeError, ServiceError, UsageError
from flows.console import stdout_to_stderr
from flows.doorstep import Call, Doorstep, wants_json

ERRORS = [
    (GateError("release", ("a patient on two sides",)), 1),
    (IntegrityError(Path("shard"), "shorter than its record"), 1),
    (UsageError("wrong"), 2),
    (RecipeError(Path("curaloop.toml"), "split", "must be 1", 3), 2),
    (LockedError(Path("lock"), "somebody"), 2),
    (ServiceError("Prefect", "http://127.0.0.1", "does not answer"), 3),
]


def an_app(error: BaseException) -> typer.Typer:
    """Return a command line with one command that fails."""
    app = typer.Typer(cls=Doorstep, pretty_exceptions_enable=False)

    @app.callback()
    def main(ctx: typer.Context) -> None:
        ctx.obj = Call()

    @app.command()
    def fail(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", callback=wants_json)] = False) -> None:
        patient = "Doe^Jane"  # noqa: F841  # a local value that no message may show
        with stdout_to_stderr():
            print("a library talks")
            raise error

    return app


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_error_has_its_exit_code_and_its_message(error: CuraloopError, code: int) -> None:
    """One place maps errors to codes; stdout stays empty."""
    answer = CliRunner().invoke(an_app(error), ["fail"])
    assert answer.exit_code == code
    assert answer.stdout == ""
    assert str(error).splitlines()[0] in answer.stderr.replace("\n", " ") or str(error).splitlines()[0] in answer.stderr


def test_an_unexpected_error_is_exit_code_1_without_local_values() -> None:
    """The traceback shows lines of code, never what the variables held."""
    answer = CliRunner().invoke(an_app(ZeroDivisionError("division by zero")), ["fail"])
    assert answer.exit_code == 1
    assert "unexpected ZeroDivisionError" in answer.stderr
    assert "Traceback" in answer.stderr
    assert answer.stderr.count("Doe^Jane") == 0


def test_an_unexpected_error_does_not_quote_what_a_library_read() -> None:
    """Planted: a library's text holds a name and a file; of an error of the system, its own words are shown."""
    for error, said in (
        (ValueError("row 7: Doe^Jane"), "ValueError: ("),
        (FileNotFoundError(2, "No such file or directory", "/in/Doe^Jane.dcm"), "No such file"),
    ):
        answer = CliRunner().invoke(an_app(error), ["fail"])
        assert answer.exit_code == 1
        assert said in answer.stderr
        assert "Doe" not in answer.stderr.replace('patient = "Doe^Jane"', "")


def test_with_json_a_failure_is_one_document() -> None:
    """What libraries print goes to stderr."""
    answer = CliRunner().invoke(an_app(UsageError("wrong")), ["fail", "--json"])
    assert json.loads(answer.stdout) == {"error": {"kind": "UsageError", "message": "wrong", "exit_code": 2}}
    assert "a library talks" in answer.stderr


def test_ctrl_c_is_exit_code_130_with_a_sentence() -> None:
    """No traceback, and the user hears that nothing is lost."""
    answer = CliRunner().invoke(an_app(KeyboardInterrupt()), ["fail"])
    assert answer.exit_code == 130
    assert "the same command goes on" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "the disk is full: make room"), (errno.EROFS, "mounted read-only"), (errno.EACCES, "its owner")])
def test_a_full_or_closed_disk_is_no_fault_of_ours(number: int, said: str) -> None:
    """It gets a remedy and no traceback; the file's name, which may be a patient's, stays out."""
    answer = CliRunner().invoke(an_app(OSError(number, os.strerror(number), "/in/Doe^Jane.dcm")), ["fail"])
    assert answer.exit_code == 1
    assert said in answer.stderr.replace("\n", " ")
    assert "Traceback" not in answer.stderr
    assert "Doe^Jane" not in answer.stderr
