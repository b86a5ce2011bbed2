"""The same key for every test, and an environment without settings of whoever runs the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.builders import a_key


@pytest.fixture(autouse=True)
def key_file(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point `CURALOOP_KEY_FILE` to a key outside every project, and forget every other `CURALOOP_*`."""
    for name in list(os.environ):
        if name.startswith(("CURALOOP_", "PREFECT_", "LABEL_STUDIO_")) and name != "CURALOOP_LABEL_STUDIO_ENV":
            monkeypatch.delenv(name)
    path = a_key(tmp_path_factory.mktemp("keys") / "key")
    monkeypatch.setenv("CURALOOP_KEY_FILE", str(path))
    return path
