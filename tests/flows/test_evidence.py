"""Files behind the report's numbers."""

from pathlib import Path

import polars as pl

from flows.report.evidence import Evidence


def test_no_cell_of_an_exported_table_is_a_formula(tmp_path: Path) -> None:
    """Labels come from a user's table, and a spreadsheet would run them; numbers and other texts stay as they are."""
    evidence = Evidence(tmp_path / "v1" / "evidence")
    table = pl.DataFrame({"label": ["=1+1", "+SUM(A1,A2)", "-cmd", "@x", "-2.5", "nevus", None], "images": [1, -2, 3, 4, 5, 6, 7]})
    evidence.add_table("labels", table, "labels")
    lines = (tmp_path / "v1" / "evidence" / "labels.csv").read_text().splitlines()
    assert lines == ["label,images", "'=1+1,1", '"\'+SUM(A1,A2)",-2', "'-cmd,3", "'@x,4", "-2.5,5", "nevus,6", ",7"]
