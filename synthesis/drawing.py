"""What is drawn: wishes from requests, with a parent where the engine changes one, and what an image's bits depend on besides."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from curation.errors import UsageError
from synthesis.conditions import LABEL
from synthesis.engines.engine import Wanted
from synthesis.network import choose_device
from synthesis.recipe import GeneratorSettings
from synthesis.requests import Request
from synthesis.training_set import TrainingSet


def make_wishes(requests: list[Request], first_seed: int, train: TrainingSet, *, needs_parents: bool) -> list[Wanted]:
    """Return one wish an image; the seeds count up over all requests, so no two share one."""
    conditions = [request.condition for request in requests for _ in range(request.number)]
    wishes = [Wanted(condition, first_seed + position) for position, condition in enumerate(conditions)]
    return [_with_parent(wish, train) for wish in wishes] if needs_parents else wishes


def _with_parent(wish: Wanted, train: TrainingSet) -> Wanted:
    """Return a wish with a train image of the commonest other class, chosen by the seed.

    Raises:
        UsageError: there is no other class.
    """
    label = wish.condition[LABEL]
    others = {name: count for name, count in train.counts.items() if name != label}
    if not others:
        raise UsageError("an engine that changes real images of another class needs a second class with train images")
    common = max(others, key=lambda name: (others[name], name))
    places = [place for place, found in enumerate(train.labels) if found == common]
    place = places[int(np.random.default_rng(wish.seed).integers(len(places)))]
    return wish._replace(parent=train.images[place], parent_id=train.rows["image_id"][place])


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
