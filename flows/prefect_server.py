"""Starts and stops a local Prefect server and the worker that runs its deployments.

Both listen on or talk to 127.0.0.1 only, behind a generated password, without analytics, with a home folder of their own, so that
nothing of another Prefect on this machine is read or changed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import ServiceError
from flows.events import PrefectAccess, send

WORK_POOL = "curaloop"
PREFERRED_PORT = 4200
START_S = 180.0
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # the default is pickle
    "PREFECT_LOGGING_EXTRA_LOGGERS": "",
    "PREFECT_CLI_PROMPT": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
}


@dataclass(frozen=True)
class Started:
    """A process that we started; the time tells it from a later one with the same pid."""

    pid: int
    created: float


@dataclass(frozen=True)
class RunningPrefect:
    """A Prefect server and its worker."""

    url: str
    auth_string: str
    server: Started
    worker: Started

    @property
    def access(self) -> PrefectAccess:
        """What a client needs."""
        return PrefectAccess(f"{self.url}/api", self.auth_string)


def start_prefect(home: Path, logs: Path) -> RunningPrefect:
    """Start server and worker and return when both are there; about 20 s.

    Args:
        home: folder of the database and everything else that Prefect keeps.
        logs: folder that gets what both print.

    Raises:
        ServiceError: the server does not come up.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    port, access, server = _start_server(home, logs / "prefect-server.log", PREFERRED_PORT)
    try:
        create_work_pool(access)
        arguments = ["worker", "start", "--pool", WORK_POOL, "--type", "process", "--name", f"curaloop-{port}"]
        worker = _spawn(arguments, client_environment(access, home), home, logs / "prefect-worker.log")
    except BaseException:
        stop_process(server)
        raise
    return RunningPrefect(f"http://127.0.0.1:{port}", access.auth_string, server, worker)


def _start_server(home: Path, log: Path, preferred: int) -> tuple[int, PrefectAccess, Started]:
    """Start the server and return when it answers; when somebody takes its port before it does, on any other port."""
    port = free_port(preferred)
    access = PrefectAccess(f"http://127.0.0.1:{port}/api", f"curaloop:{secrets.token_urlsafe(18)}")
    environment = client_environment(access, home) | {"PREFECT_SERVER_API_AUTH_STRING": access.auth_string}
    server = _spawn(["server", "start", "--host", "127.0.0.1", "--port", str(port)], environment, home, log)
    try:
        _wait(access, server, log)
    except BaseException as error:
        stop_process(server)
        if preferred and isinstance(error, ServiceError) and free_port(port) != port:
            return _start_server(home, log, 0)
        raise
    return port, access, server


def client_environment(access: PrefectAccess, home: Path) -> dict[str, str]:
    """Return the environment of a process that talks to the server: ours without any other Prefect's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    ours = {"PREFECT_HOME": str(home), "PREFECT_API_URL": access.api_url, "PREFECT_API_AUTH_STRING": access.auth_string, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    return kept | QUIET | {name: value for name, value in ours.items() if value}


def free_port(preferred: int) -> int:
    """Return `preferred` when nobody listens there on 127.0.0.1, else any free port."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ServiceError("Prefect", "127.0.0.1", "no free port")


def _spawn(arguments: list[str], environment: dict[str, str], home: Path, log: Path) -> Started:
    import psutil

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    process.returncode = 0  # it outlives us on purpose; without this, Python warns of a child that still runs
    return Started(process.pid, psutil.Process(process.pid).create_time())


def _wait(access: PrefectAccess, server: Started, log: Path) -> None:
    """Return when the server answers to our password; raise when it ends or takes too long."""
    until = time.monotonic() + START_S
    reason = f"did not answer within {START_S:.0f} s; see {log}"
    while time.monotonic() < until:
        if not is_alive(server):
            reason = f"stopped while starting; see {log}"
            break
        with contextlib.suppress(ServiceError):
            request(access, "GET", "/admin/version")
            return
        time.sleep(0.5)
    raise ServiceError("Prefect", access.api_url, reason)


def request(access: PrefectAccess, method: str, path: str, body: Any = None, allowed: tuple[int, ...] = ()) -> Any:
    """Send one request to the server's API and return its JSON answer.

    Raises:
        ServiceError: no answer, or a status that is neither a success nor in `allowed`.
    """
    import httpx

    try:
        answer = send(access, method, path, body)
    except httpx.HTTPError as error:
        raise ServiceError("Prefect", access.api_url, f"does not answer ({type(error).__name__}); is `curaloop up` done?") from error
    if not answer.is_success and answer.status_code not in allowed:
        raise ServiceError("Prefect", access.api_url, f"answered {answer.status_code} to {method} {path}: is PREFECT_API_AUTH_STRING right?")
    return answer.json() if answer.content else None


def create_work_pool(access: PrefectAccess) -> None:
    """Make the process work pool unless it is there."""
    request(access, "POST", "/work_pools/", {"name": WORK_POOL, "type": "process"}, allowed=(409,))


def is_alive(started: Started) -> bool:
    """Say whether the process that we started still runs."""
    import psutil

    try:
        process = psutil.Process(started.pid)
        return bool(abs(process.create_time() - started.created) < 1 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stop_process(started: Started, patience_s: float = 10.0) -> bool:
    """Stop the process and its children; say whether it was running. A worker needs a second SIGTERM, a stuck one SIGKILL."""
    import psutil

    if not is_alive(started):
        return False
    main = psutil.Process(started.pid)
    family = [main, *main.children(recursive=True)]
    for _ in range(2):
        with contextlib.suppress(psutil.NoSuchProcess):
            main.terminate()
        _, alive = psutil.wait_procs(family, timeout=patience_s / 2)
        if not alive:
            return True
    family = list({*alive, *(child for member in alive if member.is_running() for child in member.children(recursive=True))})
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=patience_s)
    return True
