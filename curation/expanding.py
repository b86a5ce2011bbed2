"""From directory entries to files of the run: a PACS is visited, archives are opened, and what is no regular file gets its outcome.

An archive that did not change is not opened: the intake table names its members. Should one of them have to be read again, it is laid out again then.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from concurrent.futures import Executor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from curation.executing import run_jobs
from curation.intake import INTAKE
from curation.matching import FILE
from curation.plan import FOUND, Reader
from curation.progress import Progress
from curation.project import Project
from curation.recipe import SourceSettings
from curation.sources.archives import MARK, VERSION, Archive, archive_kind, crash_archive, open_archive, read_head
from curation.sources.dicomweb import fetch
from curation.sources.walk import State

TRANSIENT: tuple[State, ...] = ("archive_unreadable", "archive_no_space", "archive_changed")
"""Trouble of the machine or the moment: such archives are opened again in the next run."""
STATES: dict[State, tuple[str, str, str]] = {
    "link": ("skipped", "LINK", "links are not followed"),
    "special": ("skipped", "SPECIAL", "a device, pipe or socket"),
    "unreadable": ("quarantined", "UNREADABLE", "the folder or file may not be read"),
    "partial": ("skipped", "PARTIAL", "it is still being received"),
    "not_sent": ("quarantined", "NOT_SENT", "the server lists it but does not give it; asked again in the next run"),
    "unsafe_path": ("quarantined", "UNSAFE_PATH", "the name of the member leads out of the archive"),
    "encrypted": ("quarantined", "ENCRYPTED", "the member needs a password"),
    "compression": ("quarantined", "COMPRESSION", "the member is compressed in a way that is not read; pack it with deflate"),
    "member_too_large": ("quarantined", "MEMBER_TOO_LARGE", "the member has more than 4 GiB"),
    "member_damaged": ("quarantined", "MEMBER_DAMAGED", "the member's bytes are not what the archive says of them"),
    "nested_archive": ("quarantined", "NESTED_ARCHIVE", "an archive within an archive is not opened; unpack the outer one"),
    "same_name": ("quarantined", "SAME_NAME", "an earlier member of the archive has the same name"),
    "archive": ("skipped", "ARCHIVE", "opened: each of its members is a file of its own"),
    "archive_document": ("skipped", "DOCUMENT", "an office document or program, not an archive of images"),
    "archive_damaged": ("quarantined", "ARCHIVE_DAMAGED", "the archive is damaged or cut short; none of its members is used"),
    "archive_bomb": ("quarantined", "ARCHIVE_BOMB", "it unpacks to more than 100 times its size and 1 GiB, or to more than 64 GiB"),
    "archive_members": ("quarantined", "ARCHIVE_MEMBERS", "it has more than 250,000 members; split it"),
    "archive_format": ("quarantined", "ARCHIVE_FORMAT", "an archive of a kind that is not opened; unpack it, or pack it as zip or tar.gz"),
    "archive_name": ("quarantined", "ARCHIVE_NAME", "a folder or file of the same name with ! lies beside it; rename one"),
    "archive_no_space": ("quarantined", "NO_SPACE", "the disk of the workspace has no room for its members; opened again in the next run"),
    "archive_changed": ("quarantined", "ARCHIVE_CHANGED", "the archive changed while it was read; opened again in the next run"),
    "archive_unreadable": ("quarantined", "ARCHIVE_UNREADABLE", "the archive may not be read"),
    "archive_crashed": ("quarantined", "ARCHIVE_CRASHED", "opening it kills the process, or takes too long"),
}  # fmt: skip
"""Outcome, code and reason of what is not read as a regular file."""
_STATE_OF = {code: state for state, (_, code, _) in STATES.items()}
_OF_ARCHIVES = [state for state in STATES if state.startswith("archive")]


def as_folders(project: Project, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
    """Return the sources with the folder of the inbox in the place of each PACS."""
    for source in sources:
        if source.kind == "dicomweb":
            (project.inbox / source.name).mkdir(parents=True, exist_ok=True, mode=0o700)
    return tuple(source.in_folder(project.inbox / source.name) if source.kind == "dicomweb" else source for source in sources)


def fetch_remote(project: Project, sources: tuple[SourceSettings, ...], secret: bytes, progress: Progress) -> pl.DataFrame:
    """Visit every PACS; return a row (`FOUND`) for each file that a server lists but does not give."""
    rows: list[tuple[str, str, int, int, State]] = []
    for source in sources:
        if source.kind == "dicomweb":
            fetched = fetch(source, project.inbox / source.name, secret, progress)
            rows += [(source.name, name, 0, 0, "not_sent") for name in fetched.missing]
    return pl.DataFrame(rows, schema=FOUND, orient="row")


def expand(found: pl.DataFrame, intake: pl.DataFrame, readers: tuple[Reader, ...], executor: Executor, folder: Path, progress: Progress) -> pl.DataFrame:
    """Return `found` with the state of each archive, and a row for each of its members.

    Args:
        found: one row a directory entry (`curation.plan.FOUND`).
        intake: what the last run knew.
        readers: told where members lie (`Reader.archives`).
        executor: where archives are opened.
        folder: below the workspace; members are laid out there.
        progress: told of archives opened.
    """
    regular = found.filter(pl.col("state") == "file")
    was = regular.join(intake.select(*FILE, "size_bytes", "mtime_ns", "code", "recipe_sha256"), on=[*FILE, "size_bytes", "mtime_ns"], how="inner")
    is_known = (pl.col("recipe_sha256") == VERSION) & pl.col("code").is_in([STATES[state][1] for state in _OF_ARCHIVES if state not in TRANSIENT])
    known = was.filter(is_known).with_columns(state=pl.col("code").replace_strict(_STATE_OF, return_dtype=pl.String)).select(list(FOUND))
    seen = was.filter(pl.col("recipe_sha256").is_in([reader.recipe_sha256 for reader in readers]))
    settled_before = pl.concat([known.select(FILE), seen.select(FILE)])
    fresh = regular if settled_before.is_empty() else regular.join(settled_before, on=FILE, how="anti")
    by_name = {reader.source.name: reader for reader in readers}
    jobs = [_archive(row, by_name, folder) for row in _archives_of(fresh, by_name)]
    for source, path, size_bytes, mtime_ns in known.filter(pl.col("state") == "archive").select(*FILE, "size_bytes", "mtime_ns").iter_rows():
        by_name[source].archives[path] = _archive((source, path, size_bytes, mtime_ns), by_name, folder)
    opened = _open(jobs, by_name, executor, progress)
    if known.is_empty() and opened.is_empty():
        return found
    settled = pl.concat([known, opened.filter(pl.col("state").is_in(_OF_ARCHIVES))])
    members = pl.concat([_known_members(known, intake), opened.filter(~pl.col("state").is_in(_OF_ARCHIVES))])
    return pl.concat([found.join(settled, on=FILE, how="anti"), settled, members])


def _archives_of(fresh: pl.DataFrame, readers: dict[str, Reader]) -> list[tuple[str, str, int, int]]:
    """Return source, path, size and time of the files that begin like an archive, whatever they are called."""
    rows = fresh.select(*FILE, "size_bytes", "mtime_ns").iter_rows()
    return [row for row in rows if row[2] and archive_kind(read_head(str(readers[row[0]].real_path(row[1]))))]


def _archive(row: tuple[str, str, int, int], readers: dict[str, Reader], folder: Path) -> Archive:
    source, path, size_bytes, mtime_ns = row
    name = hashlib.sha256(f"{source}|{path}|{size_bytes}|{mtime_ns}".encode()).hexdigest()[:32]
    return Archive(source, path, str(readers[source].real_path(path)), size_bytes, mtime_ns, folder / name)


def _open(jobs: list[Archive], readers: dict[str, Reader], executor: Executor, progress: Progress) -> pl.DataFrame:
    """Open archives and return a row for each and for each member; readers learn where members lie."""
    by_file = {(job.source, job.path): job for job in jobs}
    tables = [pl.DataFrame(schema=FOUND)]
    for number, opened in enumerate(run_jobs(executor, open_archive, jobs, Archive.split, crash_archive), start=1):
        job = by_file[(opened.source, opened.path)]
        if opened.state == "archive":
            readers[job.source].archives[job.path] = job
        rows = [(job.source, job.path, job.size_bytes, job.mtime_ns, opened.state)]
        rows += [(job.source, member.path, member.size_bytes, member.mtime_ns, member.state) for member in opened.members]
        tables.append(pl.DataFrame(rows, schema=FOUND, orient="row"))
        progress(number, len(jobs), "opening archives")
    return pl.concat(tables)


def _known_members(known: pl.DataFrame, intake: pl.DataFrame) -> pl.DataFrame:
    """Return the members of unchanged archives, as the last run found them."""
    archives = known.filter(pl.col("state") == "archive").select("source", pl.col("path").alias("archive"))
    rows = intake.with_columns(archive=pl.col("path").str.extract(f"(?s)^(.*){MARK}", 1)).join(archives, on=["source", "archive"], how="semi")
    return rows.with_columns(state=pl.col("code").replace_strict(_STATE_OF, return_dtype=pl.String, default="file")).select(list(FOUND))


def lay_out_again(files: Iterable[tuple[str, str]], readers: dict[str, Reader], executor: Executor) -> None:
    """Lay out the members among `files` that are to be read and are not there, because their archive did not change."""
    wanted: dict[tuple[str, str], Archive] = {}
    for source, path in files:
        archive = readers[source].archives.get(path.rpartition(MARK)[0])
        if archive is not None and not readers[source].real_path(path).exists():
            wanted[(source, archive.path)] = archive
    for archive in wanted.values():
        shutil.rmtree(archive.folder, ignore_errors=True)
    for _ in run_jobs(executor, open_archive, list(wanted.values()), Archive.split, crash_archive):
        pass  # a member that does not come is UNREADABLE for whoever reads it


def settle_other(found: pl.DataFrame, intake: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the intake table for what is not read as a file; a time that was told before stays."""
    words = enumerate(("outcome", "code", "reason"))
    is_archive = pl.col("state").is_in(_OF_ARCHIVES)
    rows = found.with_columns(
        *(pl.col("state").replace_strict({state: told[n] for state, told in STATES.items()}, return_dtype=pl.String).alias(name) for n, name in words),
        *(pl.lit("").alias(name) for name in ("table_sha256", "lookup_id")),
        recipe_sha256=pl.when(is_archive).then(pl.lit(VERSION)).otherwise(pl.lit("")),
        unit=pl.col("path"),
        sha256=pl.lit(None, pl.String),
        image_ids=pl.lit([], pl.List(pl.String)),
    )
    told = rows.join(intake.select(*FILE, "code", "seen_at"), on=[*FILE, "code"], how="left")
    return told.with_columns(pl.col("seen_at").fill_null(now())).select(list(INTAKE))


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
