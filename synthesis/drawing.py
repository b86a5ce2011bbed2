"""What is drawn: wishes from requests, with a parent where the engine changes one, and what an image's bits depend on besides."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import polars as pl

from curation.errors import UsageError
from curation.project import Project
from synthesis.conditions import LABEL
from synthesis.engines.engine import Wanted
from synthesis.label_maps import read_squares
from synthesis.network import choose_device
from synthesis.recipe import GeneratorSettings
from synthesis.requests import Request
from synthesis.training_set import TrainingSet, read_stored


def make_wishes(requests: list[Request], first_seed: int) -> list[Wanted]:
    """Return one wish an image; the seeds count up over all requests, so no two share one."""
    conditions = [request.condition for request in requests for _ in range(request.number)]
    return [Wanted(condition, first_seed + position) for position, condition in enumerate(conditions)]


def choose_parents(wishes: Sequence[Wanted], train: TrainingSet) -> list[str]:
    """Return, for each wish, the `image_id` of a train image of the commonest other class, chosen by the seed.

    Raises:
        UsageError: there is no other class.
    """
    return [train.rows["image_id"][_choose_parent(wish, train)] for wish in wishes]


def _choose_parent(wish: Wanted, train: TrainingSet) -> int:
    others = {name: count for name, count in train.counts.items() if name != wish.condition[LABEL]}
    if not others:
        raise UsageError("an engine that changes real images of another class needs a second class with train images")
    common = max(others, key=lambda name: (others[name], name))
    places = [place for place, found in enumerate(train.labels) if found == common]
    return places[int(np.random.default_rng(wish.seed).integers(len(places)))]


def give_parents(project: Project, rows: pl.DataFrame, wishes: Sequence[Wanted], parent_ids: Sequence[str]) -> list[Wanted]:
    """Return the wishes with their parents and these images' label maps, both as they are stored.

    Args:
        project: its shards hold them.
        rows: with the parents' rows.
        wishes: that need a parent.
        parent_ids: one for each wish.
    """
    found = rows.filter(pl.col("image_id").is_in(list(set(parent_ids))))
    images = dict(zip(found["image_id"], zip(read_stored(project, found), read_squares(project, found), strict=True), strict=True))
    return [
        wish._replace(parent=images[parent_id][0], parent_id=parent_id, mask=images[parent_id][1]) for wish, parent_id in zip(wishes, parent_ids, strict=True)
    ]


def describe_machine(settings: GeneratorSettings) -> dict[str, str]:
    """Return what the bits of an image depend on besides its row and its generator: threads, device, instructions of the processor, torch's version."""
    import torch

    device = choose_device(settings)
    return {
        "threads": str(torch.get_num_threads()),
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch": version("torch"),
    }
