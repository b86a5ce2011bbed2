"""Sends the queue to the readers: renders, signs, imports. The same command again adds nothing, also after it was killed half-way."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from curation.manifest import read_manifest, write_bytes, write_manifest
from curation.modalities import with_task
from curation.progress import Progress, silent
from curation.project import Project
from curation.shards import Place, ShardReader
from validation.recipe import ReviewSettings
from validation.review.blinding import find_tells
from validation.review.config import config_hash, labeling_config, task_choices
from validation.review.issued import IssuedTask, append_lines, issued_path, marker_of, read_issued, read_lines
from validation.review.queue import build_queue, with_uncertainty
from validation.review.render import render
from validation.review.studio import Studio

BATCH = 100


@dataclass(frozen=True)
class PushReport:
    """What a push did.

    Attributes:
        created: new tasks.
        open: tasks without enough answers, the new ones included.
        routes: new tasks by route.
        without_classes: images that wait because nobody knows the classes of their kind yet.
        url: where the readers go; "Label All Tasks" there serves the queue in its order.
        tells: by what readers could tell candidates from real images before they look at them; empty when they are blind.
    """

    created: int
    open: int
    routes: dict[str, int] = field(default_factory=dict)
    without_classes: int = 0
    url: str = ""
    tells: tuple[str, ...] = ()


def push_review(
    project: Project,
    settings: ReviewSettings,
    url: str,
    token: str,
    uncertainty: pl.DataFrame | None,
    classes: dict[str, tuple[str, ...]],
    key: bytes,
    progress: Progress = silent,
) -> PushReport:
    """Fill the readers' queue up to the budget and note the routes in the working manifest.

    Args:
        project: the dataset project; the caller holds its write lock.
        settings: the recipe's `review` part.
        url: address of Label Studio, whose document root is `project.review`.
        token: API token.
        uncertainty: `image_id` and `uncertainty` of the last model, or None.
        classes: classes of each task (`ct-3d`, `colour-2d`, …); images of other tasks wait.
        key: the project's key; signs what goes out.
        progress: told after each rendered image.

    Raises:
        ServiceError: Label Studio cannot be reached or refuses.
    """
    rows = with_task(read_manifest(project.manifest))
    known = rows.filter(pl.col("task").is_in(sorted(task for task, names in classes.items() if names)))
    config = labeling_config(settings.reasons)
    with Studio(url, token) as studio:
        number = studio.find_or_create_project(settings.title, marker_of(key, project), config, settings.readers_per_task)
        folder = image_folder(project)
        folder.mkdir(parents=True, exist_ok=True)
        studio.connect_folder(number, folder)
        issued = read_issued(project)
        here, still_open = _on_server(studio, number, issued)
        restore_pictures(project, here, rows)
        answered = {fact["image_id"] for fact in read_lines(project.verdicts)}
        audits = sum(task.route == "audit" for task in still_open)
        room = max(0, settings.budget - len(still_open))
        taken = {task.image_id for task in here} | answered
        lost = {task.image_id for task in issued.values()} - taken
        queue = build_queue(known, uncertainty, settings, key, taken, room, audits, lost)
        write_manifest(with_routes(with_uncertainty(rows, uncertainty), queue), project.manifest)
        out = queue.join(known, on="image_id", how="left", maintain_order="left")
        _send(project, studio, number, out, classes, config_hash(config), key, progress)
    counts = {str(route): int(count) for route, count in queue["route"].value_counts().sort("route").iter_rows()}
    waiting = (
        rows.filter(pl.col("verdict").is_null(), pl.col("label").is_null()).height - known.filter(pl.col("verdict").is_null(), pl.col("label").is_null()).height
    )
    return PushReport(queue.height, len(still_open) + queue.height, counts, waiting, f"{studio.url}/projects/{number}/data", find_tells(out))


def image_folder(project: Project) -> Path:
    """Return where the rendered pictures lie: a folder below Label Studio's document root."""
    return project.review / "images" / _slug(project)


def restore_pictures(project: Project, lines: Iterable[IssuedTask], rows: pl.DataFrame) -> int:
    """Render the pictures of issued tasks that are gone, as after the workspace was deleted, and return how many came back.

    Without its picture a reader sees nothing, and no answer to the task would count. One that would not be the same again stays away.

    Args:
        project: the dataset project.
        lines: issued tasks.
        rows: the working manifest.
    """
    lost = {line.image_id: line for line in lines if not (image_folder(project) / f"{line.case_id}.png").is_file()}
    restored = 0
    with ShardReader(*project.shard_folders()) as shards:
        for row in rows.filter(pl.col("image_id").is_in(sorted(lost)) & pl.col("shard").is_not_null()).iter_rows(named=True):
            line = lost[row["image_id"]]
            picture = render(shards.read(Place(row["shard"], row["offset"], row["size_bytes"])), row["suffix"], row["modality"], row["spacing_mm"])
            if hashlib.sha256(picture).hexdigest() == line.image_sha256:
                write_bytes(picture, image_folder(project) / f"{line.case_id}.png")
                restored += 1
    return restored


def _slug(project: Project) -> str:
    return re.sub(r"[^a-z0-9]+", "-", project.root.resolve().name.lower()).strip("-") or "project"


def _on_server(studio: Studio, number: int, issued: dict[str, IssuedTask]) -> tuple[list[IssuedTask], list[IssuedTask]]:
    """Return our tasks that are on the server, and those of them that still want answers."""
    tasks = {task.case_id: task for task in studio.list_tasks(number) if task.case_id in issued}
    return [issued[case] for case in tasks], [issued[case] for case, task in tasks.items() if not task.is_labeled]


def with_routes(rows: pl.DataFrame, queue: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with route and reason of those in the queue."""
    new = queue.select("image_id", pl.col("route").alias("_route"), pl.col("route_reason").alias("_reason"))
    rows = rows.join(new, on="image_id", how="left")
    return rows.with_columns(route=pl.coalesce("_route", "route"), route_reason=pl.coalesce("_reason", "route_reason")).drop("_route", "_reason")


def _send(
    project: Project, studio: Studio, number: int, queue: pl.DataFrame, classes: dict[str, tuple[str, ...]], config: str, key: bytes, progress: Progress
) -> None:
    """Render, sign and import in batches: a line is written before its task goes out, so no answer can come back unknown."""
    done = 0
    with ShardReader(*project.shard_folders()) as shards:
        for batch in queue.iter_slices(BATCH):
            lines, tasks = [], []
            for row in batch.iter_rows(named=True):
                line = _issue(project, shards, row, classes[row["task"]], config).signed(key)
                lines.append(line)
                tasks.append((task_content(line), 1 - row["priority"]))
                done += 1
                progress(done, queue.height, "rendering for review")
            append_lines(issued_path(project), (vars(line) for line in lines))
            studio.push(number, tasks)


def _issue(project: Project, shards: ShardReader, row: dict[str, Any], choices: tuple[str, ...], config: str) -> IssuedTask:
    """Render one image and return its unsigned line."""
    content = shards.read(Place(row["shard"], row["offset"], row["size_bytes"]))
    picture = render(content, row["suffix"], row["modality"], row["spacing_mm"])
    case = row["case_id"]
    write_bytes(picture, image_folder(project) / f"{case}.png")
    url = f"/data/local-files/?d=images/{_slug(project)}/{case}.png"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return IssuedTask(case, row["image_id"], hashlib.sha256(picture).hexdigest(), config, choices, row["label"], row["route"], url, now)


def task_content(line: IssuedTask) -> dict[str, Any]:
    """Return all that the reader's tool gets to know: case, picture, classes."""
    return {"case_id": line.case_id, "image": line.url, "choices": task_choices(line.choices)}
