"""The loop of every training, on a network of one weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from curation.errors import UsageError
from curation.progress import silent
from synthesis.checkpoint import CHECKPOINT_NAME, LOSS_NAME, Tensors, read_about, read_losses, read_tensors
from synthesis.learning import Training, learn
from synthesis.training import descend

FINISHED = "finished.safetensors"


class StopError(Exception):
    """Ends a training in the middle."""


def a_training(**changes: Any) -> Training:
    """Return ten steps of a weight that falls towards 3; it starts at 0."""
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.0)

    def take_step(step: int) -> float:
        return descend(((network.weight - 3).square().sum() / 2 for _ in range(2)), optimizer, 0.5 / (step + 1))

    own = {"what": "weight", "network": network, "optimizer": optimizer, "take_step": take_step, "decay": lambda step: step / (step + 1)}
    return Training(**{**own, "steps": 10, "checkpoint_steps": 4, "about": {"format": 1}, "rate_key": "its rate", **changes})


def test_a_loop_leaves_the_average_the_curve_and_no_checkpoint(tmp_path: Path) -> None:
    """The average of all weights until now lies between the first and the last; frozen tensors go with it; the curve falls."""
    seen: list[float] = []

    def watch(average: Tensors, done: int) -> None:
        seen.append(float(average["weight"]))
        assert len(seen) == done

    training = a_training(frozen={"frozen/a": torch.ones(2)}, watch=watch)
    assert learn(training, tmp_path / FINISHED, silent) == 0
    kept, losses = read_tensors(tmp_path / FINISHED), read_losses(tmp_path)
    assert 0 < seen[0] < float(kept["weight"]) == seen[-1] < float(training.network.weight.detach())
    assert kept["frozen/a"].tolist() == [1, 1]
    assert losses == sorted(losses, reverse=True)
    assert (len(losses), losses[0]) == (10, 9.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FINISHED, LOSS_NAME]


def test_a_loop_that_was_stopped_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """Stopped after 6 of 10 steps, checkpoint at 4: the same bytes; a checkpoint of something else is not taken."""

    def stop(done: int, total: int, what: str) -> None:
        if done == 6:
            raise StopError(f"{what}: {done} of {total}")

    with pytest.raises(StopError, match="training the weight: 6 of 10"):
        learn(a_training(), tmp_path / "stopped" / FINISHED, stop)
    assert len(read_losses(tmp_path / "stopped")) == 4
    about = read_about(tmp_path / "stopped" / CHECKPOINT_NAME)
    assert about is not None
    assert about["format"] == 1
    assert learn(a_training(), tmp_path / "stopped" / FINISHED, silent) == 4
    assert learn(a_training(), tmp_path / "whole" / FINISHED, silent) == 0
    assert (tmp_path / "stopped" / FINISHED).read_bytes() == (tmp_path / "whole" / FINISHED).read_bytes()
    with pytest.raises(StopError):
        learn(a_training(), tmp_path / "other" / FINISHED, stop)
    assert learn(a_training(about={"format": 2}), tmp_path / "other" / FINISHED, silent) == 0


def test_a_training_that_diverges_says_which_key_to_lower(tmp_path: Path) -> None:
    """The loss of step 2 is no number."""
    with pytest.raises(UsageError, match="training the weight diverged at step 2: lower its rate"):
        learn(a_training(take_step=lambda step: float("nan") if step == 2 else 1.0, checkpoint_steps=100), tmp_path / FINISHED, silent)
