"""A pretrained Stable Diffusion pipeline: opened without running any code of it, asked for prompts' embeddings, latents and images.

Only safetensors and JSON are read or fetched. Every part must be a class of diffusers or transformers, so nothing that the folder brings is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from curation.errors import UsageError
from curation.hub import fetch_model
from curation.pixels import Pixels
from synthesis.engines.engine import Condition

PIPELINE = "StableDiffusionPipeline"
WEIGHTS = ("unet", "vae", "text_encoder")
FETCHED = ("model_index.json", "*/*.json", "*/*.txt", *(f"{part}/*.safetensors" for part in WEIGHTS))
VARIANTS = ("*/*.*.safetensors",)
"""The same weights again, in half precision or without averaging, as `model.fp16.safetensors`: gigabytes that are not used."""
PARTS = (*WEIGHTS, "tokenizer", "scheduler")
LIBRARIES = {None, "diffusers", "transformers"}
UNUSED = {"safety_checker", "feature_extractor", "image_encoder"}
KEY = "synthesis.generator.lora.pipeline"
WHOLE_COPY = "bring a whole copy of the pipeline"


def find_pipeline(name: str, revision: str) -> Path:
    """Return the folder of a pipeline, fetched when `name` is a hub id.

    Raises:
        UsageError: there is none, it is of another kind, or it lacks safetensors.
        ServiceError: the hub could not be reached and the files are not in the local cache.
    """
    if not name:
        raise UsageError(f"{KEY} is empty: name the folder or the hub id of a Stable Diffusion pipeline")
    folder = Path(name).expanduser() if Path(name).expanduser().is_dir() else fetch_model(KEY, name, FETCHED, VARIANTS, revision)
    check_pipeline(folder)
    return folder


def check_pipeline(folder: Path) -> None:
    """Raise `UsageError` unless a folder holds a Stable Diffusion pipeline of known parts with safetensors."""
    parts = _read_index(folder)
    if parts.get("_class_name") != PIPELINE:
        raise UsageError(f"{KEY} is a {parts.get('_class_name')}; adapted are pipelines of the class {PIPELINE}")
    libraries = {name: part[0] for name, part in parts.items() if isinstance(part, list) and name not in UNUSED}
    if not set(libraries.values()) <= LIBRARIES:
        raise UsageError(f"{KEY} brings code of its own, which is never run: name a pipeline whose parts are all of diffusers or transformers")
    for part in PARTS:
        if libraries.get(part) is None or not (folder / part).is_dir():
            raise UsageError(f"{KEY} has no {part}, which is needed: {WHOLE_COPY}")
    for part in WEIGHTS:
        if not list(_weights_of(folder / part)):
            raise UsageError(
                f"{KEY}: its {part} has no safetensors in full precision; pickled weights (.bin) and variants (.fp16) are not read: open it where you "
                "trust it, and save_pretrained(folder, safe_serialization=True)"
            )


def _read_index(folder: Path) -> dict[str, Any]:
    """Return what a pipeline's `model_index.json` says.

    Raises:
        UsageError: there is none, or it is broken.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise UsageError(f"{KEY}: the folder has no model_index.json, so it is no diffusers pipeline")
    try:
        return dict(json.loads(index.read_text()))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{KEY}: its model_index.json cannot be read: {WHOLE_COPY}") from error


def _weights_of(folder: Path) -> Iterator[Path]:
    """Return the safetensors of a part, without variants, which have a word between two dots."""
    return (path for path in folder.glob("*.safetensors") if "." not in path.stem)


def hash_pipeline(folder: Path) -> str:
    """Return the SHA-256 of all weights and configurations, in the order of their names."""
    digest = hashlib.sha256()
    configurations = (file for part in PARTS for file in (folder / part).glob("*.json"))
    for path in sorted([*configurations, *(file for part in WEIGHTS for file in _weights_of(folder / part))]):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def open_pipeline(folder: Path, device: Any) -> Any:
    """Return the pipeline with all weights frozen.

    Raises:
        UsageError: its files do not fit together.
    """
    from diffusers import StableDiffusionPipeline

    unused = dict.fromkeys(UNUSED)
    try:
        pipe = StableDiffusionPipeline.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, requires_safety_checker=False, **unused
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{KEY} could not be opened: a file of {', '.join(PARTS)} is missing, cut off or of another pipeline; {WHOLE_COPY}") from error
    for part in WEIGHTS:
        getattr(pipe, part).requires_grad_(requires_grad=False).eval()
    return pipe.to(device)


def write_prompt(template: str, condition: Condition) -> str:
    """Return the prompt of a condition; a part between commas that needs something unknown is left out.

    Example:
        "a mole of type {label}, sex {sex}, seen closely" and `{"label": "nv"}` give "a mole of type nv, seen closely".
    """
    parts = [part for part in template.split(",") if keys_of(part) <= set(condition)]
    return ",".join(parts).format(**condition).strip()


def keys_of(template: str) -> set[str]:
    """Return the keys in braces.

    Raises:
        UsageError: the braces do not match.
    """
    try:
        return {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise UsageError("synthesis.generator.lora.prompt: its braces do not match, or a comma stands inside them") from error


def embed_prompts(pipe: Any, prompts: Sequence[str]) -> Any:
    """Return `(P, T, E)` float32, one prompt at a time, so that none depends on the others."""
    import torch

    with torch.inference_mode():
        embedded = [pipe.encode_prompt(prompt, pipe.device, 1, False)[0].float() for prompt in prompts]
    return torch.cat(embedded).clone()


def check_prompts(embedded: Any, prompts: Sequence[str]) -> None:
    """Raise `UsageError` when the text encoder takes two prompts for the same, which it does when they differ behind its last token only."""
    seen: dict[bytes, str] = {}
    for prompt, values in zip(prompts, embedded, strict=True):
        first = seen.setdefault(values.cpu().numpy().tobytes(), prompt)
        if first != prompt:
            raise UsageError(f"the pipeline's text encoder takes {prompt!r} for {first!r}: make synthesis.generator.lora.prompt shorter, or its words plainer")


def encode_images(pipe: Any, images: Any) -> Any:
    """Return `(N, L, s, s)` float32 latents on the CPU: posterior means, not samples, times the pipeline's scale.

    Args:
        pipe: of `open_pipeline`.
        images: `(N, 3, S, S)` uint8.
    """
    import torch

    with torch.inference_mode():
        means = [pipe.vae.encode((image[None].to(pipe.device).float() / 127.5) - 1).latent_dist.mode().cpu() for image in images]
    return (torch.cat(means) * pipe.vae.config.scaling_factor).clone()


def decode_latent(pipe: Any, latent: Any, *, is_gray: bool) -> Pixels:
    """Return the image of one `(L, s, s)` latent: `(S, S, 3)` uint8, or `(S, S)` the mean of its channels."""
    from synthesis.sampling import to_bytes

    decoded = pipe.vae.decode(latent[None].to(pipe.device) / pipe.vae.config.scaling_factor).sample[0].float().cpu()
    shown = decoded.mean(dim=0) if is_gray else decoded.permute(1, 2, 0)
    pixels: Pixels = to_bytes(shown).contiguous().numpy()
    return pixels
