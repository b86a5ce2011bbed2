"""Gathering: which units have to be read, and what the workers made of them."""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curation.executing import run_jobs
from curation.expanding import lay_out_again
from curation.headers import Header, HeaderJob, crash_headers, make_jobs, read_headers
from curation.matching import FILE, match_rows
from curation.merge import read_parts
from curation.plan import Plan, Reader, compare, make_plan
from curation.progress import Progress
from curation.project import Project
from curation.reading import crash_part, read_chunk
from curation.recipe import HarmonizeSettings
from curation.sources.bids import find_units
from curation.units import Chunk, Unit, UnitFile, make_chunks

FILES = pl.Schema(
    {
        "source": pl.String(), "path": pl.String(), "unit": pl.String(), "outcome": pl.String(), "code": pl.String(), "reason": pl.String(),
        "sha256": pl.String(), "image_ids": pl.List(pl.String()),
    }
)  # fmt: skip
HEADERS = pl.Schema({"source": pl.String(), "path": pl.String(), "unit": pl.String()})


@dataclass(frozen=True)
class Work:
    """What one run works with: the project, its readers by source, the recipe, the key, where it runs and who is told."""

    project: Project
    readers: dict[str, Reader]
    harmonize: HarmonizeSettings
    secret: bytes
    executor: Executor
    progress: Progress

    @property
    def order(self) -> dict[str, int]:
        """Place of each source in the recipe."""
        return {name: place for place, name in enumerate(self.readers)}

    @property
    def reports(self) -> frozenset[str]:
        """Sources whose DICOM reports are kept: their studies are read as a whole."""
        return frozenset(name for name, reader in self.readers.items() if reader.source.keeps_reports)

    @property
    def parts(self) -> Path:
        """Where workers leave their results until they are in shards."""
        return self.project.workspace / "parts"

    @property
    def unpacked(self) -> Path:
        """Where members of archives lie while they are read."""
        return self.project.workspace / "unpacked"


@dataclass(frozen=True)
class Gathered:
    """What is known of all files.

    Attributes:
        reused: rows of the intake table that still hold.
        files: outcomes of the files that were read (`FILES`), with size_bytes, mtime_ns and lookup_id.
        rows: new rows of the manifest (`curation.merge.NEW_ROWS`).
        gone: number of files that disappeared.
    """

    reused: pl.DataFrame
    files: pl.DataFrame
    rows: pl.DataFrame
    gone: int

    @property
    def is_new(self) -> bool:
        """Something was read, or disappeared."""
        return self.gone > 0 or not self.files.is_empty()

    @property
    def reused_files(self) -> int:
        """Files whose outcome was known."""
        return self.reused.height + self.files.filter(pl.col("outcome") == "unchanged").height


def gather(found: pl.DataFrame, intake: pl.DataFrame, usable_ids: pl.Series, work: Work) -> Gathered:
    """Read what changed since `intake` was written.

    Args:
        found: regular files of all sources.
        intake: what the last run knew of regular files.
        usable_ids: images that need not be made again.
        work: how and where.
    """
    was = compare(found, intake, tuple(work.readers.values()))
    headers = _read_fresh_headers(was, work)
    units = pl.DataFrame(
        [(h.source, h.path, h.path if h.refusal else h.unit(work.secret, is_study=h.source in work.reports)) for h in headers.values()],
        schema=HEADERS,
        orient="row",
    )
    plan = make_plan(was, pl.concat([units, file_units(was, work.readers)]), intake, usable_ids, work.order)
    lay_out_again(plan.todo.select(FILE).iter_rows(), work.readers, work.executor)
    refused = [{"source": h.source, "unit": h.path, **asdict(h.refusal)} for h in headers.values() if h.refusal]
    built, lookup_ids = _build_units(plan, headers, work)
    outcomes, rows = _read_units(built, work)
    files = pl.DataFrame(outcomes + refused, schema=FILES).join(plan.todo.select(*FILE, "size_bytes", "mtime_ns"), on=FILE)
    hashes = pl.DataFrame([(*file, value) for file, value in lookup_ids.items()], schema={**dict.fromkeys([*FILE, "lookup_id"], pl.String)}, orient="row")
    return Gathered(plan.reused, files.join(hashes, on=FILE, how="left").with_columns(pl.col("lookup_id").fill_null("")), rows, plan.gone)


def file_units(was: pl.DataFrame, readers: dict[str, Reader]) -> pl.DataFrame:
    """Return the units that are new or others now of files that are no DICOM.

    A file is a unit of its own; what lies beside a NIfTI image (label map, voxels, b-values) belongs to the image.
    """
    kind_of = {name: reader.source.kind for name, reader in readers.items()}
    pairs = [
        (source, path, image)
        for source, kind in kind_of.items()
        if kind == "nifti"
        for path, image in find_units(was.filter(pl.col("source") == source)["path"].to_list()).items()
    ]
    beside = pl.DataFrame(pairs, schema=HEADERS, orient="row")
    units = was.select(*FILE, "unit", now=beside["unit"].gather(match_rows(was, beside)) if pairs else pl.col("path"))
    is_other = pl.col("source").is_in([name for name, kind in kind_of.items() if kind != "dicom"])
    now = pl.coalesce("now", "path")
    return units.filter(is_other & now.ne_missing(pl.col("unit"))).select(*FILE, unit=now)


def _read_fresh_headers(was: pl.DataFrame, work: Work) -> dict[tuple[str, str], Header]:
    """Return the headers of the DICOM files that are new or changed."""
    dicom = [name for name, reader in work.readers.items() if reader.source.kind == "dicom"]
    fresh = was.filter(~pl.col("still") & pl.col("source").is_in(dicom)).select(FILE).sort(FILE)
    lay_out_again(fresh.iter_rows(), work.readers, work.executor)
    return _read_headers(list(fresh.iter_rows()), work)


def _read_headers(files: list[tuple[str, str]], work: Work) -> dict[tuple[str, str], Header]:
    jobs = make_jobs([(source, path, work.readers[source].real_path(path)) for source, path in files], work.reports)
    headers: dict[tuple[str, str], Header] = {}
    for done in run_jobs(work.executor, read_headers, jobs, HeaderJob.split, crash_headers):
        headers |= {(header.source, header.path): header for header in done}
        work.progress(len(headers), len(files), "reading headers")
    return headers


def _build_units(plan: Plan, headers: dict[tuple[str, str], Header], work: Work) -> tuple[list[Unit], dict[tuple[str, str], str]]:
    """Return the units to read in the order of sources and paths, and the keyed hash of what the table says of each file."""
    todo = plan.todo.with_columns(place=pl.col("source").replace_strict(work.order, return_dtype=pl.Int64)).sort("place", "path")
    members: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in todo.drop("place").iter_rows(named=True):
        header = headers.get((row["source"], row["path"]))
        if header is None or header.refusal is None:
            members.setdefault((row["source"], row["unit"]), []).append(row)
    keys = _series_keys(members, headers, work)
    units: list[Unit] = []
    lookup_ids: dict[tuple[str, str], str] = {}
    for (source, name), rows in members.items():
        reader = work.readers[source]
        files = tuple(_unit_file(row, reader, keys.get((source, name))) for row in rows)
        told, is_study = reader.source, source in work.reports
        units.append(Unit(source, told.reads, name, files, told.patient_space, told.frames, is_study, told.burned_in_text, told.accept_face_risk))
        if reader.source.kind != "dicom":
            lookup_ids |= {(source, row["path"]): reader.lookup_id(row["path"]) for row in rows}
    return units, lookup_ids


def _unit_file(row: dict[str, Any], reader: Reader, series_key: str | None) -> UnitFile:
    path = row["path"]
    return UnitFile(path, reader.real_path(path), row["size_bytes"], row["mtime_ns"], row["known_sha256"], reader.look_up(path, series_key))


def _series_keys(members: dict[tuple[str, str], list[dict[str, Any]]], headers: dict[tuple[str, str], Header], work: Work) -> dict[tuple[str, str], str]:
    """Return for each series the value that its table is matched with, from the header of one of its files."""
    firsts: dict[tuple[str, str], Header] = {}
    unread: dict[tuple[str, str], tuple[str, str]] = {}
    for unit, rows in members.items():
        source = work.readers[unit[0]].source
        if source.kind != "dicom" or source.table is None or source.matches in ("stem", "name"):
            continue
        known = next((headers[file] for file in ((unit[0], row["path"]) for row in rows) if file in headers), None)
        if known is not None:
            firsts[unit] = known
        else:
            unread[(unit[0], rows[0]["path"])] = unit
    firsts |= {unread[file]: header for file, header in _read_headers(list(unread), work).items()}
    return {unit: header.key(work.readers[unit[0]].source.matches) or "" for unit, header in firsts.items()}


def _read_units(units: list[Unit], work: Work) -> tuple[list[dict[str, object]], pl.DataFrame]:
    """Let the workers read the units; return the outcomes of files and the new rows."""
    recipes = hashlib.sha256("|".join(reader.recipe_sha256 for reader in work.readers.values()).encode()).hexdigest()
    chunks = {chunk.name: chunk for chunk in make_chunks(units, work.harmonize, recipes, work.secret, work.parts)}
    names, done, total = [], 0, sum(len(unit.files) for unit in units)
    for name in run_jobs(work.executor, read_chunk, list(chunks.values()), Chunk.split, crash_part):
        names.append(name)
        done += chunks[name].file_count if name in chunks else 1
        work.progress(min(done, total), total, "reading images")
    return read_parts(work.parts, names)
