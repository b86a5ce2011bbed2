"""Local servers: what is alive, what is stopped, and the release event that starts fine-tuning on a real Prefect server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from curation.errors import ServiceError, UsageError
from curation.project import Project
from curation.versions import list_versions
from flows import prefect_server
from flows.deployments import deploy, render_deployments
from flows.events import PrefectAccess
from flows.prefect_server import Started, is_alive, request, stop_process
from flows.services import Services, label_studio_access, prefect_access, read_services, services_folder, start_services, stop_services, write_services
from flows.stages import Work, announce, open_work, run_curate, run_ingest, run_release
from tests.builders import a_key
from tests.flows.builders import a_sourced_project


def a_process(code: str) -> tuple[subprocess.Popen[str], Started]:
    """Start Python code that prints a line when it is ready."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    return process, Started(process.pid, psutil.Process(process.pid).create_time())


SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def test_a_port_that_is_taken_while_the_server_starts_is_left_to_who_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was free when it was looked at; the server, a small one in the place of Prefect, is started again on another port."""

    def spawn(arguments: list[str], *_: object) -> Started:
        process = subprocess.Popen([sys.executable, "-c", SERVER, arguments[-1]], stderr=subprocess.DEVNULL)
        process.returncode = 0
        return Started(process.pid, psutil.Process(process.pid).create_time())

    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        taken, look = stranger.getsockname()[1], prefect_server.free_port
        looks = iter([taken])
        monkeypatch.setattr(prefect_server, "free_port", lambda preferred: next(looks, None) or look(preferred))
        monkeypatch.setattr(prefect_server, "_spawn", spawn)
        port, access, server = prefect_server._start_server(tmp_path, tmp_path / "log", taken)
        assert port != taken
        assert access.api_url == f"http://127.0.0.1:{port}/api"
        assert stop_process(server)


def test_a_process_that_ignores_sigterm_is_killed_with_its_children() -> None:
    """Nothing is left behind."""
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        started = Started(process.pid, psutil.Process(process.pid).create_time())
        assert stop_process(started, patience_s=1)
        assert not is_alive(started)
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_reused_pid_is_not_ours() -> None:
    """A process that began at another time is neither alive for us nor stopped."""
    stranger = Started(os.getpid(), psutil.Process().create_time() - 100)
    assert not is_alive(stranger)
    assert not stop_process(stranger)


def test_stale_state_is_nothing_running(tmp_path: Path) -> None:
    """After a reboot the file names processes that are gone: nothing is up, and `down` tidies."""
    project = Project(tmp_path)
    services_folder(project).mkdir(parents=True)
    gone = {"pid": 999_999, "created": 1.0}
    studio = {"url": "http://127.0.0.1:1", "token": "t", "email": "e", "password": "p", "pid": 999_998}
    state = {"prefect": {"url": "http://127.0.0.1:1", "auth_string": "a:b", "server": gone, "worker": gone}, "label_studio": studio}
    path = services_folder(project) / "services.json"
    path.write_text(json.dumps(state))
    assert read_services(project) == Services()
    assert stop_services(project) == ()
    assert not path.exists()


def test_damaged_state_says_what_to_do(tmp_path: Path) -> None:
    """No traceback for half a file."""
    project = Project(tmp_path)
    services_folder(project).mkdir(parents=True)
    (services_folder(project) / "services.json").write_text('{"prefect": {"url"')
    with pytest.raises(UsageError, match="damaged"):
        read_services(project)


def test_a_team_server_needs_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens come from the environment, never from the recipe."""
    work = open_work(a_sourced_project(tmp_path, patients=3).root)
    with pytest.raises(ServiceError, match="curaloop up"):
        label_studio_access(work.project, work.settings)
    team = work.settings.services.model_copy(update={"label_studio": "https://ls.example.org", "prefect_api": "https://prefect.example.org/api/"})
    settings = work.settings.model_copy(update={"services": team})
    with pytest.raises(UsageError, match="LABEL_STUDIO_API_KEY"):
        label_studio_access(work.project, settings)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    assert label_studio_access(work.project, settings) == ("https://ls.example.org", "token")
    access = prefect_access(work.project, settings)
    assert access is not None
    assert (access.api_url, access.auth_string) == ("https://prefect.example.org/api", "a:b")


def test_the_deployments_of_a_project_are_its_own(tmp_path: Path) -> None:
    """Folder and name are filled in; the event's template is left for Prefect."""
    import yaml

    work = open_work(a_sourced_project(tmp_path, patients=3).root)
    content = yaml.safe_load(render_deployments(work.project, work.settings))
    by_flow = {each["entrypoint"].rpartition(".")[2]: each for each in content["deployments"]}
    assert {each["name"] for each in by_flow.values()} == {"test-cohort"}
    assert all(each["parameters"] == {"project_dir": str(work.project.root)} for each in by_flow.values())
    assert by_flow["run_loop"]["schedules"][0]["cron"] == "30 2 * * *"
    assert by_flow["pull_review"]["schedules"][0]["cron"] == "*/15 * * * *"
    asleep = yaml.safe_load(render_deployments(work.project, work.settings, is_scheduled=False))
    assert [schedule["active"] for each in asleep["deployments"] for schedule in each.get("schedules", [])] == [False, False]
    [trigger] = by_flow["finetune_model"]["triggers"]
    assert trigger["match"] == {"prefect.resource.id": "curaloop.dataset.test-cohort"}
    assert trigger["parameters"] == {"version": "{{ event.payload.version }}"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    """A project with released rows and a real Prefect server with its deployments; nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURALOOP_KEY_FILE", str(a_key(folder / "key")))
        work = open_work(a_sourced_project(folder).root)
        run_ingest(work)
        run_curate(work)
        run_release(work)
        started = start_services(work.project, work.settings, wants_label_studio=False)
    assert started[1] == ("Prefect",)
    prefect = started[0].prefect
    assert prefect
    family = [member for each in (prefect.server, prefect.worker) for member in (psutil.Process(each.pid), *psutil.Process(each.pid).children(recursive=True))]
    yield work
    assert stop_services(work.project) == ("Prefect worker", "Prefect server")
    assert [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE] == []
    assert not (services_folder(work.project) / "services.json").exists()


def finished_runs(access: PrefectAccess, flow: str, patience_s: float = 300) -> list[dict[str, Any]]:
    """Wait until a flow's newest run is over and return all its runs, newest first."""
    deadline = time.monotonic() + patience_s
    runs: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        runs = request(access, "POST", "/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 1})
        if runs and runs[0]["state_type"] in ("COMPLETED", "FAILED", "CRASHED"):
            break
        time.sleep(1)
    return runs


@pytest.mark.service
def test_up_twice_starts_once(served: Work) -> None:
    """The second call finds what runs."""
    before = read_services(served.project)
    assert start_services(served.project, served.settings, wants_label_studio=False) == (before, ())


@pytest.mark.service
def test_the_server_wants_its_password_and_the_file_that_holds_it_is_private(served: Work) -> None:
    """Nobody else on this machine reads runs or starts them."""
    prefect = read_services(served.project).prefect
    assert prefect
    assert prefect.url.startswith("http://127.0.0.1:")
    assert httpx.post(f"{prefect.url}/api/flows/filter", json={}).status_code == 401
    assert (services_folder(served.project) / "services.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.service
def test_the_release_event_starts_fine_tuning_of_that_version(served: Work) -> None:
    """Event, automation, deployment, worker, model: the real chain, with nothing passed but the version's name."""
    access, names = deploy(served.project, served.settings)
    assert "finetune-model/test-cohort" in names
    assert "told Prefect" in announce(served, "data-v1")
    runs = finished_runs(access, "finetune-model")
    assert [run["state_type"] for run in runs] == ["COMPLETED"], [run["state"]["message"] for run in runs]
    assert runs[0]["parameters"] == {"project_dir": str(served.project.root), "version": "data-v1"}
    [metrics] = served.project.models.glob("data-v1-*/metrics.json")
    assert json.loads(metrics.read_text())


@pytest.mark.service
def test_the_nightly_run_is_planned(served: Work) -> None:
    """A schedule of which Prefect's scheduler plans no run would never start one, and nobody would be told."""
    access, _ = deploy(served.project, served.settings)
    asked = {"flows": {"name": {"any_": ["run-loop"]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    deadline = time.monotonic() + 200
    while not (planned := request(access, "POST", "/flow_runs/filter", asked)) and time.monotonic() < deadline:
        time.sleep(1)
    assert [(run["auto_scheduled"], run["expected_start_time"][11:16]) for run in planned] == [(True, "02:30")]


@pytest.mark.service
def test_the_whole_loop_runs_as_a_deployment(served: Work) -> None:
    """The nightly run, started by hand: unchanged sources, no new version, counts in the server's record."""
    access, _ = deploy(served.project, served.settings)
    [deployment] = request(
        access, "POST", "/deployments/filter", {"deployments": {"name": {"any_": ["test-cohort"]}}, "flows": {"name": {"any_": ["run-loop"]}}}
    )
    request(access, "POST", f"/deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    assert [run["state_type"] for run in finished_runs(access, "run-loop")] == ["COMPLETED"]
    [artifact] = request(access, "POST", "/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["run-loop"]}}})
    assert '"unchanged": true' in artifact["data"]
    assert list_versions(served.project) == ["data-v1"]


def test_writing_no_services_leaves_no_file(tmp_path: Path) -> None:
    """What is down is not written down."""
    write_services(Project(tmp_path), Services())
    assert not (services_folder(Project(tmp_path)) / "services.json").exists()
