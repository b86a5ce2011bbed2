"""The hub: one sentence when it is not there, and when it has no such model."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from curation.errors import ServiceError, UsageError
from curation.hub import fetch_model


def test_an_unreachable_hub_is_a_service_error() -> None:
    """Exit code 3, not a traceback."""
    with pytest.raises(ServiceError) as caught:
        fetch_model("some.key", "nobody/no-such-model-at-all", ["*.json"], endpoint="http://127.0.0.1:9")
    assert caught.value.exit_code == 3


def test_what_is_no_id_is_wrong_use() -> None:
    """The sentence names the key and what stands there."""
    with pytest.raises(UsageError, match=r"some\.key.*'not an id at/all'"):
        fetch_model("some.key", "not an id at/all", ["*.json"])


def test_a_hub_that_says_nothing_is_not_waited_for() -> None:
    """A socket that takes the question and never answers; the sentence says what to do without a network."""
    from huggingface_hub import HfApi, snapshot_download  # noqa: F401  # takes seconds on a busy machine, and is not what is timed

    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(ServiceError, match=r"name the folder of a copy in some\.key"):
            fetch_model("some.key", "nobody/a-model", ["*.json"], endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", patience_s=0.3)
        assert time.monotonic() - began < 5


class NoSuchRevision(BaseHTTPRequestHandler):
    """Answers as the hub does when a model has no such revision."""

    def do_GET(self) -> None:
        """Say no."""
        self.send_response(404)
        self.send_header("X-Error-Code", "RevisionNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing in the terminal."""


@pytest.fixture
def hub_without_revisions() -> Iterator[str]:
    """Return the address of a hub whose models have no revision."""
    with ThreadingHTTPServer(("127.0.0.1", 0), NoSuchRevision) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_revision_that_is_not_there_is_wrong_use(hub_without_revisions: str) -> None:
    """The model is there, its revision is not: the sentence names both."""
    with pytest.raises(UsageError, match=r"some\.key.*'nobody/a-model' has no revision 'v9'"):
        fetch_model("some.key", "nobody/a-model", ["*.json"], revision="v9", endpoint=hub_without_revisions)
