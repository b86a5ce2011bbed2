"""The release event, as a real HTTP server receives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from curation.errors import ServiceError
from flows.events import PrefectAccess, announce_release, slug_of

received: list[tuple[str, str, list[dict[str, object]]]] = []
busy: list[int] = []
"""How often the server says that it is busy before it takes anything."""


class Listener(BaseHTTPRequestHandler):
    """Takes events and remembers them; refuses without the right password."""

    def do_POST(self) -> None:
        """Answer as Prefect does."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if busy:
            busy.pop()
            self.send_response(503)
            self.end_headers()
            return
        received.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(204 if self.headers.get("Authorization") else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """A listening server."""
    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    received.clear()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_event_names_the_dataset_and_nothing_but_the_version(address: str) -> None:
    """The automation matches the resource and passes the version on."""
    announce_release(PrefectAccess(address, "curaloop:secret"), "data-v3", "Skin Lesions (A)")
    path, authorization, [event] = received[0]
    assert (path, authorization.split()[0]) == ("/api/events", "Basic")
    assert event["event"] == "curaloop.dataset.released"
    assert event["resource"] == {"prefect.resource.id": "curaloop.dataset.skin-lesions-a", "prefect.resource.name": "Skin Lesions (A)"}
    assert event["payload"] == {"version": "data-v3"}


def test_a_busy_server_is_asked_again(address: str) -> None:
    """Prefect answers 503 while another one writes into its SQLite file; the event arrives once."""
    busy.extend((1, 2))
    announce_release(PrefectAccess(address, "curaloop:secret"), "data-v3", "lesions")
    assert (busy, len(received)) == ([], 1)


def test_a_refusal_says_that_the_version_is_out_and_what_to_do(address: str) -> None:
    """Nobody releases twice because of a wrong password."""
    with pytest.raises(ServiceError, match=r"released all the same, next: curaloop finetune data-v3"):
        announce_release(PrefectAccess(address), "data-v3", "lesions")


def test_nobody_there_is_a_service_error() -> None:
    """Exit code 3."""
    with pytest.raises(ServiceError):
        announce_release(PrefectAccess("http://127.0.0.1:9/api"), "data-v1", "lesions")


@pytest.mark.parametrize(("name", "slug"), [("HAM 10000 (Wien)", "ham-10000-wien"), ("a--b", "a-b"), ("胸部", "dataset")])
def test_slugs_are_what_prefect_takes(name: str, slug: str) -> None:
    """Lower case, digits, hyphens."""
    assert slug_of(name) == slug
