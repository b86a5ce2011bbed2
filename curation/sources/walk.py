"""Which files a source holds. Links are not followed, devices and pipes are not opened, nothing is ever written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal[
    "file", "link", "special", "unreadable", "partial", "not_sent",
    "unsafe_path", "encrypted", "compression", "member_too_large", "member_damaged", "nested_archive", "same_name",
    "archive", "archive_document", "archive_damaged", "archive_bomb", "archive_members", "archive_format", "archive_name", "archive_no_space",
    "archive_changed", "archive_unreadable", "archive_crashed",
]  # fmt: skip
PARTIAL = ".curaloop-partial"
"""End of the name of a file that Curaloop is still receiving, or of a folder with such files."""


class Found(NamedTuple):
    r"""One directory entry that is not a folder.

    Attributes:
        path: relative to the source, `/` between folders, valid UTF-8: backslashes are doubled, bytes that are not UTF-8 are written `\\xff`.
        real: what to open.
        size_bytes: size.
        mtime_ns: time of the last change.
        state: regular file, symbolic link, device or pipe, a folder or entry that we may not read, a file that is still being received, or what
            is wrong with an archive or its member.
    """

    path: str
    real: str
    size_bytes: int
    mtime_ns: int
    state: State


def printable_path(path: str) -> str:
    """Return a path from the file system as valid UTF-8 text; different paths stay different."""
    if path.isascii() and "\\" not in path:
        return path
    return os.fsencode(path.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def walk(root: Path) -> Iterator[Found]:
    """Yield every entry below `root` that is not a folder; one file itself may be the root. Folders are read one at a time, in no fixed order."""
    if not root.is_dir():
        status = root.stat()
        yield Found(printable_path(root.name), str(root), status.st_size, status.st_mtime_ns, "file" if stat.S_ISREG(status.st_mode) else "special")
        return
    base = len(str(root)) + 1
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False) and not entry.name.endswith(PARTIAL):
                        folders.append(entry.path)
                    else:
                        yield _describe(entry, base)
        except OSError:
            yield Found(printable_path(folder[base:] or "."), folder, 0, 0, "unreadable")


def _describe(entry: os.DirEntry[str], base: int) -> Found:
    path = printable_path(entry.path[base:])
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return Found(path, entry.path, 0, 0, "unreadable")
    state: State = "file" if stat.S_ISREG(status.st_mode) else "link" if stat.S_ISLNK(status.st_mode) else "special"
    if path.endswith(PARTIAL):
        state = "partial"
    return Found(path, entry.path, status.st_size, status.st_mtime_ns, state)
