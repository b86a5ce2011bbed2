"""The event that a release sends: `curaloop.dataset.released`.

It goes to Prefect's HTTP interface in one request that is confirmed, so a short command may exit right after it. The
automation in `prefect.yaml` passes on nothing but the version's name, because Prefect's templates render strings only.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from curation.errors import ServiceError

RELEASED = "curaloop.dataset.released"


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

    event = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": RELEASED,
        "resource": {"prefect.resource.id": f"curaloop.dataset.{slug_of(dataset)}", "prefect.resource.name": dataset},
        "payload": {"version": version},
        "id": str(uuid.uuid4()),
    }
    user, _, password = access.auth_string.partition(":")
    try:
        answer = httpx.post(f"{access.api_url}/events", json=[event], auth=(user, password) if user else None, timeout=30)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        reason = f"did not take the event ({type(error).__name__}); the version is released all the same, next: curaloop finetune {version}"
        raise ServiceError("Prefect", access.api_url, reason) from error
