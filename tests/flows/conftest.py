"""The same key for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import a_key


@pytest.fixture(autouse=True)
def key_file(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point `CURALOOP_KEY_FILE` to a key outside every project."""
    path = a_key(tmp_path_factory.mktemp("keys") / "key")
    monkeypatch.setenv("CURALOOP_KEY_FILE", str(path))
    return path
