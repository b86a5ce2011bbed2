"""What went out: one signed line for each task that we issued, so that only answers to our own questions count.

A line binds the case to the exact picture and questions by an HMAC with the project's key. Lines are kept in `records/issued.jsonl`
and hold pseudonyms and hashes only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.errors import IntegrityError
from curation.project import Project
from curation.pseudonyms import pseudonym


@dataclass(frozen=True)
class IssuedTask:
    """One task that we issued.

    Attributes:
        case_id: keyed pseudonym of the image, the only name that the reader's tool knows.
        image_id: the record.
        image_sha256: hash of the rendered picture.
        config_sha256: hash of the questions.
        choices: classes that were offered.
        label: label that the image had, or was asked to show, when the task went out; never told to the reader.
        route: why it went out.
        url: where the task says that its picture is.
        issued_at: UTC, ISO 8601.
        signature: HMAC over all of the above.
    """

    case_id: str
    image_id: str
    image_sha256: str
    config_sha256: str
    choices: tuple[str, ...]
    label: str | None
    route: str
    url: str
    issued_at: str
    signature: str = ""

    def signed(self, key: bytes) -> IssuedTask:
        """Return the same line with its signature."""
        return IssuedTask(**{**asdict(self), "choices": self.choices, "signature": self._sign(key)})

    def is_ours(self, key: bytes) -> bool:
        """Say whether the signature holds."""
        return hmac.compare_digest(self.signature, self._sign(key))

    def _sign(self, key: bytes) -> str:
        content = {name: value for name, value in asdict(self).items() if name != "signature"}
        return hmac.new(key, b"issued\0" + json.dumps(content, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def case_of(key: bytes, image_id: str) -> str:
    """Return the case_id of an image."""
    return pseudonym(key, "case", image_id)


def marker_of(key: bytes, project: Project) -> str:
    """Return the mark in the description of our Label Studio project, by which it is found again."""
    return f"curaloop:{pseudonym(key, 'review', project.root.resolve().name)}"


def issued_path(project: Project) -> Path:
    """Return the file of issued tasks."""
    return project.records / "issued.jsonl"


def read_issued(project: Project) -> dict[str, IssuedTask]:
    """Return the newest line of each case, by case_id."""
    lines = read_lines(issued_path(project))
    return {line["case_id"]: IssuedTask(**{**line, "choices": tuple(line["choices"])}) for line in lines}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON lines of a file. A last line without an end was cut short by a crash and does not count.

    Raises:
        IntegrityError: a whole line is not JSON.
    """
    if not path.exists():
        return []
    *whole, _ = path.read_bytes().split(b"\n")
    try:
        return [json.loads(line) for line in whole if line]
    except json.JSONDecodeError as error:
        raise IntegrityError(path, "a line is not JSON") from error


def append_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Append JSON lines and flush them to the disk; a line that a crash cut short is removed first."""
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode()
    if not text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
