"""Starts and stops a local Label Studio that lives in its own virtual environment.

The server sees a scrubbed environment, listens on 127.0.0.1 only, sends no telemetry, takes no sign-ups without an invitation, and serves
local files from one folder. Its credentials are made here, once, and kept in a file that only the owner can read.
What is said to the server over its API lives in `validation/review`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from curation.errors import ServiceError, UsageError

EMAIL = "curator@curaloop.invalid"
DATABASE = "label_studio.sqlite3"
FIRST_START_S = 400.0
QUIET = {
    "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
    "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",  # an absent variable means the maker's own Sentry, with personal data
    "FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_SENTRY_DSN": "",
    "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ALLOWED_HOSTS": "127.0.0.1,localhost",
    "LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class RunningStudio:
    """A Label Studio that answers."""

    url: str
    token: str
    email: str
    password: str
    pid: int


def start_label_studio(python_env: Path, base: Path, files_root: Path, port: int | None, log: Path) -> RunningStudio:
    """Start Label Studio and return when it answers as ours; the first start without a template takes 1 to 2 minutes.

    Args:
        python_env: virtual environment that holds Label Studio.
        base: folder of its database, keys and credentials; made readable by the owner only.
        files_root: the one folder from which images are served; projects use folders below it.
        port: port on 127.0.0.1; None takes a free one.
        log: file that gets what the server prints.

    Raises:
        UsageError: the environment holds no Label Studio.
        ServiceError: the port is taken, or the server does not come up.
    """
    command = _command(python_env)
    port = _free_port(port)
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    base.chmod(0o700)
    files_root.mkdir(parents=True, exist_ok=True)
    _use_template(python_env, base)
    email, password, token = _credentials(base / "credentials.json")
    environment = _environment(base) | {
        "LABEL_STUDIO_USERNAME": email,
        "LABEL_STUDIO_PASSWORD": password,
        "LABEL_STUDIO_USER_TOKEN": token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(files_root.resolve()),
    }
    arguments = [str(command), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    pid = _spawn(arguments, environment, log)
    studio = RunningStudio(f"http://127.0.0.1:{port}", token, email, password, pid)
    _wait(studio, port, log)
    return studio


def _spawn(arguments: list[str], environment: dict[str, str], log: Path) -> int:
    """Start a process in a session of its own that outlives this one, and return its pid; a `Popen` would complain of that."""
    log.parent.mkdir(parents=True, exist_ok=True)
    output = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), output, (os.POSIX_SPAWN_DUP2, 1, 2)]
    return os.posix_spawn(arguments[0], arguments, environment, file_actions=actions, setsid=True)


def _command(python_env: Path) -> Path:
    command = python_env / "bin" / "label-studio"
    if not command.is_file():
        raise UsageError(f"no Label Studio in {python_env}; `make setup` installs it there")
    return command.absolute()


def _environment(base: Path) -> dict[str, str]:
    """Return the whole environment of the server: nothing of ours leaks into it (it reads HOST, PORT, DEBUG, PASSWORD…)."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(base), "LANG": "C.UTF-8", "LABEL_STUDIO_BASE_DATA_DIR": str(base.absolute())} | QUIET


def _free_port(port: int | None) -> int:
    """Return `port` if nobody listens there, or a free one; Label Studio itself would silently take another."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise ServiceError("Label Studio", f"http://127.0.0.1:{port}", "the port is taken") from error
        return int(probe.getsockname()[1])


def _credentials(path: Path) -> tuple[str, str, str]:
    """Return e-mail, password and token of the server's owner; made at the first start, kept in a file of mode 0600."""
    if not path.exists():
        made = {"email": EMAIL, "password": secrets.token_urlsafe(18), "token": secrets.token_hex(20)}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(made, file)
    kept = json.loads(path.read_text())
    return kept["email"], kept["password"], kept["token"]


def _wait(studio: RunningStudio, port: int, log: Path) -> None:
    """Return when the server is up and is the process that we started; else stop it and raise."""
    import psutil

    until = time.monotonic() + FIRST_START_S
    reason = f"did not answer within {FIRST_START_S:.0f} s; see {log}"
    server = psutil.Process(studio.pid)
    while time.monotonic() < until:
        if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
            reason = f"stopped while starting; see {log}"
            break
        ports = _ports_of(studio.pid)
        if ports and port not in ports:
            reason = f"somebody took the port while it was starting; see {log}"
            break
        if port in ports and _answers(studio):
            return
        time.sleep(0.5)
    stop(studio.pid)
    raise ServiceError("Label Studio", studio.url, reason)


def _answers(studio: RunningStudio) -> bool:
    """Say whether /health is up and the server knows our token."""
    try:
        with urllib.request.urlopen(f"{studio.url}/health", timeout=5) as answer:  # noqa: S310
            healthy = answer.status == 200
        who = urllib.request.Request(f"{studio.url}/api/current-user/whoami", headers={"Authorization": f"Token {studio.token}"})  # noqa: S310
        with urllib.request.urlopen(who, timeout=10) as answer:  # noqa: S310
            return healthy and bool(json.load(answer).get("email") == studio.email)
    except (OSError, ValueError):
        return False


def _ports_of(pid: int) -> set[int]:
    """Return the ports on which the process and its children listen; where its own is taken, Label Studio silently takes the next."""
    import psutil

    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        sockets = [each for member in family for each in member.net_connections(kind="tcp")]
    except psutil.Error:
        return set()
    return {each.laddr.port for each in sockets if each.status == psutil.CONN_LISTEN}


def stop(pid: int, patience_s: float = 15.0) -> bool:
    """Stop the Label Studio with this pid and its children; say whether one was running. Any other process is left alone."""
    import psutil

    try:
        server = psutil.Process(pid)
        if not any("label-studio" in part for part in server.cmdline()):
            return False
        family = [*server.children(recursive=True), server]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
    for member in family:
        _signal(member, "terminate")
    _, alive = psutil.wait_procs(family, timeout=patience_s)
    for member in alive:
        _signal(member, "kill")
    psutil.wait_procs(alive, timeout=patience_s)
    return True


def _signal(process: object, what: str) -> None:
    import contextlib

    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        getattr(process, what)()


def prepare_template(python_env: Path, folder: Path | None = None) -> Path:
    """Make an empty, migrated database, so that a first start takes seconds instead of minutes; holds no users and no secrets.

    Args:
        python_env: virtual environment that holds Label Studio; a template belongs to the version in it.
        folder: where to keep it; default: inside the environment, where `start_label_studio` looks.
    """
    folder = folder or python_env / "template"
    if (folder / DATABASE).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as temporary:
        base = Path(temporary)
        subprocess.run([str(_command(python_env)), "user"], env=_environment(base), cwd=base, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        made = base / DATABASE
        if not made.is_file():
            raise ServiceError("Label Studio", str(python_env), "its database could not be prepared")
        made.replace(folder / DATABASE)
    return folder


def _use_template(python_env: Path, base: Path) -> None:
    """Put the template's database into a base that has none."""
    template = python_env / "template" / DATABASE
    if template.is_file() and not (base / DATABASE).exists():
        shutil.copyfile(template, base / f".{DATABASE}")
        (base / f".{DATABASE}").replace(base / DATABASE)
