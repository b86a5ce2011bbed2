"""LoRA on a pretrained pipeline: small matrices beside its attention learn the task's images (Hu et al., 2022); all other weights stay as they are.

The finished generator is the small matrices only, with the hash of the pipeline that they belong to, so images can be made again as long as that is there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import Progress
from synthesis.checkpoint import GENERATOR_NAME, Tensors, is_same, read_about, read_finished, read_tensors
from synthesis.engines.engine import NOTHING_LEARNED, Examples, GeneratorReport, Wanted, check_squares, copy_generator
from synthesis.generator import learned_settings, report_training
from synthesis.learning import Training, learn
from synthesis.network import autocast, choose_device
from synthesis.pretrained import check_prompts, decode_latent, embed_prompts, encode_images, find_pipeline, hash_pipeline, keys_of, open_pipeline, write_prompt
from synthesis.processes import count_processes
from synthesis.recipe import Device, GeneratorSettings, SamplingSettings
from synthesis.sampling import seed_noise
from synthesis.training import MIN_SNR_GAMMA, Batch, Lessons, average_decay, class_weights, descend, draw_batch, learning_rate, open_scaler, share_of

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
DRAWN_TOGETHER = 2
"""Images of one forward, always, so that an image depends on its seed alone; more would need much memory in a large pipeline."""
NO_PROMPT = ""


class Adapter(NamedTuple):
    """A pipeline's network with small matrices beside its attention; stands for these wherever weights are asked for."""

    pipe: Any

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Return the names and weights that learn."""
        return ((name, parameter) for name, parameter in self.pipe.unet.named_parameters() if parameter.requires_grad)

    def put(self, tensors: Tensors) -> None:
        """Replace the weights that learn."""
        import torch

        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(tensors[name])


class LoraDiffusion:
    """A pretrained Stable Diffusion pipeline that is adapted to the task; conditions become prompts.

    Attributes:
        settings: `settings.lora` names the pipeline; `steps`, `batch_size`, `learning_rate` and the like are the training's.
        sampling: how images are drawn.
        folder: of the finished generator; None before `fit`.
    """

    needs_parents: ClassVar[bool] = False

    def __init__(self, settings: GeneratorSettings, sampling: SamplingSettings) -> None:
        self.settings, self.sampling = settings, sampling
        self.folder: Path | None = None
        self._adapter: Adapter | None = None

    def fit(self, examples: Examples, folder: Path, progress: Progress) -> GeneratorReport:
        """Train in `folder`, go on from a checkpoint that lies there, or load the finished generator.

        Raises:
            UsageError: images, prompt or pipeline do not fit, or training diverged.
            ServiceError: the pipeline is to be fetched and cannot be.
        """
        began, settings = time.monotonic(), self.settings
        _check(examples, settings)
        where = find_pipeline(settings.lora.pipeline, settings.lora.revision)
        about = _describe(examples, settings, hash_pipeline(where))
        adapter, first_step = _open_adapter(where, settings), settings.steps
        if not is_same(read_about(folder / GENERATOR_NAME), about):
            taught = _lessons(adapter.pipe, examples, settings, about["prompts"])
            first_step = learn(_training(adapter, taught, about, settings), folder / GENERATOR_NAME, progress)
        adapter.put(read_tensors(folder / GENERATOR_NAME))
        self.folder, self._adapter = folder, adapter
        return report_training(folder, settings.steps, first_step, began)

    def sample(self, wanted: Sequence[Wanted], progress: Progress) -> list[Pixels]:
        """Return one image a wish: `(S, S)` or `(S, S, 3)` uint8.

        Raises:
            UsageError: nothing was trained or loaded, or the generator never saw the prompt of a wish.
        """
        import torch

        if self.folder is None:
            raise UsageError(NOTHING_LEARNED)
        about = read_finished(self.folder)
        prompts = [write_prompt(self.settings.lora.prompt, wish.condition) for wish in wanted]
        if unknown := sorted(set(prompts) - set(about["prompts"])):
            raise UsageError(f"this generator never saw an image of the prompt {unknown[0]!r}: train one on images that show it")
        drawn: list[Pixels] = []
        for start in range(0, len(wanted), DRAWN_TOGETHER):
            seeds = [wish.seed for wish in wanted[start : start + DRAWN_TOGETHER]]
            with torch.inference_mode():
                drawn += self._draw(seeds, prompts[start : start + DRAWN_TOGETHER], is_gray=about["channels"] == 1)
            progress(len(drawn), len(wanted), "sampling candidates")
        return drawn

    def _draw(self, seeds: list[int], prompts: list[str], *, is_gray: bool) -> list[Pixels]:
        """Return the images of at most `DRAWN_TOGETHER` seeds; the batch is filled up with copies."""
        import torch

        assert self._adapter is not None
        fill, pipe = DRAWN_TOGETHER - len(seeds), self._adapter.pipe
        embedded = embed_prompts(pipe, [*prompts, *prompts[-1:] * fill, *[NO_PROMPT] * DRAWN_TOGETHER])
        side = self.settings.size_px // pipe.vae_scale_factor
        shape = (pipe.unet.config.in_channels, side, side)
        noise = torch.stack([seed_noise(seed, shape) for seed in [*seeds, *seeds[-1:] * fill]]).to(pipe.device)
        latents = _denoise(pipe, noise, embedded, self.sampling, self.settings.precision)
        return [decode_latent(pipe, latent, is_gray=is_gray) for latent in latents[: len(seeds)]]

    def save(self, folder: Path) -> None:
        """Copy the finished generator into another folder; the pretrained pipeline stays where it is.

        Raises:
            UsageError: there is none.
        """
        copy_generator(self.folder, folder)

    @classmethod
    def load(cls, folder: Path, sampling: SamplingSettings | None = None, device: Device = "auto") -> Self:
        """Return the finished generator of a folder, on `device`.

        Raises:
            UsageError: there is none, or its pretrained pipeline is gone or another one now.
        """
        about = read_finished(folder)
        settings = GeneratorSettings(**about["settings"] | {"device": device})
        where = find_pipeline(settings.lora.pipeline, settings.lora.revision)
        if hash_pipeline(where) != about["pipeline_sha256"]:
            raise UsageError("the pretrained pipeline is not the one that this generator was trained with: bring that one back, or train again")
        engine = cls(settings, sampling or SamplingSettings())
        engine.folder, engine._adapter = folder, _open_adapter(where, settings)
        engine._adapter.put(read_tensors(folder / GENERATOR_NAME))
        return engine


def _check(examples: Examples, settings: GeneratorSettings) -> None:
    """Raise `UsageError` unless images, prompt and processes fit the settings."""
    check_squares(examples, settings.size_px)
    if count_processes() > 1:
        raise UsageError("the engine lora trains in one process: run `curaloop synthesize` without `accelerate launch`")
    if settings.base is not None:
        raise UsageError("synthesis.generator.base is of no use to the engine lora, which starts from its pipeline: leave it out")
    if unknown := sorted(keys_of(settings.lora.prompt) - {"label", *settings.conditions}):
        raise UsageError(f"synthesis.generator.lora.prompt names {unknown[0]!r}, which is no condition: add it to synthesis.generator.conditions")


def _describe(examples: Examples, settings: GeneratorSettings, pipeline_sha256: str) -> dict[str, Any]:
    """Return what a generator is, apart from its weights."""
    prompts = sorted({write_prompt(settings.lora.prompt, condition) for condition in examples.conditions})
    return {
        "format": 2,
        "engine": "lora",
        "prompts": prompts,
        "channels": 1 if examples.images.ndim == 3 else 3,
        "size_px": settings.size_px,
        "settings": learned_settings(settings),
        "pipeline_sha256": pipeline_sha256,
        "images_sha256": hashlib.sha256(examples.images.tobytes() + json.dumps(examples.conditions, sort_keys=True).encode()).hexdigest(),
    }


def _open_adapter(where: Path, settings: GeneratorSettings) -> Adapter:
    """Return the pipeline with new small matrices, which change nothing yet."""
    import torch
    from peft import LoraConfig

    pipe = open_pipeline(where, choose_device(settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        rank = settings.lora.rank
        pipe.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ATTENTION))
    return Adapter(pipe)


def _lessons(pipe: Any, examples: Examples, settings: GeneratorSettings, prompts: list[str]) -> tuple[Lessons, Any]:
    """Return latents of the images and of their mirror images, numbers of prompt and label of each, and the `(P + 1, T, E)` prompts, the last one empty."""
    import torch

    images = examples.images if examples.images.ndim == 4 else np.repeat(examples.images[..., None], 3, axis=3)
    stacked = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    variants = [stacked]
    for name, axis in (("horizontal", -1), ("vertical", -2)):
        variants += [variant.flip(axis) for variant in variants] if name in settings.flips else []
    latents = torch.cat([encode_images(pipe, variant) for variant in variants])
    labels, template = sorted(set(examples.labels)), settings.lora.prompt
    numbers = [[prompts.index(write_prompt(template, condition)), labels.index(condition["label"])] for condition in examples.conditions]
    embedded = embed_prompts(pipe, [*prompts, NO_PROMPT])
    check_prompts(embedded, [*prompts, NO_PROMPT])
    return Lessons(latents, torch.tensor(numbers * len(variants)), torch.tensor([len(prompts), 0])), embedded


def _training(adapter: Adapter, taught: tuple[Lessons, Any], about: dict[str, Any], settings: GeneratorSettings) -> Training:
    """Return how the small matrices learn from latents and prompts."""
    import torch

    (lessons, prompts), parts, scaler = taught, settings.accumulation, open_scaler(adapter.pipe.device, settings.precision)
    optimizer = torch.optim.AdamW([parameter for _, parameter in adapter.named_parameters()], lr=settings.learning_rate, weight_decay=0.01)
    weights, unflipped = class_weights(lessons.codes[:, 1], settings.balance), settings.model_copy(update={"flips": ()})

    def take_step(step: int) -> float:
        batch = draw_batch(step, lessons, weights, unflipped)
        pieces = (_loss(adapter.pipe, share_of(batch, part, parts), prompts, settings.precision) / parts for part in range(parts))
        return descend(pieces, optimizer, learning_rate(step, settings), scaler=scaler)

    return Training(
        what="generator",
        network=adapter,
        optimizer=optimizer,
        take_step=take_step,
        decay=lambda step: average_decay(step, settings),
        steps=settings.steps,
        checkpoint_steps=settings.checkpoint_steps,
        about=about,
        rate_key="synthesis.generator.learning_rate",
        scaler=scaler,
    )


def _loss(pipe: Any, batch: Batch, prompts: Any, precision: str) -> Any:
    """Return the squared error of what the pipeline predicts, noise or v, weighted by min-SNR (Hang et al., 2023)."""
    from diffusers import DDPMScheduler

    schedule, device = DDPMScheduler.from_config(pipe.scheduler.config), pipe.device
    clean, noise, timesteps = (values.to(device) for values in batch[:3])
    is_velocity = schedule.config.prediction_type == "v_prediction"
    wanted = schedule.get_velocity(clean, noise, timesteps) if is_velocity else noise
    with autocast(device, precision):
        predicted = pipe.unet(schedule.add_noise(clean, noise, timesteps), timesteps, encoder_hidden_states=prompts[batch.codes[:, 0]]).sample
    power = schedule.alphas_cumprod.to(device)[timesteps]
    ratio = power / (1 - power)
    weights = ratio.clamp(max=MIN_SNR_GAMMA) / (ratio + 1 if is_velocity else ratio)
    return (weights * (predicted.float() - wanted).square().mean(dim=(1, 2, 3))).mean()


def _denoise(pipe: Any, latents: Any, embedded: Any, sampling: SamplingSettings, precision: str) -> Any:
    """Return `(B, L, s, s)` float32 latents made from noise; `embedded` holds the prompts, then the empty prompt for each."""
    import torch
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
    scheduler.set_timesteps(sampling.steps)
    for timestep in scheduler.timesteps:
        with autocast(pipe.device, precision):
            predicted = pipe.unet(torch.cat([latents, latents]), timestep, encoder_hidden_states=embedded).sample.float()
        wanted, free = predicted.chunk(2)
        latents = scheduler.step(free + sampling.guidance_scale * (wanted - free), timestep, latents).prev_sample
    return latents
