"""A benchmark fails when one of its targets is missed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.measurement import Measurement, publish


def test_one_missed_target_of_many_ends_a_benchmark_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named in the table and in the file; targets that are met to the last digit are met."""
    met = [Measurement("training step / plain fp32 step", 0.6, "", 0.6), Measurement("two workers / one", 1.7, "x", 1.7, at_least=True)]
    missed = [Measurement("encoder on 2 cores", 10.1, "ms an image", 10), Measurement("two workers / one", 1.69, "x", 1.7, at_least=True)]
    assert publish("Speed", met, "met", tmp_path) == 0
    assert "MISSED" not in capsys.readouterr().out
    for number, one in enumerate(missed):
        assert publish("Speed", [*met, one], f"missed{number}", tmp_path) == 1
        assert "MISSED" in capsys.readouterr().out
        (file,) = tmp_path.glob(f"missed{number}-*.json")
        assert [line["is_met"] for line in json.loads(file.read_text())["measured"]] == [True, True, False]
