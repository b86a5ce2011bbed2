"""The loop of every training: go on from the checkpoint, take the steps that are left, keep an average of the weights, leave the finished file.

What a step does, the caller says. It must depend on its number only, so that a training that was killed ends in the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.errors import UsageError
from curation.progress import Progress
from synthesis.checkpoint import Tensors, finish_training, restore_checkpoint, save_checkpoint, write_losses
from synthesis.processes import is_first_process
from synthesis.training import update_average


def look_away(average: Tensors, done: int) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        what: is trained: "generator" or "autoencoder".
        network: all its `named_parameters` are averaged and kept.
        optimizer: of those that learn.
        take_step: number of a step, from 0, to its loss.
        decay: number of a step to the decay of the moving average.
        steps: in all.
        checkpoint_steps: steps between checkpoints.
        about: what is trained, apart from its weights; a checkpoint of something else is not gone on with.
        rate_key: the recipe's key for a training that diverges.
        frozen: further tensors that belong to the finished file.
        scaler: of the gradients, where they are float16.
        watch: called after every step with the averaged weights and the steps that are done, by the process that writes.
    """

    what: str
    network: Any
    optimizer: Any
    take_step: Callable[[int], float]
    decay: Callable[[int], float]
    steps: int
    checkpoint_steps: int
    about: dict[str, Any]
    rate_key: str
    frozen: Tensors = field(default_factory=dict)
    scaler: Any = None
    watch: Callable[[Tensors, int], None] = look_away


def learn(training: Training, path: Path, progress: Progress) -> int:
    """Take the steps that are left, and return the one that this call began with; afterwards averaged weights and loss curve lie at `path` and beside it.

    Args:
        training: what is trained.
        path: of the finished file, in a folder of its own.
        progress: told of every step.

    Raises:
        UsageError: training diverged.
    """
    network, steps = training.network, training.steps
    average: Tensors = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    losses = restore_checkpoint(path.parent, training.about, network, average, training.optimizer, training.scaler)
    first_step = len(losses)
    for step in range(first_step, steps):
        losses.append(training.take_step(step))
        if losses[-1] != losses[-1]:
            raise UsageError(f"training the {training.what} diverged at step {step}: lower {training.rate_key}, or set precision to fp32")
        update_average(network, average, training.decay(step))
        if is_first_process():
            if len(losses) % training.checkpoint_steps == 0 and len(losses) < steps:
                save_checkpoint(network, average, training.optimizer, training.about, losses, path.parent, training.scaler)
                write_losses(losses, path.parent)
            training.watch(average, len(losses))
        progress(len(losses), steps, f"training the {training.what}")
    if is_first_process():
        finish_training(average | training.frozen, training.about, losses, path)
    return first_step
