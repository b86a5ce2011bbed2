"""The demo's simulated reader: what it knows, and how it judges images that nobody planted.

Of a simulated image it knows the planted truth. Of a synthetic one there is no truth, so it compares: the class is that of the five nearest
simulated images (simple colour statistics), and an image that is further from them than nearly all of them are from each other is
not plausible. Real files that came with installed packages it leaves open: nobody told it what they show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curation.manifest import read_manifest
from curation.modalities import with_task
from curation.pixels import Pixels, decode
from curation.project import Project, read_key
from curation.shards import Place, ShardReader

if TYPE_CHECKING:
    from flows.demo.cohort import GroundTruth
    from flows.label_studio import RunningStudio
    from validation.review.readers import Answer

NEIGHBOURS = 5
FAR = 0.975


def answer_as_simulated_reader(project: Project, truth: GroundTruth, server: RunningStudio, name: str, error_rate: float) -> int:
    """Sign up as a simulated reader, answer every task whose truth is known or can be judged, and return how many.

    Args:
        project: the demo's project.
        truth: what was planted.
        server: the running Label Studio.
        name: of the reader; says that it is simulated.
        error_rate: share of wrong answers.
    """
    from validation.review.issued import marker_of, read_issued
    from validation.review.readers import SimulatedReader, sign_up
    from validation.review.studio import Studio

    knowledge = know(project, truth)
    image_of = {case: task.image_id for case, task in read_issued(project).items()}
    reader = SimulatedReader(name, lambda case: knowledge.get(image_of.get(case, "")), error_rate)
    with Studio(server.url, server.token) as studio:
        queue = studio.find_project(marker_of(read_key(project), project))
    assert queue is not None, "the queue was pushed before"
    token = sign_up(server.url, server.token, reader.email)
    return reader.answer_all(server.url, token, queue)


def know(project: Project, truth: GroundTruth) -> dict[str, Answer]:
    """Return what the reader would answer for each image_id, errors aside."""
    from validation.review.readers import Answer

    planted = true_labels(project, truth)
    answers = {image_id: Answer(label) for image_id, label in planted.items()}
    rows = with_task(read_manifest(project.manifest))
    candidates = rows.filter(origin="synthetic")
    with ShardReader(*project.shard_folders()) as shards:
        for (task,), of_task in candidates.group_by("task"):
            examples = rows.filter((pl.col("task") == task) & pl.col("image_id").is_in(list(planted)))
            eye = Eye([_pixels(shards, row) for row in examples.to_dicts()], [planted[image_id] for image_id in examples["image_id"]])
            for row in of_task.to_dicts():
                label, is_plausible = eye.judge(_pixels(shards, row))
                answers[row["image_id"]] = Answer(label, is_plausible, () if is_plausible else ("not plausible",))
    return answers


def true_labels(project: Project, truth: GroundTruth) -> dict[str, str]:
    """Return the true label of every image that was simulated and kept, by image_id."""
    intake = pl.read_parquet(project.intake).explode("image_ids").drop_nulls("image_ids")
    named = {(image.source, image.path): image.truth for image in truth.images}
    pairs = intake.select("source", "path", "image_ids").iter_rows()
    found = {image_id: named.get((source, path)) or named.get((source, path.split("/")[0])) for source, path, image_id in pairs}
    return {image_id: label for image_id, label in found.items() if label}


def _pixels(shards: ShardReader, row: dict[str, Any]) -> Pixels:
    return decode(shards.read(Place(row["shard"], row["offset"], row["size_bytes"])), row["suffix"])


class Eye:
    """Judges pictures by comparing them with examples."""

    def __init__(self, pictures: list[Pixels], labels: list[str]) -> None:
        from sklearn.neighbors import NearestNeighbors
        from sklearn.preprocessing import StandardScaler

        features = np.stack([_describe(picture) for picture in pictures])
        self._scale = StandardScaler().fit(features)
        self._neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(self._scale.transform(features))
        self._labels = np.array(labels)
        among_themselves = self._neighbours.kneighbors()[0][:, 0]
        self._far = float(np.quantile(among_themselves, FAR))

    def judge(self, picture: Pixels) -> tuple[str, bool]:
        """Return the class that the picture looks like, and whether it is plausible at all."""
        distances, nearest = self._neighbours.kneighbors(self._scale.transform(_describe(picture)[None]))
        names, votes = np.unique(self._labels[nearest[0]], return_counts=True)
        return str(names[votes.argmax()]), bool(distances[0, 0] <= self._far)


def _describe(picture: Pixels) -> npt.NDArray[np.float64]:
    """Return mean and spread of each channel in a 3 × 3 grid of the picture, `(54,)` for RGB."""
    import cv2

    small = cv2.resize(picture, (30, 30), interpolation=cv2.INTER_AREA).astype(np.float64)
    cells = small.reshape(3, 10, 3, 10, -1)
    return np.concatenate([cells.mean(axis=(1, 3)).ravel(), cells.std(axis=(1, 3)).ravel()])
