"""Push, answer, pull, with a real Label Studio."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curation.errors import ServiceError
from curation.manifest import read_manifest
from curation.pixels import encode_png
from curation.project import Project
from tests.builders import LABELS, an_id
from tests.services import TestStudio
from tests.validation.review.builders import CLASSES, KEY, a_review_project
from validation.recipe import ReviewSettings
from validation.review.issued import append_lines, case_of, issued_path, marker_of, read_issued, read_lines
from validation.review.pull import PullReport, pull_verdicts
from validation.review.push import PushReport, image_folder, push_review
from validation.review.readers import Answer, SimulatedReader, sign_up, to_result
from validation.review.status import review_status
from validation.review.studio import ServerTask, Studio
from validation.review.verdicts import apply_verdicts, gather_opinions, read_verdicts

pytestmark = pytest.mark.service

SETTINGS = ReviewSettings(budget=16, audit_share=0.25)
WIDE = ReviewSettings(budget=40)  # room for every image
UNCERTAINTY = pl.DataFrame({"image_id": [an_id(n) for n in range(20)], "uncertainty": [n / 20 for n in range(20)]})


def push(project: Project, studio: TestStudio, settings: ReviewSettings = SETTINGS) -> PushReport:
    """Push with the test's key, classes and uncertainties."""
    return push_review(project, settings, studio.url, studio.token, UNCERTAINTY, CLASSES, KEY)


def pull(project: Project, studio: TestStudio, settings: ReviewSettings = SETTINGS) -> PullReport:
    """Pull with the test's key."""
    return pull_verdicts(project, settings, studio.url, studio.token, KEY)


def tasks_of(project: Project, studio: TestStudio) -> tuple[int, list[ServerTask]]:
    """Return the number of the project's Label Studio project and its tasks."""
    with Studio(studio.url, studio.token) as door:
        number = door.find_project(marker_of(KEY, project))
        assert number is not None
        return number, door.list_tasks(number)


def answer(project: Project, studio: TestStudio, image_id: str, reply: Answer) -> int:
    """Answer the task of an image as the server's owner; return the annotation's number."""
    _, tasks = tasks_of(project, studio)
    task = next(task for task in tasks if task.case_id == case_of(KEY, image_id))
    with Studio(studio.url, studio.token) as door:
        return door.answer(task.task_id, to_result(reply), 4.5)


def served(studio: TestStudio, number: int, how_many: int) -> list[str]:
    """Answer the labelling stream as a browser's "Label All Tasks" does; return the case_ids in the order in which they came."""
    import httpx

    cases = []
    with httpx.Client(base_url=studio.url, headers={"Authorization": f"Token {studio.token}"}) as browser, Studio(studio.url, studio.token) as door:
        for _ in range(how_many):
            task = browser.post(f"/api/dm/actions?id=next_task&project={number}", json={"project": str(number)}).raise_for_status().json()
            cases.append(task["data"]["case_id"])
            door.answer(task["id"], to_result(Answer("nevus")), 1.0)
    return cases


def test_the_stream_serves_our_order_and_readers_learn_nothing(label_studio: TestStudio, tmp_path: Path) -> None:
    """Tasks come by priority; their data hold the case, the picture and the classes only; the server shows the picture to readers only."""
    import httpx

    project = a_review_project(tmp_path, label_studio.files_root)
    report = push(project, label_studio)
    assert (report.created, report.open) == (16, 16)
    number, tasks = tasks_of(project, label_studio)
    for task in tasks:
        assert set(task.content) == {"case_id", "image", "choices"}
        assert [choice["value"] for choice in task.content["choices"]] == list(LABELS)
    rows = read_manifest(project.manifest)
    assert rows["route"].drop_nulls().len() == 16
    assert rows.filter(pl.col("image_id") == an_id(19))["uncertainty"][0] == 0.95
    picture = f"{label_studio.url}{tasks[0].content['image']}"
    shown = httpx.get(picture, headers={"Authorization": f"Token {label_studio.token}"})
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
    assert httpx.get(picture).status_code == 401
    issued = list(read_issued(project))
    assert served(label_studio, number, 16) == issued


def test_a_second_push_adds_nothing_and_a_killed_one_is_completed(label_studio: TestStudio, tmp_path: Path) -> None:
    """Idempotent by our own case_id, also when the run before died after writing the lines or in the middle of the import."""
    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio)
    assert push(project, label_studio).created == 0
    _, tasks = tasks_of(project, label_studio)
    import httpx

    with httpx.Client(base_url=label_studio.url, headers={"Authorization": f"Token {label_studio.token}"}) as client:
        for task in tasks[3:9]:  # as if the import had been killed half-way
            client.delete(f"/api/tasks/{task.task_id}/").raise_for_status()
    completed = push(project, label_studio)
    assert (completed.created, completed.open) == (6, 16)
    _, again = tasks_of(project, label_studio)
    assert sorted(task.case_id for task in again) == sorted(task.case_id for task in tasks)


def test_a_deleted_workspace_loses_no_answer(label_studio: TestStudio, tmp_path: Path) -> None:
    """Planted: the rendered pictures are gone. A push shows them to the readers again, a pull does not take their absence for a change."""
    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio)
    shutil.rmtree(image_folder(project))
    push(project, label_studio)
    issued = read_issued(project).values()
    assert all((image_folder(project) / f"{line.case_id}.png").is_file() for line in issued)
    answer(project, label_studio, next(iter(issued)).image_id, Answer("melanoma"))
    shutil.rmtree(image_folder(project))
    report = pull(project, label_studio)
    assert (report.new, report.refused) == (1, {})


def test_answers_come_back_once_and_change_the_rows(label_studio: TestStudio, tmp_path: Path) -> None:
    """Simulated readers answer under their own names; a replay adds nothing; a changed answer is a new fact; verdicts follow."""
    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio)
    number, tasks = tasks_of(project, label_studio)
    reader = SimulatedReader("simulated-reader-1", lambda case: Answer("melanoma"), error_rate=0.25, seed=3)
    token = sign_up(label_studio.url, label_studio.token, reader.email)
    assert reader.answer_all(label_studio.url, token, number) == 16
    errs = sum(reader.decide(task).label != "melanoma" for task in tasks)  # type: ignore[union-attr]
    assert 0 < errs < 9

    first = pull(project, label_studio)
    assert (first.seen, first.new, first.known, first.refused, first.readers) == (16, 16, 0, {}, 1)
    assert pull(project, label_studio) == PullReport(16, 0, 16)
    text = project.verdicts.read_text()
    assert "curaloop.invalid" not in text
    rows = apply_verdicts(read_manifest(project.manifest), read_verdicts(project))
    assert rows["verdict"].drop_nulls().len() == 16
    assert rows.filter(pl.col("verdict") == "relabelled", pl.col("origin") == "acquired", pl.col("label") == "melanoma").height > 0
    assert set(rows.filter(pl.col("origin") == "synthetic")["verdict"].drop_nulls()) <= {"accepted", "rejected"}

    status = review_status(project, SETTINGS, label_studio.url, label_studio.token, KEY)
    assert (status.issued, status.open, status.done, status.answers, status.readers) == (16, 0, 16, 16, 1)
    assert push(project, label_studio).created > 0  # the budget is free again, and nothing answered is asked twice
    assert len({line["case_id"] for line in read_lines(issued_path(project))}) == len(read_lines(issued_path(project)))


def test_a_pull_that_was_killed_loses_and_repeats_nothing(label_studio: TestStudio, tmp_path: Path) -> None:
    """A line that was cut short is written again, whole lines stay."""
    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio, WIDE)
    for image_id in (an_id(20), an_id(21), an_id(24)):
        answer(project, label_studio, image_id, Answer("nevus"))
    pull(project, label_studio)
    whole = read_verdicts(project)
    content = project.verdicts.read_bytes()
    project.verdicts.write_bytes(content[:-40])
    assert len(read_verdicts(project)) == 2
    assert pull(project, label_studio).new == 1
    once = [{key: value for key, value in fact.items() if key != "pulled_at"} for fact in whole]
    assert [{key: value for key, value in fact.items() if key != "pulled_at"} for fact in read_verdicts(project)] == once


def test_an_answer_that_is_skipped_or_deleted_later_counts_no_more(label_studio: TestStudio, tmp_path: Path) -> None:
    """Each withdrawal is a fact of its own, written once; an answer given anew counts."""
    import httpx

    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio, WIDE)
    skipped, deleted = (answer(project, label_studio, an_id(number), Answer("nevus")) for number in (20, 21))
    assert pull(project, label_studio).new == 2
    with httpx.Client(base_url=label_studio.url, headers={"Authorization": f"Token {label_studio.token}"}) as client:
        client.patch(f"/api/annotations/{skipped}/", json={"was_cancelled": True}).raise_for_status()
        client.delete(f"/api/annotations/{deleted}/").raise_for_status()
    second = pull(project, label_studio)
    assert (second.new, second.withdrawn) == (0, 2)
    assert pull(project, label_studio).withdrawn == 0
    assert len(read_verdicts(project)) == 4
    assert gather_opinions(read_verdicts(project)) == {}
    answer(project, label_studio, an_id(21), Answer("melanoma"))
    pull(project, label_studio)
    assert gather_opinions(read_verdicts(project))[an_id(21)].label == "melanoma"


def test_only_answers_to_our_own_tasks_count(label_studio: TestStudio, tmp_path: Path) -> None:
    """Forged tasks, changed pictures, foreign readers, skipped, empty and invented answers are refused and counted, the rest counts."""
    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio, WIDE)
    number, tasks = tasks_of(project, label_studio)
    by_case = {task.case_id: task for task in tasks}
    forge(label_studio, number, tasks[0])
    answer(project, label_studio, an_id(20), Answer("nevus"))
    changed = image_folder(project) / f"{case_of(KEY, an_id(20))}.png"
    changed.write_bytes(encode_png(np.zeros((512, 512, 3), np.uint8)))
    unsigned = read_issued(project)[case_of(KEY, an_id(21))]
    append_lines(issued_path(project), [vars(unsigned) | {"choices": ["nevus", "anything"]}])
    answer(project, label_studio, an_id(21), Answer("anything"))
    answer(project, label_studio, an_id(22), Answer("not a class"))
    with Studio(label_studio.url, label_studio.token) as door:
        door.answer(by_case[case_of(KEY, an_id(23))].task_id, [], 1.0)
        door.answer(by_case[case_of(KEY, an_id(24))].task_id, to_result(Answer("nevus"))[:1], 1.0)
    answer(project, label_studio, an_id(25), Answer("keratosis"))

    report = pull(project, label_studio)
    refused = {"answer was not offered": 1, "empty": 1, "incomplete": 1, "not issued by us": 2, "picture was changed": 1, "task was changed": 1}
    assert report.refused == refused
    assert (report.new, [fact["image_id"] for fact in read_verdicts(project)]) == (1, [an_id(25)])
    strict = SETTINGS.model_copy(update={"readers": ("chief@hospital.invalid",)})
    assert pull(project, label_studio, strict).refused["reader is not on the list"] == 4


def forge(studio: TestStudio, number: int, real: ServerTask) -> None:
    """Put two tasks on the server that we did not issue, with answers: a made-up case, and a real case with another picture."""
    forged: list[dict[str, Any]] = [real.content | {"case_id": "f" * 20}, real.content | {"image": "/data/local-files/?d=images/other.png"}]
    with Studio(studio.url, studio.token) as door:
        door.push(number, [(content, 0.0) for content in forged])
        for task in door.list_tasks(number):
            if task.content in forged:
                door.answer(task.task_id, to_result(Answer("melanoma")), 1.0)


def test_a_changed_picture_refuses_its_answer_until_it_is_ours_again(label_studio: TestStudio, tmp_path: Path) -> None:
    """Planted: somebody put another picture in the place of ours. Without it, ours is rendered again and the answer counts."""
    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio, WIDE)
    answer(project, label_studio, an_id(20), Answer("nevus"))
    picture = image_folder(project) / f"{case_of(KEY, an_id(20))}.png"
    picture.write_bytes(encode_png(np.zeros((8, 8), np.uint8)))
    assert pull(project, label_studio).refused == {"picture was changed": 1}
    picture.unlink()
    assert pull(project, label_studio).new == 1


def test_the_server_must_be_there_and_know_us(label_studio: TestStudio, tmp_path: Path) -> None:
    """No server, or a wrong token: exit code 3, and a sentence without the token."""
    project = a_review_project(tmp_path, label_studio.files_root)
    for url, token in (("http://127.0.0.1:9", label_studio.token), (label_studio.url, "0" * 40)):
        with pytest.raises(ServiceError) as caught:
            push_review(project, SETTINGS, url, token, None, CLASSES, KEY)
        assert caught.value.exit_code == 3
        assert token not in str(caught.value)
    assert not issued_path(project).exists()


def test_records_hold_no_identifiers(label_studio: TestStudio, tmp_path: Path) -> None:
    """Issued lines name pseudonyms and hashes only."""
    project = a_review_project(tmp_path, label_studio.files_root)
    push(project, label_studio)
    line = json.loads(issued_path(project).read_text().splitlines()[0])
    assert set(line) == {"case_id", "image_id", "image_sha256", "config_sha256", "choices", "label", "route", "url", "issued_at", "signature"}
