"""The one door to Label Studio's API. Speaks with a server that already runs; knows nothing of images or manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from curation.errors import ServiceError
from validation.review.config import INSTRUCTION

MODEL_VERSION = "curaloop-queue"
BATCH = 250
PAGE = 500
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class ServerTask:
    """A task as the server tells it.

    Attributes:
        task_id: the server's own number; it may be given again after a deletion, so it is never a key.
        content: the task's data.
        is_labeled: enough annotations have come in.
        annotations: as the API gives them.
    """

    task_id: int
    content: dict[str, Any]
    is_labeled: bool
    annotations: tuple[dict[str, Any], ...] = ()

    @property
    def case_id(self) -> str:
        """Our own key."""
        return str(self.content.get("case_id", ""))


class Studio:
    """A connection to one Label Studio; use it as a context manager.

    Raises:
        ServiceError: from every method, when the server cannot be reached, refuses the token or answers with a failure.
    """

    def __init__(self, url: str, token: str) -> None:
        import httpx
        from label_studio_sdk.client import LabelStudio

        self.url = url.rstrip("/")
        self._http = httpx.Client(timeout=TIMEOUT_S, follow_redirects=True)
        self._api = LabelStudio(base_url=self.url, api_key=token, httpx_client=self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn what the network and the API raise into our own error; the answer's body may hold task data, so it is not repeated."""
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except ApiError as error:
            reason = "the token is refused" if error.status_code == 401 else f"answered with status {error.status_code}{_detail(error.body)}"
            raise ServiceError("Label Studio", self.url, reason) from error
        except httpx.HTTPError as error:
            raise ServiceError("Label Studio", self.url, f"cannot be reached ({type(error).__name__})") from error

    def find_project(self, marker: str) -> int | None:
        """Return the number of the project whose description holds our marker."""
        with self._speaking():
            return next((int(project.id) for project in self._api.projects.list() if marker in (project.description or "")), None)

    def find_or_create_project(self, title: str, marker: str, config: str, readers_per_task: int) -> int:
        """Return the number of our project, made or brought up to date.

        "Uncertainty sampling" serves the lowest prediction score first, which is how the queue's order gets there; predictions stay hidden.
        """
        wanted: dict[str, Any] = {
            "title": title,
            "label_config": config,
            "sampling": "Uncertainty sampling",
            "show_collab_predictions": False,
            "maximum_annotations": readers_per_task,
            "expert_instruction": INSTRUCTION,
            "show_instruction": False,
            "enable_empty_annotation": False,
        }
        found = self.find_project(marker)
        with self._speaking():
            if found is not None:
                self._api.projects.update(id=found, **wanted)
                return found
            # the first import names the model version whose scores order the stream
            return int(self._api.projects.create(description=f"Curaloop review queue {marker}", **wanted).id)

    def connect_folder(self, project: int, folder: Path) -> None:
        """Let the server show the files in `folder`, a folder below its document root; done once a project."""
        path = str(folder.resolve())
        with self._speaking():
            if any(storage.path == path for storage in self._api.import_storage.local.list(project=project)):
                return
            self._api.import_storage.local.create(project=project, path=path, use_blob_urls=True, title="Curaloop review images")

    def list_tasks(self, project: int) -> list[ServerTask]:
        """Return every task of the project, without annotations."""
        with self._speaking():
            tasks = self._api.tasks.list(project=project, include="id,data,is_labeled", page_size=PAGE)
            return [ServerTask(int(task.id), dict(task.data), bool(task.is_labeled)) for task in tasks]

    def list_changed(self, project: int, since: str | None) -> Iterator[ServerTask]:
        """Yield the tasks that changed after `since` (UTC, ISO 8601 with fraction and Z) with their annotations, oldest change first."""
        after = {"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": since}
        query = {"filters": {"conjunction": "and", "items": [after] if since else []}, "ordering": ["tasks:updated_at"]}
        with self._speaking():
            for task in self._api.tasks.list(project=project, query=json.dumps(query), fields="all", page_size=PAGE):
                yield ServerTask(int(task.id), dict(task.data), bool(task.is_labeled), tuple(dict(each) for each in task.annotations or ()))

    def push(self, project: int, tasks: list[tuple[dict[str, Any], float]]) -> None:
        """Import tasks with their scores (lowest is served first). Not idempotent: the caller knows what is there already."""
        for start in range(0, len(tasks), BATCH):
            request = [
                {"data": content, "predictions": [{"model_version": MODEL_VERSION, "score": score, "result": []}]}
                for content, score in tasks[start : start + BATCH]
            ]
            with self._speaking():
                self._api.projects.import_tasks(id=project, request=request)

    def emails(self) -> dict[int, str]:
        """Return the e-mail address of every user by number."""
        with self._speaking():
            return {int(user.id): str(user.email).lower() for user in self._api.users.list()}

    def answer(self, task_id: int, result: list[dict[str, Any]], seconds: float) -> int:
        """Create an annotation in the name of the token's owner and return its number."""
        with self._speaking():
            return int(self._api.annotations.create(id=task_id, result=result, lead_time=seconds).id)


def _detail(body: Any) -> str:
    """Return the server's own short sentence, if it has one."""
    detail = body.get("detail") if isinstance(body, dict) else None
    return f": {detail[:200]}" if isinstance(detail, str) and detail else ""
