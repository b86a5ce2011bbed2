"""Asking a server again: which troubles pass, how long to wait, and what an answer's status means to the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
BUSY = (408, 429, 502, 503, 504)
"""Answers after which the same question is asked again."""
NO_ENTRY = (401, 403)


@dataclass(frozen=True)
class Patience:
    """How often a question is asked, and how long it waits before it is asked again: 2, 4, 8 … times `wait_ms`, a minute at most."""

    attempts: int = 5
    wait_ms: int = 1000


USUAL = Patience()


def ask_again(question: Callable[[], T], patience: Patience) -> T:
    """Return the answer; ask again while the server is busy or the line breaks, then raise what `requests` raised last."""
    import retrying  # type: ignore[import-untyped]

    asked = retrying.Retrying(
        stop_max_attempt_number=patience.attempts,
        wait_exponential_multiplier=patience.wait_ms,
        wait_exponential_max=60_000,
        retry_on_exception=_is_passing,
    )
    answer: T = asked.call(question)
    return answer


def _is_passing(error: BaseException) -> bool:
    """Say whether asking again may help."""
    import requests

    if isinstance(error, requests.HTTPError):
        return status_of(error) in BUSY
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def status_of(error: requests.HTTPError) -> int:
    """Return the HTTP status of a failed answer."""
    return error.response.status_code if error.response is not None else 0


def say_status(status: int) -> str:
    """Return one sentence about a status that ends the work."""
    if status in NO_ENTRY:
        return f"it refuses the login (HTTP {status}); see token_env, user_env and password_env of the source"
    if status in BUSY:
        return f"it is busy (HTTP {status}). What was fetched is kept; run again later, and it goes on from there"
    return f"it does not understand the question (HTTP {status}); is the url that of its DICOMweb service?"
