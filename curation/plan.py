"""What has to be read: the files that were found, minus those whose outcome is known. Joins over tables, no loop over files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import polars as pl

from curation.errors import SourceError
from curation.harmonize.recipes import CODE_VERSION, recipe_sha256
from curation.intake import SAME_IMAGE, images_held, is_holding, settle_owners
from curation.matching import FILE, is_in, match_rows
from curation.pseudonyms import pseudonym
from curation.recipe import HarmonizeSettings, SourceSettings
from curation.sources.archives import MARK, Archive, member_place
from curation.sources.bids import describe_name, strip_suffix
from curation.sources.participants import NAME as PARTICIPANTS
from curation.sources.participants import NOBODY, Participants, read_participants
from curation.sources.table import Lookup, Table, add_fields, read_table
from curation.sources.walk import walk

READER_VERSION = 3
"""Goes up when readers decide differently, so that every file is read again."""
RETRIED = ("UNREADABLE", "MEMORY", "CHANGED")
"""Codes of the machine's trouble, not the file's: rights and disks are repaired without a trace in size or time, so such files are tried again."""

FOUND = pl.Schema({"source": pl.String(), "path": pl.String(), "size_bytes": pl.Int64(), "mtime_ns": pl.Int64(), "state": pl.String()})
WALKED_AT_ONCE = 50_000
UNIT = ["source", "unit"]


@dataclass(frozen=True)
class Reader:
    """One source, its table, and hashes of everything that the outcome of its files depends on besides their bytes.

    `odd_paths` and `archives` are filled while files are found: what to open for paths that are not plain text, and archives by path.
    """

    source: SourceSettings
    secret: bytes
    table: Table
    recipe_sha256: str
    table_sha256: str
    odd_paths: dict[str, str] = field(default_factory=dict)
    archives: dict[str, Archive] = field(default_factory=dict)
    participants: Participants = NOBODY

    def real_path(self, path: str) -> Path:
        """Return what to open for a printable path."""
        archive, _, inner = path.rpartition(MARK)
        if archive in self.archives:
            return member_place(self.archives[archive].folder, inner)
        if path in self.odd_paths:
            return Path(self.odd_paths[path])
        return self.source.path / path if self.is_folder else self.source.path

    @cached_property
    def is_folder(self) -> bool:
        """The source is a folder, not one file."""
        return self.source.path.is_dir()

    def look_up(self, path: str, series_key: str | None = None) -> Lookup:
        """Return what recipe, table, `participants.tsv` and a BIDS name say of a file; `series_key` is the header's value that the table is matched with."""
        found = self.table.look_up(series_key if series_key is not None else _key_of(path, self.source.matches), self.secret)
        if self.source.kind != "nifti" or found.problem:
            return found
        return add_fields(found, self.participants.fields_of(path, self.secret), describe_name(path, self.secret))

    def lookup_id(self, path: str) -> str:
        """Return a keyed hash of what the table says of a file."""
        lookup = self.look_up(path)
        return pseudonym(
            self.secret, "lookup", json.dumps([lookup.patient, lookup.fields, lookup.problem, lookup.structures, lookup.text or ""], sort_keys=True)
        )


def _key_of(path: str, match: str) -> str:
    """Return the file's name, or its name without suffixes of images."""
    name = path.rpartition("/")[2]
    if match == "name":
        return name
    return strip_suffix(name) if name.lower().endswith(".gz") else Path(name).stem


def open_reader(source: SourceSettings, harmonize: HarmonizeSettings, secret: bytes) -> Reader:
    """Return the reader of a source.

    Raises:
        SourceError: its path or table is missing or wrong; the message names the key.
    """
    if not source.path.exists():
        raise SourceError(source.name, "path", f"there is no {source.path}")
    table = read_table(source)
    families = {"raster": ("xray", "colour"), "nifti": ("ct", "mr", "pt", "xray", "colour"), "dicom": ("ct", "mr", "pt", "xray", "colour")}[source.kind]
    recipes = [recipe_sha256(family, harmonize) for family in families]
    fingerprint = pseudonym(secret, "fingerprint", "key")
    how = source.model_dump(mode="json", exclude={"path", "table"})
    content = hashlib.sha256(source.table.read_bytes()).hexdigest() if source.table else ""
    space = [source.patients] if source.patients else []
    space += [f"{source.burned_in_text} {source.accept_face_risk}"] if (source.burned_in_text, source.accept_face_risk) != ("mask", False) else []
    return Reader(source, secret, table, _hash(recipes, fingerprint, CODE_VERSION, READER_VERSION, source.kind, *space), _hash(how, content))


def with_participants(readers: tuple[Reader, ...], found: pl.DataFrame) -> tuple[Reader, ...]:
    """Return the readers with what `participants.tsv` in folders of NIfTI files says (BIDS); one within an archive is not read.

    Args:
        readers: the sources of the recipe.
        found: files of all sources (`FOUND`).
    """
    is_table = (pl.col("path") == PARTICIPANTS) | pl.col("path").str.ends_with(f"/{PARTICIPANTS}")
    files = found.filter(is_table & (pl.col("state") == "file") & ~pl.col("path").str.contains(MARK, literal=True)).sort(FILE)
    return tuple(_with_participants(reader, files.filter(pl.col("source") == reader.source.name)["path"].to_list()) for reader in readers)


def _with_participants(reader: Reader, paths: list[str]) -> Reader:
    if reader.source.kind != "nifti" or not paths:
        return reader
    participants = read_participants((path, reader.real_path(path)) for path in paths)
    said = [(folder, sorted((key, sorted(row.items())) for key, row in table.rows.items())) for folder, table in sorted(participants.tables.items())]
    return replace(reader, participants=participants, table_sha256=_hash(reader.table_sha256, json.dumps(said, default=str)))


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_files(readers: tuple[Reader, ...]) -> pl.DataFrame:
    """Return one row a directory entry of every source; paths that are not plain text are remembered in `odd_paths`.

    Entries go into columns 50,000 at a time, so that a million files cost the memory of their names.
    """
    tables = [pl.DataFrame(schema=FOUND)]
    for reader in readers:
        entries = walk(reader.source.path)
        prefix = str(reader.source.path) + "/"
        while batch := list(islice(entries, WALKED_AT_ONCE)):
            reader.odd_paths.update({entry.path: entry.real for entry in batch if entry.real != prefix + entry.path})
            paths, _, sizes, times, states = zip(*batch, strict=True)
            columns = {"source": [reader.source.name] * len(batch), "path": paths, "size_bytes": sizes, "mtime_ns": times, "state": states}
            tables.append(pl.DataFrame(columns, schema=FOUND))
    found = pl.concat(tables)
    names = found.select((pl.col("path").hash() ^ pl.col("source").hash()).n_unique()).item()
    if names == found.height:
        return found
    return found.unique(FILE, keep="first", maintain_order=True)  # a folder that changes while it is read may name a file twice


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        reused: rows of the intake table that still hold.
        todo: source, path, size_bytes, mtime_ns, unit, known_sha256 (when equal bytes mean that there is nothing to do).
        gone: number of files of the last run that are not there any more.
    """

    reused: pl.DataFrame
    todo: pl.DataFrame
    gone: int


def regular_files(found: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `found` that are regular files, without a copy when all are."""
    is_file = found["state"] == "file"
    return (found if is_file.all() else found.filter(is_file)).drop("state")


def compare(found: pl.DataFrame, intake: pl.DataFrame, readers: tuple[Reader, ...]) -> pl.DataFrame:
    """Return `found` with what the last run knew.

    `old_row` is the place in the intake table, `unit` what it was read with, `same` says that recipe and table hold, `still` that size and time do too.
    """
    old_row = match_rows(found, intake)
    was = found.with_columns(old_row=old_row, unit=intake["unit"].gather(old_row))
    was = was.with_columns(same=_holds(was, intake, readers))
    is_still = (was["size_bytes"] == intake["size_bytes"].gather(old_row)) & (was["mtime_ns"] == intake["mtime_ns"].gather(old_row))
    return was.with_columns(still=(was["same"] & is_still).fill_null(False))


def make_plan(was: pl.DataFrame, units: pl.DataFrame, intake: pl.DataFrame, usable_ids: pl.Series, order: dict[str, int]) -> Plan:
    """Return which files must be read.

    A file is reused when its size, time, recipe and table hold, its unit neither gained nor lost nor changed a file, no unit with the same image is
    read, and its images are in the manifest and the shards.

    Args:
        was: the answer of `compare`.
        units: source, path, unit of the files whose unit is another one now, or that are new.
        intake: the last run's table.
        usable_ids: image_ids that are in the manifest with a shard that exists.
        order: place of each source in the recipe.
    """
    is_gone = ~pl.int_range(intake.height, dtype=pl.UInt32, eager=True).is_in(was["old_row"].drop_nulls().implode())
    gone = intake.filter(is_gone).select(UNIT)
    was = was.rename({"unit": "old_unit"})
    now = was["old_unit"] if units.is_empty() else units["unit"].gather(match_rows(was, units))
    was = was.with_columns(unit=now.alias("unit")).with_columns(unit=pl.coalesce("unit", "old_unit"))
    has_moved = pl.col("unit").ne_missing(pl.col("old_unit"))
    fresh = was.filter(~pl.col("still") | has_moved)
    moved = fresh.filter(has_moved)
    left = moved.select("source", pl.col("old_unit").alias("unit"))
    changed = pl.concat([fresh.select(UNIT), left, gone]).drop_nulls().unique()
    held = images_held(intake).select(*UNIT, "image_id")
    forced = _units_to_force(changed, intake, held, usable_ids, order)
    touched = pl.concat([changed, forced]).unique()
    broken = pl.concat([forced, gone, left, moved.select(UNIT), _rivals(touched, held)]).drop_nulls().unique()
    is_reused = was["still"] & ~is_in(was, touched, UNIT)
    todo = was.filter(~is_reused)
    known = pl.when(todo["same"] & ~is_in(todo, broken, UNIT)).then(intake["sha256"].gather(todo["old_row"]))
    todo = todo.select("source", "path", "size_bytes", "mtime_ns", "unit", known_sha256=known)
    if is_reused.all() and gone.is_empty():
        return Plan(intake, todo, 0)
    is_kept = pl.int_range(intake.height, dtype=pl.UInt32, eager=True).is_in(was["old_row"].filter(is_reused).implode())
    return Plan(intake.filter(is_kept), todo, gone.height)


def _rivals(reading: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return the units that are read and held an image together: equal bytes do not settle whose the image is now."""
    read = held.filter(is_in(held, reading, UNIT)).unique()
    return read.filter(pl.len().over("image_id") > 1).select(UNIT).unique()


def _holds(was: pl.DataFrame, intake: pl.DataFrame, readers: tuple[Reader, ...]) -> pl.Series:
    """Say for each file whether recipe and table are those of its last outcome."""
    is_one = [pl.col("source") == reader.source.name for reader in readers]
    marks = intake.select(
        recipe=pl.any_horizontal(pl.lit(False), *(one & (pl.col("recipe_sha256") == reader.recipe_sha256) for one, reader in zip(is_one, readers, strict=True)))
        & ~pl.col("code").is_in(RETRIED),
        table=pl.any_horizontal(pl.lit(False), *(one & (pl.col("table_sha256") == reader.table_sha256) for one, reader in zip(is_one, readers, strict=True))),
    )
    recipe, table = (marks[name].gather(was["old_row"]).fill_null(False) for name in ("recipe", "table"))
    same = recipe & table
    by_name = {reader.source.name: reader for reader in readers if reader.source.kind != "dicom"}
    is_asked = recipe & ~table & was["source"].is_in(list(by_name))
    if not is_asked.any():
        return same
    asked = was.select("source", "path", "old_row").with_row_index("row").filter(is_asked)
    asked = asked.with_columns(lookup_id=intake["lookup_id"].gather(asked["old_row"])).drop("old_row")
    equal = [row for row, source, path, lookup_id in asked.iter_rows() if by_name[source].lookup_id(path) == lookup_id]
    return same | pl.int_range(was.height, dtype=pl.Int64, eager=True).is_in(equal)


def _units_to_force(changed: pl.DataFrame, intake: pl.DataFrame, held: pl.DataFrame, usable_ids: pl.Series, order: dict[str, int]) -> pl.DataFrame:
    """Return (source, unit) to read again though their files did not change.

    Their image is lost, or the order of the sources makes them its owner now, or they share an image with a unit that is read.
    """
    lost = held.filter(~pl.col("image_id").is_in(usable_ids.implode())).select(UNIT)
    forced = pl.concat([lost, find_promoted(intake, order)]).unique()
    while True:
        reading = pl.concat([changed, forced]).unique()
        if reading.is_empty():
            return forced
        shared = held.filter(is_in(held, reading, UNIT)).select("image_id").unique()
        partners = held.filter(is_in(held, shared, ["image_id"])).select(UNIT).unique().join(reading, on=UNIT, how="anti")
        if partners.is_empty():
            return forced
        forced = pl.concat([forced, partners]).unique()


def find_promoted(intake: pl.DataFrame, order: dict[str, int]) -> pl.DataFrame:
    """Return (source, unit) of files whose outcome the order of the sources changes: only files that share an image, or waited behind one, can be."""
    holding = intake.filter(is_holding()).select(*FILE, "unit", "outcome", "code", "image_ids")
    hashes = holding.select("image_ids").with_row_index("row").explode("image_ids").select("row", image=pl.col("image_ids").hash())
    shared = hashes.filter(pl.col("image").is_duplicated())["row"].unique()
    is_asked = (pl.col("code") == SAME_IMAGE) | pl.int_range(pl.len(), dtype=pl.UInt32).is_in(shared.implode())
    asked = holding.filter(is_asked).with_columns(reason=pl.lit(""))
    settled, _ = settle_owners(asked, order)
    return settled.join(asked, on=[*FILE, "outcome"], how="anti").select(UNIT)
