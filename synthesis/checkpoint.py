"""What a training keeps on the disk, of whatever network: checkpoints to go on from, the loss curve, and the finished weights.

Both are one safetensors file each, with one JSON object in its metadata, so that tensors and the step they belong to become visible together or
not at all. No random state is stored: every training step draws from a generator that is seeded by (seed, step).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from curation.errors import IntegrityError, UsageError
from curation.manifest import write_bytes

CHECKPOINT_NAME = "checkpoint.safetensors"
GENERATOR_NAME = "generator.safetensors"
LOSS_NAME = "loss.csv"

Tensors = dict[str, Any]
"""Name to torch tensor."""


def write_tensors(tensors: Tensors, about: dict[str, Any], path: Path) -> str:
    """Write tensors and one JSON object, whole or not at all; return the SHA-256 of the file's bytes."""
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata={"about": json.dumps(about, sort_keys=True)})
    write_bytes(content, path)
    return hashlib.sha256(content).hexdigest()


def read_about(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file of `write_tensors`, or None when there is no file.

    Raises:
        IntegrityError: the file is not one that we wrote.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, Any] = json.loads(file.metadata()["about"])
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise IntegrityError(path, "is not a generator's file; remove it to train again") from error
    return about


def read_finished(folder: Path) -> dict[str, Any]:
    """Return what the finished generator of a folder says about itself.

    Raises:
        UsageError: there is none.
    """
    about = read_about(folder / GENERATOR_NAME)
    if about is None:
        raise UsageError("there is no finished generator in this folder: run `curaloop synthesize`, which trains one")
    return about


def read_tensors(path: Path) -> Tensors:
    """Return the tensors of a file of `write_tensors`."""
    from safetensors.torch import load_file

    tensors: Tensors = load_file(path)
    return tensors


def pack_state(network: Any, average: Tensors, optimizer: Any) -> Tensors:
    """Return weights, their moving average and the optimizer's moments (of weights that learn) under one flat set of names."""
    packed: Tensors = {f"average/{name}": tensor for name, tensor in average.items()}
    for name, parameter in network.named_parameters():
        packed[f"weights/{name}"] = parameter
        if moments := optimizer.state.get(parameter):
            packed |= {f"first/{name}": moments["exp_avg"], f"second/{name}": moments["exp_avg_sq"]}
    return packed


def unpack_state(packed: Tensors, step: float, network: Any, average: Tensors, optimizer: Any) -> None:
    """Put back, in place, what `pack_state` returned after the optimizer took `step` steps."""
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(packed[f"weights/{name}"])
            average[name].copy_(packed[f"average/{name}"])
            if f"first/{name}" not in packed:
                continue
            optimizer.state[parameter] = {
                "step": torch.tensor(step, dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.empty_like(parameter).copy_(packed[f"first/{name}"]),
                "exp_avg_sq": torch.empty_like(parameter).copy_(packed[f"second/{name}"]),
            }


def is_same(found: dict[str, Any] | None, about: dict[str, Any]) -> bool:
    """Say whether a file is of this training: it says everything that `about` says, and perhaps more."""
    return found is not None and all(found.get(key) == value for key, value in about.items())


def save_checkpoint(network: Any, average: Tensors, optimizer: Any, about: dict[str, Any], losses: list[float], folder: Path, scaler: Any = None) -> None:
    """Write what training goes on from, after as many steps as there are losses; of these a scaler of float16 gradients may have skipped some."""
    taken = max((float(moments["step"]) for moments in optimizer.state.values()), default=0.0)
    more = {"losses": losses, "optimizer_steps": taken, "scaler": None if scaler is None else scaler.state_dict()}
    write_tensors(pack_state(network, average, optimizer), about | more, folder / CHECKPOINT_NAME)


def restore_checkpoint(folder: Path, about: dict[str, Any], network: Any, average: Tensors, optimizer: Any, scaler: Any = None) -> list[float]:
    """Put the checkpoint in `folder` back, in place, if it is one of this training, and return the losses until then."""
    found = read_about(folder / CHECKPOINT_NAME)
    if found is None or not is_same(found, about):
        return []
    losses: list[float] = found["losses"]
    unpack_state(read_tensors(folder / CHECKPOINT_NAME), found.get("optimizer_steps", len(losses)), network, average, optimizer)
    if scaler is not None and found.get("scaler"):
        scaler.load_state_dict(found["scaler"])
    return losses


def write_losses(losses: list[float], folder: Path) -> None:
    """Write the loss of every step as CSV."""
    curve = "step,loss\n" + "".join(f"{step},{loss!r}\n" for step, loss in enumerate(losses))
    write_bytes(curve.encode(), folder / LOSS_NAME)


def read_losses(folder: Path) -> list[float]:
    """Return what `write_losses` wrote."""
    return [float(line.split(",")[1]) for line in (folder / LOSS_NAME).read_text().splitlines()[1:]]


def finish_training(tensors: Tensors, about: dict[str, Any], losses: list[float], path: Path) -> None:
    """Write the loss curve, then the averaged weights to `path` (their file says that training is over), then drop the checkpoint."""
    write_losses(losses, path.parent)
    write_tensors(tensors, about | {"parameters": sum(tensor.numel() for tensor in tensors.values())}, path)
    (path.parent / CHECKPOINT_NAME).unlink(missing_ok=True)
