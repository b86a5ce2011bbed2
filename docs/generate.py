"""`make docs`: writes the pages that are made from code. A test checks that they are up to date."""

from __future__ import annotations

from pathlib import Path

from curation.deidentify import conformance
from curation.records import column_table

HERE = Path(__file__).parent

RECORD = """# The record

One row of the manifest is one 2-D image or one 3-D volume. Each column is defined once, in `curation/records.py`; this page, the Parquet
schema and the data contract are made from there. Columns marked * are never empty.

{table}
"""


def pages() -> dict[str, str]:
    """Return the generated pages by file name."""
    return {"record.md": RECORD.format(table=column_table()), "deidentification.md": deidentification()}


def deidentification() -> str:
    """Return the page for whoever has to sign that images may leave the house."""
    parts = {
        "codes": conformance.code_table(),
        "refused": conformance.refusal_rows(),
        "private": conformance.private_rows(),
        "table": conformance.conformance_table(),
    }
    return (HERE / "templates" / "deidentification.md").read_text().format(**parts)


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text)
