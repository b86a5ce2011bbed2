"""Real servers for tests. Loaded by `tests/conftest.py`; each starts once a session and is stopped by its own pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
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


def need_program(path: str, package: str) -> None:
    """Fail in CI, skip with a word elsewhere, when a program that a test drives is not installed."""
    if Path(path).exists():
        return
    reason = f"NOT TESTED: there is no {path}; apt-get install {package}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_ports(number: int) -> list[int]:
    """Return different ports of 127.0.0.1 on which nobody listens now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@dataclass
class TestOrthanc:
    """A real Orthanc with DICOMweb and a login, that can be killed and started again on the same images."""

    __test__ = False

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(2))
    login: tuple[str, str] = ("curaloop", "orthanc-test-secret")
    process: subprocess.Popen[bytes] | None = None

    @property
    def http_port(self) -> int:
        """Where it speaks HTTP; the other port is that of DICOM."""
        return self.ports[0]

    @property
    def url(self) -> str:
        """Address of the DICOMweb service."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        recipe = {
            "Name": "TEST", "StorageDirectory": str(self.folder / "images"), "IndexDirectory": str(self.folder / "index"), "HttpPort": self.http_port,
            "DicomPort": self.ports[1], "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": dict([self.login]),
            "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "HttpTimeout": 10, "LimitFindResults": 3,
        }  # fmt: skip
        (self.folder / "orthanc.json").write_text(json.dumps(recipe))
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT)
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{self.http_port}/system", auth=self.login)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        """End the server at once, as a power cut does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def upload(self, path: Path) -> None:
        """Store a DICOM file in it."""
        httpx.post(f"http://127.0.0.1:{self.http_port}/instances", content=path.read_bytes(), auth=self.login, timeout=30).raise_for_status()


@pytest.fixture
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestOrthanc]:
    """Start an empty Orthanc on free ports of 127.0.0.1."""
    need_program("/usr/sbin/Orthanc", "orthanc")
    need_program("/usr/share/orthanc/plugins/libOrthancDicomWeb.so", "orthanc-dicomweb")
    server = TestOrthanc(tmp_path_factory.mktemp("orthanc"))
    server.start()
    yield server
    server.kill()


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
