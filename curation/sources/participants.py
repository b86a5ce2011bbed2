"""`participants.tsv` of BIDS: age, sex and group of each subject, without any table in the recipe.

What is there passes the same checks as a table of the recipe; a column that does not pass is left out. Names, dates of birth and other columns are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.errors import SourceError
from curation.recipe import SourceSettings
from curation.sources.bids import subject_of
from curation.sources.table import Lookup, Table, read_table

NAME = "participants.tsv"
MAX_BYTES = 64 << 20
KEY = "participant_id"
COLUMNS = {"age_years": "age", "sex": "sex", "group": "group"}
UNKNOWN = ("unknown", "other", "not reported")


@dataclass(frozen=True)
class Participants:
    """The tables of one source by the folder that they lie in; the folder of the source itself is empty."""

    tables: dict[str, Table] = field(default_factory=dict)

    def fields_of(self, path: str, secret: bytes) -> dict[str, Any]:
        """Return age_years, sex and group of the subject that a path names, from the nearest table above it."""
        subject = subject_of(path) if self.tables else None
        if subject is None:
            return {}
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in self.tables:
                table = self.tables[folder]
                return _plain(next((table.look_up(name, secret) for name in (subject, subject.removeprefix("sub-")) if name in table.rows), Lookup()))
        return {}


NOBODY = Participants()


def _plain(lookup: Lookup) -> dict[str, Any]:
    """Return the fields of a lookup, with the further ones beside them."""
    fields = {name: value for name, value in lookup.fields.items() if name in ("age_years", "sex")}
    return fields | {name: value for name, value in json.loads(lookup.fields.get("attributes", "{}")).items() if str(value).lower() not in UNKNOWN}


def read_participants(files: Iterable[tuple[str, Path]]) -> Participants:
    """Return the tables in files of the name `participants.tsv`: (path relative to the source, what to open). What is no such table is left out."""
    tables = {path.rpartition("/")[0]: table for path, real in files if (table := _read(real)) is not None}
    return Participants(tables)


def _read(real: Path) -> Table | None:
    """Return one table with those columns that are there and pass the checks."""
    try:
        if real.stat().st_size > MAX_BYTES:
            return None
        with real.open("rb") as file:
            header = file.readline().decode("utf-8-sig", "replace").strip("\r\n").split("\t")
    except OSError:
        return None
    columns = {name: column for name, column in COLUMNS.items() if column in header}
    while KEY in header:
        source = SourceSettings(name="participants", kind="nifti", path=real, table=real, key=KEY, columns=columns)
        try:
            return read_table(source)
        except SourceError as error:
            refused = error.key.removeprefix("columns.")
            if refused not in columns:
                return None
            columns = {name: column for name, column in columns.items() if name != refused}
    return None
