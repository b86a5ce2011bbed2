"""Brings the readers' answers back as facts: one JSON line an annotation, never overwritten, never twice, only for tasks that we issued."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from curation.manifest import read_manifest
from curation.project import Project
from curation.pseudonyms import pseudonym
from validation.recipe import ReviewSettings
from validation.review.issued import IssuedTask, append_lines, marker_of, read_issued, read_lines
from validation.review.push import image_folder, restore_pictures, task_content
from validation.review.studio import ServerTask, Studio

OVERLAP = timedelta(minutes=10)
BATCH = 200


@dataclass(frozen=True)
class Refusal:
    """An annotation that does not count, and why."""

    annotation_id: int
    reason: str


@dataclass(frozen=True)
class PullReport:
    """What a pull did; `new + known + refused = seen`. Answers that were taken back are facts as well, counted by themselves.

    Attributes:
        seen: annotations that the server showed us since the last pull, with some overlap.
        new: facts written.
        known: annotations that we had already.
        refused: annotations that do not count, by reason.
        refusals: each of them.
        readers: people behind the new facts.
        withdrawn: answers that we had and that were skipped or deleted since.
    """

    seen: int
    new: int
    known: int
    refused: dict[str, int] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    readers: int = 0
    withdrawn: int = 0


def pull_verdicts(project: Project, settings: ReviewSettings, url: str, token: str, key: bytes) -> PullReport:
    """Append every new answer to `records/verdicts.jsonl`.

    The cursor is the newest time among the facts themselves, minus an overlap; what comes twice is known by annotation id and time of
    change. So there is no second file that a crash could leave behind the first.

    Args:
        project: the dataset project; the caller holds its write lock.
        settings: the recipe's `review` part; `readers` limits whose annotations count.
        url: address of Label Studio.
        token: API token.
        key: the project's key.

    Raises:
        ServiceError: Label Studio cannot be reached or refuses.
    """
    facts = read_lines(project.verdicts)
    issued = read_issued(project)
    restore_pictures(project, issued.values(), read_manifest(project.manifest))
    tally = _Tally(project, settings, key, issued, facts)
    with Studio(url, token) as studio:
        number = studio.find_project(marker_of(key, project))
        if number is None:
            return PullReport(0, 0, 0)
        tally.emails = studio.emails()
        batch: list[dict[str, Any]] = []
        for task in studio.list_changed(number, _cursor(facts)):
            batch += tally.take(task)
            if len(batch) >= BATCH:
                append_lines(project.verdicts, batch)
                batch = []
        append_lines(project.verdicts, batch)
    return tally.report()


def _cursor(facts: list[dict[str, Any]]) -> str | None:
    """Return the time from which to ask, as the server wants it."""
    times = [datetime.fromisoformat(fact["updated_at"]) for fact in facts if not fact["cancelled"]]  # a withdrawal may carry our own clock's time
    return _stamp(max(times) - OVERLAP) if times else None


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Tally:
    """Sorts annotations into facts, known ones and refused ones, and counts them."""

    def __init__(self, project: Project, settings: ReviewSettings, key: bytes, issued: dict[str, IssuedTask], facts: list[dict[str, Any]]) -> None:
        self.key, self.issued = key, issued
        self.known_facts = {(fact["annotation_id"], fact["updated_at"]) for fact in facts}
        self.standing = _standing(facts)
        self.folder = image_folder(project)
        self.allowed = {address.lower() for address in settings.readers}
        self.reasons = settings.reasons
        self.emails: dict[int, str] = {}
        self.new, self.known, self.withdrawn = 0, 0, 0
        self.refusals: list[Refusal] = []
        self.readers: set[str] = set()

    def take(self, task: ServerTask) -> list[dict[str, Any]]:
        """Return the new facts of one task."""
        standing = self.standing.get(task.case_id, {})
        if not task.annotations and not standing:
            return []
        refused = self._refuse_task(task)
        facts = []
        for annotation in task.annotations:
            reason = refused or self._refuse(annotation, self.issued[task.case_id])
            if reason:
                self.refusals.append(Refusal(int(annotation["id"]), reason))
            elif (annotation["id"], annotation["updated_at"]) in self.known_facts:
                self.known += 1
            else:
                facts.append(self._fact(annotation, self.issued[task.case_id]))
        if not refused:
            shown = {annotation["id"]: annotation for annotation in task.annotations}
            facts += [self._withdraw(fact, shown.get(number)) for number, fact in standing.items() if _is_taken_back(shown.get(number))]
        return facts

    def _withdraw(self, fact: dict[str, Any], skipped: dict[str, Any] | None) -> dict[str, Any]:
        """Return the line that takes an answer back: its reader skips the task now, or it was deleted; later than the answer by any clock."""
        self.withdrawn += 1
        now = datetime.now(UTC)
        changed = datetime.fromisoformat(skipped["updated_at"]) if skipped else now
        late = max(changed, datetime.fromisoformat(fact["updated_at"]) + timedelta(microseconds=1))
        return fact | {"cancelled": True, "updated_at": _stamp(late), "pulled_at": now.isoformat(timespec="seconds")}

    def _refuse_task(self, task: ServerTask) -> str | None:
        """Return why no answer to this task counts: it is not the one that we issued."""
        line = self.issued.get(task.case_id)
        if line is None or not line.is_ours(self.key):
            return "not issued by us"
        if task.content != task_content(line):
            return "task was changed"
        picture = self.folder / f"{line.case_id}.png"
        if not picture.is_file() or hashlib.sha256(picture.read_bytes()).hexdigest() != line.image_sha256:
            return "picture was changed"
        return None

    def _refuse(self, annotation: dict[str, Any], line: IssuedTask) -> str | None:
        """Return why this annotation does not count."""
        email = self.emails.get(reader_number(annotation))
        if email is None:
            return "unknown reader"
        if self.allowed and email not in self.allowed:
            return "reader is not on the list"
        if annotation.get("was_cancelled"):
            return "skipped by the reader"
        answers = read_answers(annotation)
        if not answers:
            return "empty"
        if len(answers.get("label", [])) != 1 or len(answers.get("usable", [])) != 1:
            return "incomplete"
        if answers["label"][0] not in line.choices or answers["usable"][0] not in ("yes", "no"):
            return "answer was not offered"
        return None

    def _fact(self, annotation: dict[str, Any], line: IssuedTask) -> dict[str, Any]:
        """Return the line that is kept of an answer: no e-mail address, no free text."""
        answers = read_answers(annotation)
        reader = pseudonym(self.key, "reader", self.emails[reader_number(annotation)])
        self.new += 1
        self.readers.add(reader)
        self.known_facts.add((annotation["id"], annotation["updated_at"]))
        return {
            "annotation_id": annotation["id"],
            "updated_at": annotation["updated_at"],
            "case_id": line.case_id,
            "image_id": line.image_id,
            "reader": reader,
            "label": answers["label"][0],
            "label_issued": line.label,
            "usable": answers["usable"][0] == "yes",
            "reasons": sorted(set(answers.get("reasons", [])) & set(self.reasons)),
            "seconds": annotation.get("lead_time"),
            "cancelled": False,
            "pulled_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def report(self) -> PullReport:
        """Return the counts."""
        by_reason = dict(sorted(Counter(refusal.reason for refusal in self.refusals).items()))
        seen = self.new + self.known + len(self.refusals)
        return PullReport(seen, self.new, self.known, by_reason, tuple(self.refusals), len(self.readers), self.withdrawn)


def _standing(facts: list[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the newest fact of each annotation that was not taken back, by case and annotation."""
    newest: dict[str, dict[int, dict[str, Any]]] = {}
    for fact in sorted(facts, key=lambda fact: str(fact["updated_at"])):
        newest.setdefault(fact["case_id"], {})[fact["annotation_id"]] = fact
    return {case: {number: fact for number, fact in known.items() if not fact["cancelled"]} for case, known in newest.items()}


def _is_taken_back(annotation: dict[str, Any] | None) -> bool:
    return annotation is None or bool(annotation.get("was_cancelled"))


def reader_number(annotation: dict[str, Any]) -> int:
    """Return the number of the user who made the annotation."""
    made_by = annotation.get("completed_by")
    return int(made_by["id"] if isinstance(made_by, dict) else made_by or 0)


def read_answers(annotation: dict[str, Any]) -> dict[str, list[str]]:
    """Return the chosen values of each question; whatever has another form is left out."""
    answers: dict[str, list[str]] = {}
    for part in annotation.get("result") or []:
        value = part.get("value") if isinstance(part, dict) else None
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            answers.setdefault(str(part.get("from_name")), []).extend(str(choice) for choice in value["choices"])
    return answers
