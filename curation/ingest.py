"""Ingest: every file of every source ends as kept, duplicate, quarantined or skipped; images that are new are de-identified, harmonized and stored.

Cost follows change: the intake table remembers every outcome, so that a file with the same size and time is not even opened. Workers leave parts on the
disk; parts become shards in the order of the image ids, so that the bytes do not depend on the number of workers. The manifest is written before the
intake table, so that a run that was killed is repeated, and finds the parts that were done.
"""

from __future__ import annotations

import shutil
import time
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from curation.errors import SourceError
from curation.expanding import as_folders, expand, fetch_remote, now, settle_other
from curation.gather import Gathered, Work, gather
from curation.idle import nothing_changed
from curation.intake import INTAKE, REMEDY, images_held, read_intake, settle_owners, write_intake, write_quarantine
from curation.manifest import read_manifest, read_parquet, write_manifest
from curation.matching import FILE
from curation.merge import carry_over, find_conflicts, mark_conflicts, pack
from curation.plan import Reader, find_files, open_reader, regular_files, with_participants
from curation.progress import Progress, silent
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from curation.shards import drop_unfinished
from curation.vanished import refuse_vanished


@dataclass(frozen=True)
class IngestReport:
    """What one run of `ingest` did.

    Attributes:
        found: files; always kept + duplicates + quarantined + skipped.
        kept: files whose pixels are in the manifest.
        duplicates: files whose pixels came in from another file.
        quarantined: files that cannot be used; the reasons are in `workspace/quarantine/quarantine.jsonl`.
        skipped: files that are no images for us.
        images: acquired rows of the working manifest.
        new_images: of these, not there before.
        reused_files: files whose outcome was known.
        removed_images: acquired rows that left, because their files did.
        codes: number of files by code.
        seconds: wall time.
    """

    found: int
    kept: int
    duplicates: int
    quarantined: int
    skipped: int
    images: int
    new_images: int
    reused_files: int
    removed_images: int
    codes: dict[str, int]
    seconds: float


def ingest(
    project: Project, sources: tuple[SourceSettings, ...], harmonize: HarmonizeSettings, key: bytes, executor: Executor, progress: Progress | None = None
) -> IngestReport:
    """Bring the working manifest up to date with the sources. The caller holds the project's write lock.

    Args:
        project: where to write.
        sources: in the order that decides which of two equal images is kept.
        harmonize: how pixels are made alike.
        key: secret of the pseudonyms.
        executor: where files are read.
        progress: told of files done.

    Raises:
        ServiceError: a PACS cannot be reached; what was fetched is kept for the next run.
        UsageError: a source's path or table is missing or wrong, it would read what this project writes, or it gave images and gives none any more.
            Nothing was written then.
    """
    _refuse_own_folders(project, sources)
    readers = tuple(open_reader(source, harmonize, key) for source in as_folders(project, sources))
    work = Work(project, {reader.source.name: reader for reader in readers}, harmonize, key, executor, progress or silent)
    shutil.rmtree(work.unpacked, ignore_errors=True)
    drop_unfinished(project.working_shards)
    try:
        return _ingest(sources, work)
    finally:
        shutil.rmtree(work.unpacked, ignore_errors=True)


def _ingest(sources: tuple[SourceSettings, ...], work: Work) -> IngestReport:
    started, project = time.monotonic(), work.project
    before, readers = _rows_before(project), tuple(work.readers.values())
    missing = fetch_remote(project, sources, work.secret, work.progress)
    found, usable_ids = pl.concat([find_files(readers), missing]), _usable_ids(before, project)
    if project.manifest.exists() and nothing_changed(found, project.intake, with_participants(readers, found), usable_ids, _givers(before)):
        table = read_parquet(project.intake, REMEDY, ["outcome", "code"])
        return _report(table, before, before, table.height, time.monotonic() - started)
    intake = read_intake(project.intake)
    found = expand(found, intake, readers, work.executor, work.unpacked, work.progress)
    readers = with_participants(readers, found)
    work = replace(work, readers={reader.source.name: reader for reader in readers})
    other = settle_other(found.filter(pl.col("state") != "file"), intake)
    known = intake if other.is_empty() else intake.join(other, on=FILE, how="anti")
    gathered = gather(regular_files(found), known, usable_ids, work)
    table = _new_intake(gathered, known, other, readers)
    refuse_vanished(readers, before, intake, table)
    after = before
    if not project.manifest.exists() or gathered.is_new or not table.equals(intake):
        table, owners = settle_owners(table, work.order)
        after = _merge(gathered, owners, before, work)
        write_manifest(after, project.manifest)
        write_quarantine(table, project.quarantine)
        write_intake(table, project.intake)
        shutil.rmtree(work.parts, ignore_errors=True)
    return _report(table, before, after, gathered.reused_files, time.monotonic() - started)


def _refuse_own_folders(project: Project, sources: tuple[SourceSettings, ...]) -> None:
    """Refuse a source that would take in the project's own images, the synthetic ones too, as if a hospital had sent them."""
    own = (project.workspace.resolve(), project.data.resolve())
    for source in sources:
        path = source.path.resolve()
        if source.kind == "dicomweb" or project.inbox.resolve() in path.parents:
            continue
        if any(folder.is_relative_to(path) or path.is_relative_to(folder) for folder in own):
            raise SourceError(source.name, "path", "holds the project's own workspace or data, or lies in them; name the folder of the images alone")


def _rows_before(project: Project) -> pl.DataFrame:
    """Return the working manifest; when the workspace was deleted, what was released comes back."""
    released = project.data / "manifest.parquet"
    return read_manifest(project.manifest if project.manifest.exists() or not released.exists() else released)


def _usable_ids(before: pl.DataFrame, project: Project) -> pl.Series:
    """Return the ids of acquired images whose shard exists."""
    return before.filter((pl.col("origin") == "acquired") & pl.col("shard").is_in(_shard_names(project)))["image_id"]


def _givers(before: pl.DataFrame) -> set[str]:
    """Return the sources that acquired images came from."""
    return set(before.filter(pl.col("origin") == "acquired")["source"].unique())


def _shard_names(project: Project) -> list[str]:
    return [path.name for folder in project.shard_folders() if folder.is_dir() for path in folder.glob("*.tar")]


def _new_intake(gathered: Gathered, known: pl.DataFrame, other: pl.DataFrame, readers: tuple[Reader, ...]) -> pl.DataFrame:
    """Return the intake table of this run: outcomes that were reused, that proved unchanged, and that are new."""
    recipe_of = {reader.source.name: reader.recipe_sha256 for reader in readers}
    table_of = {reader.source.name: reader.table_sha256 for reader in readers}
    files, told = gathered.files, known.drop("size_bytes", "mtime_ns", "unit")
    is_unchanged = pl.col("outcome") == "unchanged"
    unchanged = files.filter(is_unchanged).select(*FILE, "size_bytes", "mtime_ns", "unit").join(told, on=FILE)
    new = files.filter(~is_unchanged).with_columns(seen_at=pl.lit(now()), recipe_sha256=pl.col("source").replace_strict(recipe_of, return_dtype=pl.String))
    rows = pl.concat([part.select([name for name in INTAKE if name != "table_sha256"]) for part in (gathered.reused, unchanged, new)])
    hashed = rows.with_columns(table_sha256=pl.col("source").replace_strict(table_of, return_dtype=pl.String)).select(list(INTAKE))
    return pl.concat([hashed, other]).sort(FILE)


def _merge(gathered: Gathered, owners: pl.DataFrame, before: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Return the manifest: synthetic rows untouched, rows whose files were not read again, and new rows."""
    acquired = before.filter(pl.col("origin") == "acquired")
    standing = acquired.join(images_held(gathered.reused), on="image_id", how="semi")
    conflicts = find_conflicts(gathered.rows, standing)
    new = mark_conflicts(gathered.rows.join(owners, on=["image_id", "source", "unit"], how="semi"), conflicts)
    new = pack(carry_over(new, acquired, set(_shard_names(work.project))), work.parts, work.project)
    stay = acquired.join(owners, on="image_id", how="semi").join(new, on="image_id", how="anti")
    return pl.concat([before.filter(pl.col("origin") != "acquired"), mark_conflicts(stay, conflicts), new])


def _report(table: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame, reused_files: int, seconds: float) -> IngestReport:
    count = dict(table.group_by("outcome").len().iter_rows())
    codes = dict(table.filter(pl.col("code") != "").group_by("code").len().sort("code").iter_rows())
    was, now = (rows.filter(pl.col("origin") == "acquired").select("image_id") for rows in (before, after))
    outcomes: dict[str, Any] = {name: count.get(name, 0) for name in ("kept", "quarantined", "skipped")}
    return IngestReport(
        found=table.height,
        **outcomes,
        duplicates=count.get("duplicate", 0),
        images=now.height,
        new_images=now.join(was, on="image_id", how="anti").height,
        reused_files=reused_files,
        removed_images=was.join(now, on="image_id", how="anti").height,
        codes=codes,
        seconds=round(seconds, 3),
    )
