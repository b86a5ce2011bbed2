"""Every error that Curaloop raises on purpose, in one tree.

    CuraloopError                 exit code 1
    ├── UsageError                exit code 2: wrong use of a command or a project
    │   ├── RecipeError           a key of the recipe (curaloop.toml) is wrong
    │   ├── SourceError           a source of the recipe is not there, or its table is wrong
    │   └── LockedError           somebody else is writing in this project
    ├── ServiceError              exit code 3: an outside service could not be reached
    ├── ImageError                one input file or series cannot be used: it goes to quarantine
    ├── WorkerLostError           the process that did a job died or was stopped: the job, or a part of it, is to blame
    ├── IntegrityError            a stored file is not what its record says
    └── GateError                 checks that must hold before a release do not

A caller that wants to survive everything that Curaloop means to say:

    try:
        release_dataset(...)
    except CuraloopError as error:
        print(error, error.exit_code)

No message holds a patient's name, id or date. All constructor arguments go to `super().__init__`, so that an error
raised in a worker process can be pickled back.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def near(word: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'classes'?" for a word that is nearly one of those known, else an empty text."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f", did you mean {by_lower[found[0]]!r}?" if found else ""


class CuraloopError(Exception):
    """Anything that Curaloop raises on purpose."""

    exit_code = 1


class UsageError(CuraloopError):
    """A command or a project is used in a way that cannot work."""

    exit_code = 2

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RecipeError(UsageError):
    """A key of the recipe is wrong; the message names the file, the line and the key."""

    def __init__(self, path: Path, key: str, reason: str, line: int | None = None) -> None:
        CuraloopError.__init__(self, path, key, reason, line)
        self.path, self.key, self.reason, self.line = path, key, reason, line

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.key}: {self.reason}"


class SourceError(UsageError):
    """A source of the recipe is not there, or its table is not what the recipe says; `flows` adds file and line."""

    def __init__(self, source: str, key: str, reason: str) -> None:
        CuraloopError.__init__(self, source, key, reason)
        self.source, self.key, self.reason = source, key, reason

    def __str__(self) -> str:
        return f"source {self.source!r}: {self.key}: {self.reason}"


class LockedError(UsageError):
    """Another process holds the project's lock."""

    def __init__(self, path: Path, owner: str) -> None:
        CuraloopError.__init__(self, path, owner)
        self.path, self.owner = path, owner

    def __str__(self) -> str:
        return f"{self.path} is held by {self.owner}; wait for it, or stop that process"


class ServiceError(CuraloopError):
    """Label Studio, Prefect, a PACS or a DVC remote could not be reached, or answered with a failure."""

    exit_code = 3

    def __init__(self, service: str, address: str, reason: str) -> None:
        super().__init__(service, address, reason)
        self.service, self.address, self.reason = service, address, reason

    def __str__(self) -> str:
        return f"{self.service} at {self.address}: {self.reason}"


class ImageError(CuraloopError):
    """One input cannot be used. `code` is a stable upper-case word, `reason` one sentence without identifiers."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class WorkerLostError(CuraloopError):
    """The process that did a job is gone. `code` is CRASHED, TIMEOUT or WORKER_LOST, `reason` one sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class IntegrityError(CuraloopError):
    """A stored file is not what its record says it is."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class GateError(CuraloopError):
    """Checks failed, so nothing was released. `failures` holds one sentence a failed check."""

    def __init__(self, gate: str, failures: tuple[str, ...]) -> None:
        super().__init__(gate, failures)
        self.gate, self.failures = gate, failures

    def __str__(self) -> str:
        return f"{self.gate} refused:\n" + "\n".join(f"  - {failure}" for failure in self.failures)
