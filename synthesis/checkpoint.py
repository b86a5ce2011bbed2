"""What a generator keeps on the disk: checkpoints to go on from, and the finished weights.

Both are one safetensors file each, with one JSON object in its metadata, so that tensors and the step they belong to become visible together or
not at all. No random state is stored: every training step draws from a generator that is seeded by (seed, step).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from curation.errors import IntegrityError
from curation.manifest import write_bytes

CHECKPOINT_NAME = "checkpoint.safetensors"
GENERATOR_NAME = "generator.safetensors"

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
        if parameter.requires_grad:
            moments = optimizer.state[parameter]
            packed |= {f"first/{name}": moments["exp_avg"], f"second/{name}": moments["exp_avg_sq"]}
    return packed


def unpack_state(packed: Tensors, step: int, network: Any, average: Tensors, optimizer: Any) -> None:
    """Put back, in place, what `pack_state` returned after `step` steps."""
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(packed[f"weights/{name}"])
            average[name].copy_(packed[f"average/{name}"])
            if not parameter.requires_grad:
                continue
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device),
                "exp_avg": torch.empty_like(parameter).copy_(packed[f"first/{name}"]),
                "exp_avg_sq": torch.empty_like(parameter).copy_(packed[f"second/{name}"]),
            }
