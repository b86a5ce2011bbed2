"""Where the files of a dataset project lie, and who may write them.

A project is a folder with `curaloop.toml`, made by `curaloop init`. `data/` is versioned by DVC, `records/` by git,
`workspace/` by nobody: it may be deleted, what was released comes back from `data/`, the rest is computed again.
"""

from __future__ import annotations

import getpass
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curation.errors import LockedError, UsageError

RECIPE_NAME = "curaloop.toml"


@dataclass(frozen=True)
class Project:
    """The places of one dataset project. Nothing is created by making this object."""

    root: Path

    @property
    def recipe_path(self) -> Path:
        """The recipe."""
        return self.root / RECIPE_NAME

    @property
    def data(self) -> Path:
        """The current dataset version, tracked by `data.dvc`."""
        return self.root / "data"

    @property
    def released_shards(self) -> Path:
        """Immutable tar shards of released images."""
        return self.data / "shards"

    @property
    def records(self) -> Path:
        """Append-only text without identifiers, tracked by git."""
        return self.root / "records"

    @property
    def ledger(self) -> Path:
        """Every decision, hash-chained."""
        return self.records / "ledger.jsonl"

    @property
    def verdicts(self) -> Path:
        """Every annotation that came back from the readers."""
        return self.records / "verdicts.jsonl"

    @property
    def workspace(self) -> Path:
        """Everything that is not versioned."""
        return self.root / "workspace"

    @property
    def manifest(self) -> Path:
        """The working manifest: all rows, candidates too."""
        return self.workspace / "manifest.parquet"

    @property
    def intake(self) -> Path:
        """What became of every file that was found."""
        return self.workspace / "intake.parquet"

    @property
    def working_shards(self) -> Path:
        """Shards of images that are not released yet."""
        return self.workspace / "shards"

    @property
    def quarantine(self) -> Path:
        """Records of inputs that cannot be used."""
        return self.workspace / "quarantine"

    @property
    def review(self) -> Path:
        """Rendered images that the readers see, and which tasks were issued."""
        return self.workspace / "review"

    @property
    def inbox(self) -> Path:
        """What was fetched from a PACS, one folder a source; identified data."""
        return self.workspace / "inbox"

    @property
    def models(self) -> Path:
        """Generators, probes and encoders that were trained here."""
        return self.workspace / "models"

    @property
    def runs(self) -> Path:
        """Typed reports of stages, logs of services."""
        return self.workspace / "runs"

    @property
    def reports(self) -> Path:
        """HTML reports."""
        return self.workspace / "reports"

    def shard_folders(self) -> tuple[Path, ...]:
        """Return the folders in which a shard may lie, released ones first."""
        return (self.released_shards, self.working_shards)

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Hold the project's one write lock, or raise `LockedError` that names who holds it."""
        from filelock import FileLock, Timeout

        self.workspace.mkdir(parents=True, exist_ok=True)
        owner = self.workspace / "lock.owner"
        lock = FileLock(self.workspace / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            held_by = owner.read_text().strip() if owner.exists() else "another process"
            raise LockedError(self.workspace / "lock", held_by) from error
        try:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            owner.write_text(f"{what}, process {os.getpid()} of {account()} since {now}\n")
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()


def find_project(start: Path) -> Project:
    """Return the project that holds `start`, looking upwards for `curaloop.toml` as git does for `.git`."""
    if not start.is_dir():
        raise UsageError(f"{start} is not a folder; name one with -C DIR, or make one with `curaloop init DIR`")
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / RECIPE_NAME).is_file():
            return Project(folder)
    raise UsageError(f"{start} is not in a Curaloop project: no {RECIPE_NAME} here or above; `curaloop init DIR` makes one")


def account() -> str:
    """Return the name of the account that runs this process, or its number where it has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # Python 3.13 raises the second one
        return str(os.getuid())


def key_path() -> Path:
    """Return where the pseudonymization key lies: `CURALOOP_KEY_FILE`, else the user's configuration folder."""
    named = os.environ.get("CURALOOP_KEY_FILE")
    return Path(named).expanduser() if named else Path("~/.config/curaloop/key").expanduser()


def create_key() -> Path:
    """Make a new random key of 32 bytes, readable by its owner only, unless there is one; return its path."""
    path = key_path()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    return path


def read_key(project: Project) -> bytes:
    """Return the key. Raise `UsageError` when it is missing, inside the project, or readable by others."""
    path = key_path()
    if not path.is_file():
        raise UsageError(f"no key at {path}: set CURALOOP_KEY_FILE, or let `curaloop init` make one")
    if path.resolve().is_relative_to(project.root.resolve()):
        raise UsageError(f"the key {path} lies inside the project; move it out, it must never be shared with the data")
    if path.stat().st_mode & 0o077:
        raise UsageError(f"the key {path} can be read by others: chmod 600 {path}")
    key = path.read_text().strip()
    if len(key) < 32:
        raise UsageError(f"the key {path} is too short: at least 32 characters")
    return key.encode()
