"""Archives (zip, tar, tar.gz): every member becomes a file of the run, called `archive.zip!/member`.

Members are laid out below the workspace under hashed names, never under their own, and only while they are read. Sizes are counted while bytes come out,
so that no header is believed. An archive that cannot be opened whole gives no member at all: half an archive is not a smaller one.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, cast

from isal import igzip, igzip_lib

from curation.errors import WorkerLostError
from curation.sources.walk import Found, State, printable_path

Kind = Literal["zip", "tar", "tar.gz", "other"]

VERSION = "archives-1"
"""Goes up when archives are opened differently, so that each is opened again."""
MARK = "!/"
"""Between an archive and its member."""

MAX_MEMBERS = 250_000
MAX_MEMBER_BYTES = 4 << 30
MAX_UNPACKED_BYTES = 64 << 30
SMALL_UNPACKED_BYTES = 1 << 30
MAX_RATIO = 100
"""An archive may hold 1 GiB, a larger one 100 times its size, none more than 64 GiB."""
SPARE_DISK_BYTES = 1 << 30
MAX_HEADER_BYTES = 16 << 20
HEAD_BYTES, COPY_BYTES = 1024, 1 << 20
_STATE_OF_ERROR: dict[int | None, State] = {None: "archive_damaged", errno.EINVAL: "archive_damaged", errno.ENOSPC: "archive_no_space"}
_OTHERS = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_DOCUMENTS = frozenset({"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF"})
"""Office files, e-books and Java programs are zip files too."""
_ERRORS: tuple[type[Exception], ...] = (
    tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, cast("type[Exception]", igzip_lib.IsalError), ArithmeticError, EOFError,
    LookupError, NotImplementedError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """The whole archive is refused."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


@dataclass(frozen=True)
class Archive:
    """An archive to open.

    Attributes:
        source: name of its source.
        path: printable path.
        real: what to open.
        size_bytes: size when it was found.
        mtime_ns: time of the last change when it was found; its members get the same.
        folder: where its members are laid out.
    """

    source: str
    path: str
    real: str
    size_bytes: int
    mtime_ns: int
    folder: Path

    def split(self) -> list[Archive]:
        """Return the archive alone: it cannot be divided."""
        return [self]


class Opened(NamedTuple):
    """What an archive holds; `real` of members is where they lie now."""

    source: str
    path: str
    state: State
    members: list[Found]


def archive_kind(head: bytes) -> Kind | None:
    """Return which archive begins with `head` (1024 bytes); `other` is one that is not opened, None no archive."""
    if head[128:132] == b"DICM":
        return None
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    if head[:2] == b"\x1f\x8b":
        return "tar.gz" if _inflate(head)[257:262] == b"ustar" else None
    if head.startswith(_OTHERS) or (head[:3] == b"BZh" and head[4:10] == b"1AY&SY"):
        return "other"
    return None


def _inflate(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def read_head(path: str) -> bytes:
    """Return the first 1024 bytes, nothing of a file that cannot be read: whoever reads it next will say why."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(descriptor, HEAD_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def member_place(folder: Path, inner: str) -> Path:
    """Return where a member lies: a hashed name, so that no member chooses its place."""
    return folder / hashlib.sha256(inner.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def open_archive(archive: Archive) -> Opened:
    """Lay out all members of an archive and say what they are; a refused archive leaves nothing behind."""
    members: list[Found] = []
    state: State = "archive"
    try:
        archive.folder.mkdir(parents=True, exist_ok=True)
        members = list(_lay_out(archive))
        status = Path(archive.real).stat()
        if (status.st_size, status.st_mtime_ns) != (archive.size_bytes, archive.mtime_ns):
            state = "archive_changed"
    except _Refused as refused:
        state = refused.state
    except MemoryError:
        state = "archive_bomb"
    except OSError as error:
        state = _STATE_OF_ERROR.get(error.errno, "archive_unreadable")
    except _ERRORS:
        state = "archive_damaged"
    if state != "archive":
        shutil.rmtree(archive.folder, ignore_errors=True)
        members = []
    return Opened(archive.source, archive.path, state, members)


def crash_archive(archive: Archive, lost: WorkerLostError) -> Opened:  # noqa: ARG001
    """Return the answer for an archive that takes the worker that opens it."""
    shutil.rmtree(archive.folder, ignore_errors=True)
    return Opened(archive.source, archive.path, "archive_crashed", [])


def _lay_out(archive: Archive) -> Iterator[Found]:
    """Yield the members in their order; equal names and the words of the archive about sizes are not trusted."""
    if os.path.lexists(f"{archive.real}!"):
        raise _Refused("archive_name")
    kind = archive_kind(read_head(archive.real))
    if kind not in ("zip", "tar", "tar.gz"):
        raise _Refused("archive_format" if kind else "archive_damaged")
    budget = _Budget(archive)
    seen: set[str] = set()
    for name, state, source in _zip_members(archive) if kind == "zip" else _tar_members(archive, kind == "tar.gz", budget):
        inner = printable_path(name).replace(MARK, "! /")
        if inner in seen:
            state, inner = "same_name", f"{inner} #{len(seen)}"
        seen.add(inner)
        if len(seen) > MAX_MEMBERS:
            raise _Refused("archive_members")
        place, size = member_place(archive.folder, inner), 0
        if state == "file" and source is not None:
            state, size = _copy(source, place, archive.mtime_ns, budget)
        yield Found(f"{archive.path}{MARK}{inner}", str(place), size, archive.mtime_ns, state)


class _Budget:
    """How many bytes may still come out of an archive."""

    def __init__(self, archive: Archive) -> None:
        self.left = min(MAX_UNPACKED_BYTES, max(SMALL_UNPACKED_BYTES, MAX_RATIO * archive.size_bytes))
        self.folder = archive.folder

    def spend(self, size_bytes: int) -> None:
        self.left -= size_bytes
        if self.left < 0:
            raise _Refused("archive_bomb")

    def need(self, size_bytes: int) -> None:
        """Refuse to fill the disk."""
        if size_bytes > self.left:
            raise _Refused("archive_bomb")
        if shutil.disk_usage(self.folder).free < size_bytes + SPARE_DISK_BYTES:
            raise _Refused("archive_no_space")


@dataclass(frozen=True)
class _Source:
    """Where the bytes of a member come from, and what the archive says of their number."""

    stream: IO[bytes]
    declared_bytes: int
    counts: bool


def _copy(source: _Source, place: Path, mtime_ns: int, budget: _Budget) -> tuple[State, int]:
    """Write a member under its hashed name; return its state and real size."""
    budget.need(source.declared_bytes)
    size, head = 0, b""
    try:
        with source.stream as stream, place.open("xb") as file:
            while piece := stream.read(COPY_BYTES):
                head = head or piece[:HEAD_BYTES]
                size += len(piece)
                if size > source.declared_bytes:
                    raise zipfile.BadZipFile
                if source.counts:
                    budget.spend(len(piece))
                file.write(piece)
        if size != source.declared_bytes:
            raise zipfile.BadZipFile
    except (zipfile.BadZipFile, zlib.error, EOFError):
        if not source.counts:
            raise  # a tar has no way to go on behind a damaged member
        place.unlink(missing_ok=True)
        return "member_damaged", size
    if archive_kind(head):
        place.unlink()
        return "nested_archive", size
    os.utime(place, ns=(mtime_ns, mtime_ns))
    return "file", size


def _zip_members(archive: Archive) -> Iterator[tuple[str, State, _Source | None]]:
    _refuse_many(archive)
    with zipfile.ZipFile(archive.real) as opened:
        infos = opened.infolist()
        if _DOCUMENTS & {info.filename for info in infos[:3]}:
            raise _Refused("archive_document")
        for info in infos:
            if info.is_dir():
                continue
            state, stream = _zip_state(info), None
            if state == "file":
                try:
                    stream = opened.open(info)
                except (zipfile.BadZipFile, NotImplementedError, RuntimeError):  # another name in its own header, or bytes that two members share
                    state = "member_damaged"
            yield info.filename, state, _Source(stream, info.file_size, counts=True) if stream else None


def _zip_state(info: zipfile.ZipInfo) -> State:
    mode = info.external_attr >> 16
    if not is_safe(info.filename):
        return "unsafe_path"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "special"
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        return "compression"
    return "file" if info.file_size <= MAX_MEMBER_BYTES else "member_too_large"


def _refuse_many(archive: Archive) -> None:
    """Refuse a zip whose list of members would fill the memory, before it is read."""
    with Path(archive.real).open("rb") as file:
        file.seek(max(0, archive.size_bytes - (1 << 16) - 100))
        tail = file.read()
    if (end := tail.rfind(b"PK\x05\x06")) < 0:
        raise _Refused("archive_damaged")
    count, listed = int.from_bytes(tail[end + 10 : end + 12], "little"), int.from_bytes(tail[end + 12 : end + 16], "little")
    large = tail.rfind(b"PK\x06\x06")
    if large >= 0 and count == 0xFFFF:
        count, listed = int.from_bytes(tail[large + 32 : large + 40], "little"), int.from_bytes(tail[large + 40 : large + 48], "little")
    if count > MAX_MEMBERS or listed > MAX_MEMBERS * 400:
        raise _Refused("archive_members")


def is_safe(name: str) -> bool:
    """Say whether a member's name stays inside: relative, without `..`, drive letters or our own mark."""
    plain = name.replace("\\", "/")
    return not (plain.startswith("/") or ".." in plain.split("/") or re.match(r"[A-Za-z]:", name) or MARK in name or not name)


def _tar_members(archive: Archive, is_packed: bool, budget: _Budget) -> Iterator[tuple[str, State, _Source | None]]:
    with igzip.open(archive.real) if is_packed else Path(archive.real).open("rb") as raw:
        stream = _Forward(raw, budget)
        with tarfile.open(fileobj=stream, mode="r:") as opened:
            while (info := opened.next()) is not None:
                opened.members = []  # type: ignore[attr-defined]  # else every header stays in memory
                if info.isdir():
                    continue
                state = _tar_state(info)
                bytes_of = opened.extractfile(info) if state == "file" else None
                yield info.name, state, _Source(bytes_of, info.size, counts=False) if bytes_of else None
        if not stream.is_ended:
            raise _Refused("archive_damaged")


def _tar_state(info: tarfile.TarInfo) -> State:
    if not is_safe(info.name):
        return "unsafe_path"
    if info.issym() or info.islnk():
        return "link"
    if not info.isreg() or info.issparse():
        return "special"
    return "file" if info.size <= MAX_MEMBER_BYTES else "member_too_large"


class _Forward(io.RawIOBase):
    """A stream that is only read forward: counts what comes out and gives no header the right to fill the memory."""

    def __init__(self, stream: Any, budget: _Budget) -> None:
        super().__init__()
        self.stream, self.budget, self.place, self.is_ended = stream, budget, 0, False

    def tell(self) -> int:
        return self.place

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise _Refused("archive_bomb")
        content: bytes = self.stream.read(size)
        self.place += len(content)
        self.budget.spend(len(content))
        self.is_ended = bool(content) and not any(content)
        return content

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        if place < self.place or whence != os.SEEK_SET:
            raise tarfile.ReadError("a tar is read forward only")
        while self.place < place and self.read(min(COPY_BYTES, place - self.place)):
            pass
        return self.place
