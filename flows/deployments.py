"""`curaloop deploy`: registers this project's deployments, schedules and event trigger with the Prefect server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from curation.errors import ServiceError, UsageError
from curation.manifest import write_bytes
from curation.project import Project
from flows.events import PrefectAccess, slug_of
from flows.prefect_server import client_environment, create_work_pool
from flows.services import prefect_access, services_folder
from flows.settings import Settings

TEMPLATE = Path(__file__).parent / "templates" / "prefect.yaml"  # prefect.yaml at the repository's root is a link to it


def render_deployments(project: Project, settings: Settings, *, is_scheduled: bool = True) -> str:
    """Return `prefect.yaml` with this project's folder and dataset name, its schedules asleep unless `is_scheduled`."""
    text = TEMPLATE.read_text()
    if not is_scheduled:
        text = text.replace("active: true", "active: false")
    values = {"CURALOOP_PROJECT": str(project.root.resolve()), "CURALOOP_DATASET": slug_of(settings.dataset.name)}
    for name, value in values.items():
        text = text.replace("{{ $" + name + " }}", value)
    return text


def deploy(project: Project, settings: Settings, *, is_scheduled: bool = True) -> tuple[PrefectAccess, tuple[str, ...]]:
    """Register everything in `prefect.yaml` for this project; doing it again changes nothing. Schedules sleep unless `is_scheduled`.

    Raises:
        ServiceError: no server is configured or up, or it refuses.
    """
    import yaml

    access = prefect_access(project, settings)
    if access is None:
        raise ServiceError("Prefect", "127.0.0.1", "is not running; `curaloop up` starts it, or set services.prefect_api")
    create_work_pool(access)
    folder = services_folder(project)
    rendered = folder / "prefect.yaml"
    write_bytes(render_deployments(project, settings, is_scheduled=is_scheduled).encode(), rendered)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(rendered)]
    environment = client_environment(access, folder / "prefect")
    answer = subprocess.run(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise UsageError(f"prefect deploy refused {rendered}:\n{(answer.stdout + answer.stderr).strip()[-2000:]}")
    names = tuple(f"{each['entrypoint'].rsplit('.', 1)[-1].replace('_', '-')}/{each['name']}" for each in yaml.safe_load(rendered.read_text())["deployments"])
    return access, names
