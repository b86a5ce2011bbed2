"""The ledger: every decision on one line of JSON, each line bound to the one before it by a hash.

A changed, removed, inserted or reordered line breaks the chain. Lines hold pseudonyms and hashes, never identifiers. Truncation at the end
is detected by the head that each release stores in `release.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curation.errors import IntegrityError
from curation.project import account

GENESIS = "0" * 64


def append_decision(path: Path, action: str, *, what: str, why: str, old: Any = None, new: Any = None, who: str | None = None) -> str:
    """Append one decision, flush it to the disk and return its hash, the new head of the chain; a line that a crash cut short is removed first.

    Args:
        path: the ledger.
        action: verb, e.g. `released`, `relabelled`, `accepted`.
        what: what the decision is about, e.g. an image_id or a version.
        why: one sentence.
        old: value before, as JSON.
        new: value after, as JSON.
        who: reader or user; default: the account that runs this process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    last = last_line(path)
    line = {
        "seq": last["seq"] + 1 if last else 0,
        "utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": who or account(),
        "action": action,
        "what": what,
        "why": why,
        "old": old,
        "new": new,
        "prev": last["hash"] if last else GENESIS,
    }
    line["hash"] = _hash(line)
    with path.open("ab") as file:
        file.truncate(_whole_bytes(path))
        file.write((json.dumps(line, sort_keys=True) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
    return str(line["hash"])


def _whole_bytes(path: Path) -> int:
    """Return where the last whole line ends: what comes after it was never acknowledged."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 4096)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def _hash(line: dict[str, Any]) -> str:
    content = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_ledger(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every decision, first to last. Raise `IntegrityError` on a line that is not JSON; a last line without an end does not count."""
    if not path.exists():
        return
    with path.open() as file:
        for number, text in enumerate(file, start=1):
            if not text.endswith("\n"):
                return
            try:
                yield json.loads(text)
            except json.JSONDecodeError as error:
                raise IntegrityError(path, f"line {number} is not JSON") from error


def last_line(path: Path) -> dict[str, Any] | None:
    """Return the newest decision, reading only the end of the file."""
    end = _whole_bytes(path) if path.exists() else 0
    if end == 0:
        return None
    with path.open("rb") as file:
        size = 4096
        while True:
            file.seek(end - min(size, end))
            lines = file.read(min(size, end)).splitlines()
            if len(lines) > 1 or size >= end:
                break
            size *= 4
    try:
        line: dict[str, Any] = json.loads(lines[-1])
    except json.JSONDecodeError as error:
        raise IntegrityError(path, "the last line is not JSON; `curaloop verify` says more") from error
    return line


def verify_ledger(path: Path, head: str | None = None) -> int:
    """Return the number of decisions when the chain holds, else raise `IntegrityError` that names the first bad line.

    Args:
        path: the ledger.
        head: a hash that must be in the chain (the one that a release stored), so that a cut-off end is found.
    """
    expected, seen, count = GENESIS, head is None or head == GENESIS, 0
    for count, line in enumerate(read_ledger(path), start=1):
        if line.get("prev") != expected or line.get("hash") != _hash(line) or line.get("seq") != count - 1:
            raise IntegrityError(path, f"line {count} does not follow from the line before it")
        expected = line["hash"]
        seen = seen or expected == head
    if not seen:
        raise IntegrityError(path, "lines are missing at the end: a release's ledger head is not in it")
    return count
