"""The event that a release sends: `curaloop.dataset.released`.

It goes to Prefect's HTTP interface in one request that is confirmed, so a short command may exit right after it. The
automation in `prefect.yaml` passes on nothing but the version's name, because Prefect's templates render strings only.
"""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from curation.errors import ServiceError

if TYPE_CHECKING:
    import httpx

RELEASED = "curaloop.dataset.released"
BUSY_S = 60.0
"""How long a server may go on saying that it is busy: SQLite takes one writer at a time, and Prefect answers 503 to the others."""


@dataclass(frozen=True)
class PrefectAccess:
    """Where a Prefect server is, and what opens it."""

    api_url: str
    auth_string: str = ""


def slug_of(name: str) -> str:
    """Return a dataset's name as Prefect resource ids and folder names allow it.

    Example:
        `slug_of("HAM 10000 (Wien)") == "ham-10000-wien"`
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "dataset"


def announce_release(access: PrefectAccess, version: str, dataset: str) -> None:
    """Tell Prefect that a version is out.

    Raises:
        ServiceError: the server does not answer or refuses the event.
    """
    import httpx

    event: dict[str, Any] = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": RELEASED,
        "resource": {"prefect.resource.id": f"curaloop.dataset.{slug_of(dataset)}", "prefect.resource.name": dataset},
        "payload": {"version": version},
        "id": str(uuid.uuid4()),
    }
    try:
        send(access, "POST", "/events", [event]).raise_for_status()
    except httpx.HTTPError as error:
        reason = f"did not take the event ({type(error).__name__}); the version is released all the same, next: curaloop finetune {version}"
        raise ServiceError("Prefect", access.api_url, reason) from error


def send(access: PrefectAccess, method: str, path: str, body: Any = None) -> httpx.Response:
    """Send one request to Prefect's HTTP interface and return its answer; a server that is busy is asked again, as Prefect's own client does.

    Raises:
        httpx.HTTPError: no answer.
    """
    import httpx

    user, _, password = access.auth_string.partition(":")
    until = time.monotonic() + BUSY_S
    while True:
        answer = httpx.request(method, f"{access.api_url}{path}", json=body, auth=(user, password) if user else None, timeout=30)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until:
            return answer
        time.sleep(0.2)
