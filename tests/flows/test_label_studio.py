"""Starting and stopping Label Studio."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from curation.errors import ServiceError, UsageError
from flows.label_studio import start_label_studio, stop
from tests.services import ROOT, TestStudio, free_ports
from validation.review.studio import Studio


def test_without_an_environment_the_message_says_what_to_do(tmp_path: Path) -> None:
    """Wrong use, exit code 2."""
    with pytest.raises(UsageError, match="installs it there"):
        start_label_studio(tmp_path / "nowhere", tmp_path / "base", tmp_path / "files", None, tmp_path / "log")


def test_a_process_that_is_not_ours_is_left_alone() -> None:
    """`stop` looks at what runs under the pid before it signals."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        assert stop(bystander.pid) is False
        assert bystander.poll() is None
        bystander.kill()
    assert stop(bystander.pid) is False


@pytest.mark.service
def test_a_taken_port_is_an_error_and_not_another_port(label_studio: TestStudio, tmp_path: Path) -> None:
    """Label Studio itself would silently move on."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServiceError, match="taken"):
        start_label_studio(ROOT / ".venv-label-studio", tmp_path / "base", tmp_path / "files", taken.getsockname()[1], tmp_path / "log")


@pytest.mark.service
def test_a_port_that_somebody_takes_meanwhile_is_told_at_once(label_studio: TestStudio, tmp_path: Path) -> None:
    """Its log exists when it has been started, and it needs seconds to the point where it takes its port; it is stopped, and nobody waits for minutes."""
    log, [port] = tmp_path / "log", free_ports(1)

    def take() -> socket.socket:
        while not log.exists():
            time.sleep(0.01)
        return socket.create_server(("127.0.0.1", port))

    with ThreadPoolExecutor(1) as threads:
        taken = threads.submit(take)
        with pytest.raises(ServiceError, match="somebody took the port"):
            start_label_studio(ROOT / ".venv-label-studio", tmp_path / "base", tmp_path / "files", port, log)
        taken.result().close()
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(port) in (each.info["cmdline"] or [])]


@pytest.mark.service
def test_the_server_is_shut_to_everybody_else(label_studio: TestStudio) -> None:
    """It listens on 127.0.0.1 only, keeps its credentials to the owner, refuses strangers and sign-ups, and has no telemetry address."""
    server = psutil.Process(label_studio.running.pid)
    family = [server, *server.children(recursive=True)]
    addresses = {each.laddr.ip for member in family for each in member.net_connections(kind="tcp") if each.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}
    environment = server.environ()
    base = Path(environment["LABEL_STUDIO_BASE_DATA_DIR"])
    assert (base / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert base.stat().st_mode & 0o777 == 0o700
    assert json.loads((base / "credentials.json").read_text())["token"] == label_studio.token
    assert environment["SENTRY_DSN"] == environment["FRONTEND_SENTRY_DSN"] == ""
    assert "CURALOOP_KEY_FILE" not in environment
    assert label_studio.token not in " ".join(server.cmdline())
    with httpx.Client(base_url=label_studio.url, timeout=20) as stranger:
        assert stranger.get("/api/projects").status_code == 401
        form = stranger.get("/user/signup/").text
        hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        fields = {"csrfmiddlewaretoken": hidden[1] if hidden else "", "email": "stranger@curaloop.invalid", "password": "long-enough-1"}
        assert stranger.post("/user/signup/", data=fields).status_code == 403
    with Studio(label_studio.url, label_studio.token) as door:
        assert "stranger@curaloop.invalid" not in door.emails().values()
