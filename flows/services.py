"""`curaloop up` and `curaloop down`: the local Prefect server, its worker and Label Studio, and where they can be reached.

What runs is written down in `workspace/services/services.json`, readable by its owner only, because it holds passwords. A team's
services, named in the recipe, take the place of local ones; their tokens come from the environment.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import ServiceError, UsageError
from curation.project import Project
from flows.events import PrefectAccess
from flows.prefect_server import RunningPrefect, Started, is_alive, start_prefect, stop_process

if TYPE_CHECKING:
    from flows.label_studio import RunningStudio
    from flows.settings import Settings

LABEL_STUDIO_PORT = 8080


@dataclass(frozen=True)
class Services:
    """What runs locally for one project."""

    prefect: RunningPrefect | None = None
    label_studio: RunningStudio | None = None


def services_folder(project: Project) -> Path:
    """Return the folder of the services' databases, logs and state."""
    return project.workspace / "services"


def label_studio_environment() -> Path:
    """Return the virtual environment that holds Label Studio: CURALOOP_LABEL_STUDIO_ENV, else beside this checkout."""
    named = os.environ.get("CURALOOP_LABEL_STUDIO_ENV")
    return Path(named).expanduser() if named else Path(__file__).resolve().parent.parent / ".venv-label-studio"


def read_services(project: Project) -> Services:
    """Return the services that are really alive; what the state file says of dead ones is left out."""
    path = services_folder(project) / "services.json"
    if not path.is_file():
        return Services()
    try:
        state = json.loads(path.read_text())
        prefect, studio = _prefect_of(state.get("prefect")), _studio_of(state.get("label_studio"))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged; run `curaloop down`, stop leftover servers by hand, and delete it") from error
    return Services(prefect if prefect and is_alive(prefect.server) else None, studio if studio and _is_studio(studio.pid) else None)


def _prefect_of(state: dict[str, Any] | None) -> RunningPrefect | None:
    if state is None:
        return None
    return RunningPrefect(state["url"], state["auth_string"], Started(**state["server"]), Started(**state["worker"]))


def _studio_of(state: dict[str, Any] | None) -> RunningStudio | None:
    from flows.label_studio import RunningStudio

    return RunningStudio(**state) if state else None


def _is_studio(pid: int) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and any("label-studio" in part for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def write_services(project: Project, services: Services) -> None:
    """Write down what runs, readable by the owner only; nothing running leaves no file."""
    folder = services_folder(project)
    path = folder / "services.json"
    if services == Services():
        path.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder / f".services-{os.getpid()}.json"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(services), file, indent=2)
    temporary.replace(path)


def start_services(project: Project, settings: Settings, wants_label_studio: bool = True) -> tuple[Services, tuple[str, ...]]:
    """Start what does not run yet and return everything that runs, with the names of what was started now.

    Both start at the same time. Services that the recipe places elsewhere are not started.

    Raises:
        ServiceError: one of them does not come up; the other one keeps running and is written down.
    """
    running = read_services(project)
    folder = services_folder(project)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if running.prefect and not is_alive(running.prefect.worker):
        stop_process(running.prefect.server)
        running = Services(None, running.label_studio)
    started: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        prefect = studio = None
        if running.prefect is None and not settings.services.prefect_api:
            prefect = threads.submit(start_prefect, folder / "prefect", folder / "logs")
        if wants_label_studio and running.label_studio is None and not settings.services.label_studio:
            studio = threads.submit(_start_studio, project, folder)
    failures = [future.exception() for future in (prefect, studio) if future and future.exception()]
    if prefect and not prefect.exception():
        running, started = Services(prefect.result(), running.label_studio), [*started, "Prefect"]
    if studio and not studio.exception():
        running, started = Services(running.prefect, studio.result()), [*started, "Label Studio"]
    write_services(project, running)
    for failure in failures:
        assert failure is not None
        raise failure
    return running, tuple(started)


def _start_studio(project: Project, folder: Path) -> RunningStudio:
    """Return Label Studio when it answers; when somebody takes its port before it does, on any other port."""
    from flows.label_studio import start_label_studio
    from flows.prefect_server import free_port

    def start(port: int) -> RunningStudio:
        return start_label_studio(label_studio_environment(), folder / "label-studio", project.review, port, folder / "logs" / "label-studio.log")

    port = free_port(LABEL_STUDIO_PORT)
    try:
        return start(port)
    except ServiceError:
        if free_port(port) == port:
            raise
    return start(free_port(0))


def stop_services(project: Project) -> tuple[str, ...]:
    """Stop everything that `start_services` started, children too, and return the names of what was running."""
    from flows.label_studio import stop

    path = services_folder(project) / "services.json"
    if not path.is_file():
        return ()
    state = json.loads(path.read_text())
    prefect, studio = _prefect_of(state.get("prefect")), _studio_of(state.get("label_studio"))
    stopped = []
    if prefect:
        stopped += ["Prefect worker"] if stop_process(prefect.worker) else []
        stopped += ["Prefect server"] if stop_process(prefect.server) else []
    if studio and stop(studio.pid):
        stopped.append("Label Studio")
    write_services(project, Services())
    return tuple(stopped)


def has_label_studio(project: Project, settings: Settings) -> bool:
    """Say whether there is a Label Studio to talk to."""
    return bool(settings.services.label_studio) or read_services(project).label_studio is not None


def label_studio_access(project: Project, settings: Settings) -> tuple[str, str]:
    """Return address and token of the team's Label Studio, or of the one that runs here.

    Raises:
        UsageError: the team's has no token in the environment.
        ServiceError: none is configured and none runs.
    """
    if settings.services.label_studio:
        token = os.environ.get("LABEL_STUDIO_API_KEY", "")
        if not token:
            raise UsageError(f"the recipe names {settings.services.label_studio}, but LABEL_STUDIO_API_KEY is not set: put your access token there")
        return settings.services.label_studio, token
    studio = read_services(project).label_studio
    if studio is None:
        raise ServiceError("Label Studio", f"127.0.0.1:{LABEL_STUDIO_PORT}", "is not running; `curaloop up` starts it")
    return studio.url, studio.token


def prefect_access(project: Project, settings: Settings) -> PrefectAccess | None:
    """Return how to reach the team's Prefect server or the one that runs here; None when there is none."""
    if settings.services.prefect_api:
        return PrefectAccess(settings.services.prefect_api.rstrip("/"), os.environ.get("PREFECT_API_AUTH_STRING", ""))
    prefect = read_services(project).prefect
    return prefect.access if prefect else None
