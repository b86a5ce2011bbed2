"""The leak test on ours alone; `make bench-leaks` prints it beside other tools."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.leaks.planting import plant_all
from benchmarks.leaks.search import search


def test_no_planted_identifier_survives_and_nothing_is_lost(tmp_path: Path) -> None:
    """Seven thousand tokens: every element of the dictionary, sequences, private elements, streams, unused bits, writing, names of files."""
    planted, cleaned = tmp_path / "in", tmp_path / "out"
    planted.mkdir()
    plants = plant_all(planted)
    assert len({plant.token for plant in plants}) > 6900
    copied = search(planted, planted, "", plants)
    assert Counter(plant.kind for plant in copied.leaks) == Counter(plant.kind for plant in plants), "what nobody cleans must all be found"
    key = tmp_path / "key"
    key.write_text("0123456789abcdef" * 4)
    key.chmod(0o600)
    done = subprocess.run(
        [Path(sys.executable).parent / "curaloop", "deidentify", planted, cleaned],
        env={"CURALOOP_KEY_FILE": str(key), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = search(planted, cleaned, done.stdout + done.stderr, plants)
    assert found.leaks == ()
    assert found.broken == ()
    assert found.refused == ()
    assert found.damaged == 0
    assert found.references[0] == found.references[1] > 20
