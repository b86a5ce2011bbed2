"""How far the readers are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from curation.manifest import read_manifest
from curation.project import Project
from validation.recipe import ReviewSettings
from validation.review.issued import marker_of, read_issued
from validation.review.studio import Studio
from validation.review.verdicts import gather_opinions, read_verdicts, standing_answers


@dataclass(frozen=True)
class ReviewStatus:
    """How far the readers are.

    Attributes:
        issued: tasks that ever went out.
        open: tasks on the server that still want answers.
        done: tasks on the server with enough answers.
        answers: answers that stand, one a reader and image.
        readers: people behind them.
        disagreements: images on which the readers are split evenly.
        open_routes: open tasks by route.
        verdicts: rows of the working manifest by verdict.
        median_seconds: of an answer, as the readers' tool measured it.
        url: where the readers go; empty when nothing was pushed yet.
    """

    issued: int
    open: int
    done: int
    answers: int
    readers: int
    disagreements: int
    open_routes: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    median_seconds: float | None = None
    url: str = ""


def review_status(project: Project, settings: ReviewSettings, url: str, token: str, key: bytes) -> ReviewStatus:
    """Return how far the readers are, on the server and in our records.

    Args:
        project: the dataset project; only read.
        settings: the recipe's `review` part.
        url: address of Label Studio.
        token: API token.
        key: the project's key.

    Raises:
        ServiceError: Label Studio cannot be reached or refuses.
    """
    issued, facts = read_issued(project), standing_answers(read_verdicts(project))
    with Studio(url, token) as studio:
        number = studio.find_project(marker_of(key, project))
        tasks = [task for task in studio.list_tasks(number) if task.case_id in issued] if number is not None else []
    waiting = [issued[task.case_id] for task in tasks if not task.is_labeled]
    opinions = [each for each in gather_opinions(facts).values() if each.readers >= settings.readers_per_task]
    verdicts = Counter(read_manifest(project.manifest)["verdict"].drop_nulls().to_list())
    seconds = sorted(float(fact["seconds"]) for fact in facts if fact["seconds"] is not None)
    return ReviewStatus(
        issued=len(issued),
        open=len(waiting),
        done=len(tasks) - len(waiting),
        answers=len(facts),
        readers=len({fact["reader"] for fact in facts}),
        disagreements=sum(each.is_tie for each in opinions),
        open_routes=dict(sorted(Counter(line.route for line in waiting).items())),
        verdicts=dict(sorted(verdicts.items())),
        median_seconds=seconds[len(seconds) // 2] if seconds else None,
        url=f"{url.rstrip('/')}/projects/{number}/data" if number is not None else "",
    )
