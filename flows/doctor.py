"""`curaloop doctor`: is this computer, and the project at hand, ready for work?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from curation.errors import CuraloopError, UsageError
from curation.project import Project, find_project, key_path, read_key

if TYPE_CHECKING:
    from rich.console import Console

    from flows.settings import Settings

LEAST_FREE_GB = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: ok; note: works, but less; problem: something will fail.
        remedy: what to do, empty when all is well.
    """

    name: str
    state: Literal["ok", "note", "problem"]
    found: str
    remedy: str = ""


def examine(folder: Path) -> tuple[Finding, ...]:
    """Look at everything that Curaloop needs; inside a project also at the project."""
    findings = [_python(), *_pins(), _program("git"), _label_studio(), _chromium(), _torch(), _cores(), _disk(folder), _telemetry()]
    try:
        project = find_project(folder)
    except UsageError:
        findings += [_key(Project(folder)), Finding("project", "note", "not inside a project", "curaloop init DIR makes one")]
    else:
        findings += [_key(project), *_project(project)]
    return tuple(findings)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    right = sys.version_info[:2] == (3, 11)
    return Finding("Python", "ok" if right else "problem", found, "" if right else "use Python 3.11; `make demo` makes an environment with it")


def _pins() -> Iterator[Finding]:
    """Compare what is installed with what the package asks for."""
    from packaging.requirements import Requirement

    wrong = []
    wanted = [Requirement(line) for line in requires("curaloop") or ()]
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = _installed(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed}, wanted {requirement.specifier}")
    remedy = "pip install -r requirements.lock" if wrong else ""
    yield Finding("packages", "problem" if wrong else "ok", "; ".join(wrong) or f"{len(wanted)} as pinned", remedy)
    fastapi = version("fastapi")
    broken = tuple(map(int, fastapi.split(".")[:2])) > (0, 152)
    yield Finding("fastapi", "problem" if broken else "ok", fastapi, "pip install 'fastapi==0.150.*': Prefect's server dies with newer ones" if broken else "")


def _installed(name: str) -> str:
    """Return the version of a package; OpenCV's headless build fills the same folder as the other, and the lock installs that one alone."""
    try:
        return version(name)
    except PackageNotFoundError:
        if name != "opencv-python":
            raise
        return version("opencv-python-headless")


def _program(name: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, "problem", "not found", f"install {name}")
    found = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding(name, "ok", found.removeprefix(f"{name} version "))


def _label_studio() -> Finding:
    from flows.services import label_studio_environment

    folder = label_studio_environment()
    if (folder / "bin" / "label-studio").is_file():
        return Finding("Label Studio", "ok", str(folder))
    remedy = "`make demo` installs it into .venv-label-studio; or set CURALOOP_LABEL_STUDIO_ENV, or services.label_studio in the recipe"
    return Finding("Label Studio", "note", "not installed here", remedy)


def _chromium() -> Finding:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return Finding("Chromium", "ok" if path else "note", path or "not found", "" if path else "only the browser test needs it")


def _torch() -> Finding:
    found = version("torch")
    has_gpu = Path("/dev/nvidia0").exists()
    is_cpu_build = found.endswith("+cpu")
    if has_gpu and is_cpu_build:
        return Finding("torch", "note", found, "this machine has a GPU, but torch is the CPU build: install a CUDA build")
    return Finding("torch", "ok", f"{found}, {'GPU' if has_gpu else 'CPU only'}")


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    return Finding("cores", "ok" if cores > 1 else "note", str(cores), "" if cores > 1 else 'set run.executor = "serial"')


def _disk(folder: Path) -> Finding:
    free_gb = shutil.disk_usage(folder).free / 1e9
    enough = free_gb >= LEAST_FREE_GB
    return Finding("disk", "ok" if enough else "problem", f"{free_gb:,.0f} GB free", "" if enough else f"free {LEAST_FREE_GB} GB or more")


def _telemetry() -> Finding:
    """Say whether anything in the environment turns on what Curaloop turns off."""
    wrong = {"GX_ANALYTICS_ENABLED": ("1", "true"), "PREFECT_SERVER_ANALYTICS_ENABLED": ("1", "true"), "LABEL_STUDIO_COLLECT_ANALYTICS": ("1", "true")}
    found = [name for name, values in wrong.items() if os.environ.get(name, "").lower() in values]
    return Finding("telemetry", "problem" if found else "ok", ", ".join(found) or "off", f"unset {' '.join(found)}" if found else "")


def _key(project: Project) -> Finding:
    try:
        read_key(project)
    except UsageError as error:
        return Finding("key", "problem", "cannot be used", str(error))
    return Finding("key", "ok", f"{key_path()}, readable by you only")


def _project(project: Project) -> Iterator[Finding]:
    from flows.settings import read_settings

    try:
        settings = read_settings(project.recipe_path)
    except CuraloopError as error:
        yield Finding("recipe", "problem", "wrong", str(error))
        return
    yield _sources(settings, project)
    yield _secrets(project)
    yield _remote(project)
    from flows.services import read_services

    running = read_services(project)
    names = [name for name, one in (("Prefect", running.prefect), ("Label Studio", running.label_studio)) if one]
    yield Finding("services", "ok" if names else "note", ", ".join(names) or "none is up", "" if names else "curaloop up, when you want schedules and review")


def _sources(settings: Settings, project: Project) -> Finding:
    """Look for the path of every source, and for the logins of every PACS."""
    local = [source for source in settings.source if source.kind != "dicomweb"]
    logins = [name for source in settings.source for name in (source.token_env, source.user_env, source.password_env) if name]
    if missing := [source.name for source in local if not source.path.exists()]:
        return Finding("sources", "problem", f"missing: {', '.join(missing)}", f"correct `path` in {project.recipe_path.name}, or mount it")
    if unset := [name for name in logins if not os.environ.get(name)]:
        return Finding("sources", "problem", "the login of a PACS is not set", f"export {' '.join(unset)}")
    return Finding("sources", "ok" if settings.source else "note", f"{len(settings.source)} in the recipe", "" if settings.source else "add a [[source]]")


def _secrets(project: Project) -> Finding:
    """Refuse a committed DVC configuration that holds access keys."""
    config = project.root / ".dvc" / "config"
    words = ("access_key_id", "secret_access_key", "password", "session_token", "account_key", "connection_string", "sas_token", "client_secret")
    text = config.read_text() if config.exists() else ""
    found = [word for word in words if word in text]
    remedy = "move them: dvc remote modify --local …; change the secrets, they are in the git history"
    return Finding("DVC secrets", "problem" if found else "ok", ", ".join(found) or "none in the committed configuration", remedy if found else "")


def _remote(project: Project) -> Finding:
    """Look for the default remote; a folder must be writable, anything else must answer."""
    url = default_remote(project)
    if not url:
        return Finding("DVC remote", "problem", "none", "dvc remote add --default storage URL, and commit .dvc/config")
    if "://" in url:
        return _answers(project, url)
    folder = (project.root / ".dvc" / url).resolve()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    writable = os.access(existing, os.W_OK)
    return Finding("DVC remote", "ok" if writable else "problem", str(folder), "" if writable else f"make {folder} writable")


def default_remote(project: Project) -> str:
    """Return the address of the default DVC remote as configured (a folder is relative to `.dvc`), or nothing."""
    config = ConfigParser(interpolation=None)
    config.read([project.root / ".dvc" / "config", project.root / ".dvc" / "config.local"])
    name = config.get("core", "remote", fallback="")
    sections = (f"'remote \"{name}\"'", f'remote "{name}"')
    return next((config.get(section, "url", fallback="") for section in sections if config.has_section(section)), "")


def _answers(project: Project, url: str) -> Finding:
    command = [sys.executable, "-m", "dvc", "status", "--cloud", "--quiet"]
    try:
        answer = subprocess.run(command, cwd=project.root, capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
    except subprocess.TimeoutExpired:
        return Finding("DVC remote", "problem", url, "does not answer within 60 s; is the network up?")
    reached = "ERROR" not in answer.stderr
    return Finding("DVC remote", "ok" if reached else "problem", url, "" if reached else answer.stderr.strip().splitlines()[-1])


def show_findings(findings: tuple[Finding, ...], console: Console) -> None:
    """Print one line a finding and, below, what to do about what is not in order."""
    from rich.markup import escape
    from rich.table import Table

    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[bold red]problem[/]"}
    grid = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        grid.add_row(marks[finding.state], finding.name, escape(finding.found), f"[dim]{escape(finding.remedy)}[/]")
    console.print(grid)
    problems = sum(finding.state == "problem" for finding in findings)
    console.print(f"[bold red]{problems} to repair[/]" if problems else "[green]ready[/]")
