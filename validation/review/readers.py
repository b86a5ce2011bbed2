"""Simulated readers for the demo and the tests: they answer through the real API, under names that say what they are.

They know the planted truth and err at a stated rate. No result of theirs is ever an expert's.
"""

from __future__ import annotations

import hashlib
import random
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from curation.errors import ServiceError
from validation.review.studio import ServerTask, Studio

DOMAIN = "curaloop.invalid"
SECONDS = (3.0, 12.0)


@dataclass(frozen=True)
class Answer:
    """What a reader says of one case."""

    label: str
    usable: bool = True
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class SimulatedReader:
    """A reader who knows the truth of each case and errs at a stated rate.

    Attributes:
        name: becomes `<name>@curaloop.invalid`; must say that it is simulated.
        truth: the right answer to a case_id, or None to leave the task open.
        error_rate: share of answers with another class than the truth.
        seed: an answer depends on seed and case only, not on the order of the tasks.
    """

    name: str
    truth: Callable[[str], Answer | None]
    error_rate: float = 0.0
    seed: int = 0

    @property
    def email(self) -> str:
        """The address under which the reader signs in."""
        return f"{self.name}@{DOMAIN}"

    def decide(self, task: ServerTask) -> Answer | None:
        """Return the answer to a task, errors included."""
        truth = self.truth(task.case_id)
        if truth is None:
            return None
        dice = random.Random(int.from_bytes(hashlib.sha256(f"{self.seed}|{self.name}|{task.case_id}".encode()).digest()[:8]))
        others = [choice["value"] for choice in task.content["choices"] if choice["value"] != truth.label]
        if others and dice.random() < self.error_rate:
            return Answer(dice.choice(others), truth.usable, truth.reasons)
        return truth

    def answer_all(self, url: str, token: str, project: int, most: int | None = None) -> int:
        """Answer open tasks of a Label Studio project and return how many.

        Args:
            url: address of the server.
            token: this reader's own API token, from `sign_up`.
            project: number of the project.
            most: stop after so many answers.
        """
        answered = 0
        with Studio(url, token) as studio:
            for task in studio.list_tasks(project):
                if task.is_labeled or (most is not None and answered >= most):
                    continue
                answer = self.decide(task)
                if answer is not None:
                    studio.answer(task.task_id, to_result(answer), _seconds(self.seed, task.case_id))
                    answered += 1
        return answered


def _seconds(seed: int, case_id: str) -> float:
    """Return a simulated time for an answer."""
    return round(random.Random(f"{seed}|{case_id}|time").uniform(*SECONDS), 1)


def to_result(answer: Answer) -> list[dict[str, Any]]:
    """Return an answer in the form of Label Studio's annotations."""
    chosen = {"label": [answer.label], "usable": ["yes" if answer.usable else "no"], "reasons": [] if answer.usable else list(answer.reasons)}
    return [{"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": values}} for name, values in chosen.items() if values]


def sign_up(url: str, owner_token: str, email: str) -> str:
    """Make a user with a random password through an invitation, as a person would, and return the user's own API token.

    Raises:
        ServiceError: the server cannot be reached, or does not let the user in (for example because the address is taken).
    """
    import httpx

    url, password = url.rstrip("/"), secrets.token_urlsafe(18)
    try:
        with httpx.Client(base_url=url, timeout=60, follow_redirects=True) as browser:
            invitation = browser.get("/api/invite", headers={"Authorization": f"Token {owner_token}"}).raise_for_status().json()["invite_url"]
            invited = invitation[invitation.index("/user/signup") :]
            form = browser.get(invited).raise_for_status().text
            hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
            fields = {"csrfmiddlewaretoken": hidden[1] if hidden else "", "email": email, "password": password, "allow_newsletters": "false"}
            browser.post(invited, data=fields, headers={"Referer": f"{url}{invited}"}).raise_for_status()
            told = browser.get("/api/current-user/token")
            if told.status_code != httpx.codes.OK:
                raise ServiceError("Label Studio", url, f"did not let {email} in")
            return str(told.json()["token"])
    except httpx.HTTPError as error:
        raise ServiceError("Label Studio", url, f"sign-up failed ({type(error).__name__})") from error
