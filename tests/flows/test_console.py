"""What goes to stdout and what does not."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flows.console import print_json, stdout_to_stderr, to_plain, write_lines


@dataclass(frozen=True)
class Part:
    """A nested report."""

    path: Path
    share: float


@dataclass(frozen=True)
class Whole:
    """A report with everything in it that reports hold."""

    parts: tuple[Part, ...]
    rows: pl.DataFrame
    counts: dict[str, int]
    values: np.ndarray[tuple[int], np.dtype[np.float64]]


def test_any_report_becomes_plain_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables become lists of rows, paths text, what is not a number null."""
    whole = Whole((Part(Path("a/b"), float("nan")),), pl.DataFrame({"label": ["x"], "n": [1]}), {"kept": 3}, np.array([0.5, np.inf]))
    print_json(whole)
    expected = {"parts": [{"path": "a/b", "share": None}], "rows": [{"label": "x", "n": 1}], "counts": {"kept": 3}, "values": [0.5, None]}
    assert json.loads(capsys.readouterr().out) == expected == to_plain(whole)


def test_what_children_and_libraries_print_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Python code, child processes and writes to the file descriptor alike."""
    with stdout_to_stderr():
        print("python")
        subprocess.run(["echo", "child"], check=True)
        os.write(1, b"descriptor\n")
    print("result")
    captured = capfd.readouterr()
    assert captured.out == "result\n"
    assert sorted(captured.err.split()) == ["child", "descriptor", "python"]


def test_a_log_gets_a_line_about_progress_only_now_and_then() -> None:
    """Without a terminal: nothing of what is quick, what and how much of what takes long."""
    lines: list[str] = []
    tell = write_lines(lines.append, every_s=0.05)
    tell(1, 2000, "reading")
    assert lines == []
    time.sleep(0.06)
    tell(1200, 2000, "reading")
    tell(1201, 2000, "reading")
    time.sleep(0.06)
    tell(2000, 2000, "reading")
    tell(0, 1, "screening")
    assert lines == ["reading: 1,200 of 2,000", "screening"]
