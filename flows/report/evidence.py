"""The files behind the report's numbers: each table is written once, hashed, and cited by its number."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from curation.manifest import write_bytes

FORMULA = r"^[=+\-@\t\r]"
"""How a cell begins that a spreadsheet would compute (OWASP, CSV injection)."""


def without_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with `'` before each text that a spreadsheet would take for a formula; numbers stay as they are."""
    texts = [name for name, dtype in table.schema.items() if dtype == pl.String]
    is_formula = {name: pl.col(name).str.contains(FORMULA) & pl.col(name).cast(pl.Float64, strict=False).is_null() for name in texts}
    return table.with_columns(pl.when(found).then(pl.concat_str(pl.lit("'"), name)).otherwise(name).alias(name) for name, found in is_formula.items())


@dataclass(frozen=True)
class EvidenceFile:
    """One cited file.

    Attributes:
        number: as the footnote marker shows it.
        path: relative to the report.
        sha256: of its bytes.
        description: what is in it.
    """

    number: int
    path: str
    sha256: str
    description: str


@dataclass
class Evidence:
    """Writes evidence files beside a report and numbers them in the order in which they are cited.

    Attributes:
        folder: `reports/<version>/evidence`.
    """

    folder: Path
    files: dict[str, EvidenceFile] = field(default_factory=dict)

    def begin(self) -> None:
        """Empty the folder: evidence of an older report of the same version must not be mistaken for this one's."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def add_table(self, name: str, table: pl.DataFrame, description: str) -> EvidenceFile:
        """Write a table as CSV and return how it is cited."""
        return self.add_bytes(f"{name}.csv", without_formulas(table).write_csv().encode(), description)

    def add_json(self, name: str, content: Any, description: str) -> EvidenceFile:
        """Write a document as JSON and return how it is cited."""
        return self.add_bytes(f"{name}.json", json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode(), description)

    def add_bytes(self, name: str, content: bytes, description: str) -> EvidenceFile:
        """Write bytes as they are and return how they are cited."""
        write_bytes(content, self.folder / name)
        relative = f"{self.folder.parent.name}/{self.folder.name}/{name}"
        cited = EvidenceFile(len(self.files) + 1, relative, hashlib.sha256(content).hexdigest(), description)
        self.files[name] = cited
        return cited
