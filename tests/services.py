"""Real servers for tests. Loaded by `tests/conftest.py`; each starts once a session and is stopped by its own pid."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.label_studio import RunningStudio, prepare_template, start_label_studio, stop

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class TestStudio:
    """A real Label Studio and the folder from which it serves images; projects lie in folders below."""

    __test__ = False

    running: RunningStudio
    files_root: Path

    @property
    def url(self) -> str:
        """Address of the server."""
        return self.running.url

    @property
    def token(self) -> str:
        """Its owner's API token."""
        return self.running.token


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestStudio]:
    """Start a real Label Studio, from the prepared database of its environment if there is one (else the first start takes 1 to 2 minutes)."""
    environment = ROOT / ".venv-label-studio"
    if not (environment / "bin" / "label-studio").is_file():
        reason = "NOT TESTED: there is no Label Studio in .venv-label-studio; `make test` installs it"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    prepare_template(environment)
    base = tmp_path_factory.mktemp("label-studio")
    files_root = tmp_path_factory.mktemp("review-files")
    running = start_label_studio(environment, base, files_root, None, base / "server.log")
    yield TestStudio(running, files_root)
    stop(running.pid)
