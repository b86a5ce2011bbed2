"""The part of the recipe (curaloop.toml) that says how images are synthesized and screened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from curation.recipe import Frozen

Device = Literal["auto", "cpu", "cuda"]
Share = Annotated[float, Field(ge=0, le=1)]


class EditSettings(Frozen):
    """How a real image of another class, the parent, is changed."""

    mask: Literal["lesion", "ellipse", "whole"] = Field(
        default="lesion", description="where there is no label map: what differs in colour from the rim, a random ellipse, or all of the image"
    )
    rim_px: float = Field(default=2.0, ge=0, description="width of the soft rim inside the mask, at the generator's size")
    strength: float = Field(default=0.6, gt=0, le=1, description="edit: share of the denoising that is done again; more changes more")
    lowpass_px: float = Field(default=1.0, ge=0, description="standard deviation of the smoothing of what is added, at the generator's size")


class InpaintingSettings(EditSettings):
    """What the engine that changes parents does inside the mask."""

    method: Literal["fill", "edit"] = Field(
        default="fill", description="fill: draw what is inside the mask anew; edit: add the difference that the wanted class makes, so the texture stays real"
    )


class LoraSettings(Frozen):
    """A low-rank adaptation of a pretrained text-to-image pipeline."""

    pipeline: str = Field(default="", description="folder or hub id of a diffusers pipeline with safetensors; no code of it is run")
    revision: str = Field(default="main", description="of the hub id; name a commit, so that nobody changes the weights")
    rank: int = Field(default=8, ge=1, description="rank of the added matrices")
    prompt: str = Field(default="a medical image of {label}", description="keys of the condition in braces; what is unknown is left out with its comma")


class AutoencoderSettings(Frozen):
    """The network that packs images into latents, and its training before the generator's."""

    channels: tuple[int, ...] = Field(default=(32, 64, 64), min_length=2, description="width of its levels; each but the first halves every side")
    latent_channels: int = Field(default=4, ge=1)
    steps: int = Field(default=1500, ge=1, description="optimizer steps")
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    kl_weight: float = Field(default=1e-6, ge=0, description="keeps latents near a normal distribution; more blurs")


class LatentSettings(AutoencoderSettings):
    """Diffusion in the latents of 2-D images."""

    autoencoder: str = Field(
        default="", description="folder or hub id of a diffusers AutoencoderKL with safetensors, used as it is; no code of it is run; empty: train one"
    )


class VolumeSettings(AutoencoderSettings):
    """Diffusion in the latents of volumes; rows and columns have `size_px`."""

    channels: tuple[int, ...] = Field(default=(16, 32, 32), min_length=2, description="width of its levels; each but the first halves every side")
    batch_size: int = Field(default=4, ge=1)
    slices: int = Field(default=16, ge=4, le=512, multiple_of=4, description="volumes are generated with this many slices")


class GeneratorSettings(Frozen):
    """A conditional diffusion model and its training."""

    engine: Literal["pixel", "latent", "lora", "volume", "inpainting"] = Field(
        default="pixel", description="pixel: diffusion in pixels; latent: behind an autoencoder; lora: adapts a pretrained pipeline; inpainting: inside a mask"
    )
    conditions: tuple[str, ...] = Field(
        default=(), description="told to the network beside the label: site, view_position, sex, age_band, or a key of attributes"
    )

    @field_validator("conditions")
    @classmethod
    def _name_each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "label" in names or len(set(names)) < len(names):
            raise ValueError("name each condition once, and leave out label, which is always told")
        return names

    size_px: int = Field(default=32, ge=16, le=512, multiple_of=8, description="images are generated at this size")
    channels: tuple[int, ...] = Field(default=(32, 64, 96), min_length=2, description="width of the UNet's levels")
    steps: int = Field(default=600, ge=1, description="optimizer steps")
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    ema_decay: float = Field(default=0.999, gt=0, lt=1, description="longest moving average of the weights; a short training has a shorter one")
    balance: Share = Field(default=1.0, description="1: every class is trained on equally often; 0: every image is")
    flips: tuple[Literal["horizontal", "vertical"], ...] = Field(
        default=("horizontal",),
        description="what keeps a train image plausible; dermoscopy: both; left out: none but for colour, because a mirrored chest has its heart on the right",
    )
    precision: Literal["bf16", "fp16", "fp32"] = Field(
        default="bf16", description="bf16 is faster only where the processor has it; a GPU without it (before Ampere) takes fp16 in its place"
    )
    label_drop: Share = Field(default=0.1, description="share of labels dropped for classifier-free guidance")
    noise_offset: float = Field(default=0.0, ge=0, le=1, description="strength of noise that is the same in all of an image; 0.05 against a wrong mean colour")
    layout: Literal["channels_first", "channels_last"] = Field(
        default="channels_first", description="of tensors in memory; which is faster depends on processor and network: `curaloop synthesize --plan` measures"
    )
    accumulation: int = Field(default=1, ge=1, description="parts that a batch is computed in, one after the other; more parts need less memory")
    device: Device = Field(default="auto", description="auto: a CUDA GPU when there is one, else the CPU, as on a Mac")
    checkpoint_steps: int = Field(default=100, ge=1, description="steps between checkpoints; training goes on from the last one")
    preview_steps: int = Field(default=0, ge=0, description="steps between grids of samples, kept beside the loss curve; 0: none")
    base: Path | None = Field(default=None, description="folder of a generator to start from: its network is kept, its tables of conditions grow")
    low_shot_steps: int = Field(default=300, ge=1, description="optimizer steps from a base, instead of `steps`")
    low_shot_trains: Literal["all", "conditions"] = Field(default="all", description="what learns from a base on; conditions: their embeddings only")
    seed: int = 0
    inpainting: InpaintingSettings = InpaintingSettings()
    lora: LoraSettings = LoraSettings()
    latent: LatentSettings = LatentSettings()
    volume: VolumeSettings = VolumeSettings()


class SamplingSettings(Frozen):
    """How images are drawn."""

    steps: int = Field(default=20, ge=1, description="denoising steps")
    guidance_scale: float = Field(default=2.0, ge=0)
    batch_size: int = Field(default=32, ge=1, description="does not change the images")
    seed: int = Field(default=0, ge=0, description="seed of the first image")


class ScreenSettings(Frozen):
    """What a candidate must pass before an expert sees it."""

    memorization_quantile: Share = Field(default=0.05, description="closer to a train image than this quantile of held-out patients: a near-copy")
    planted_images: int = Field(default=48, ge=0, description="train images that are copied to count what the screens catch; 0: their power is unknown")
    least_power: Share = Field(default=0.8, description="a class of which fewer planted copies are caught: its candidates are stopped")
    class_agreement: Share = Field(default=0.2, description="least probability of the wanted class, from probes on real train data")
    shortcut_auc: Share = Field(default=0.9, description="told from real images of their class better than this: the source is a shortcut")
    shortcut_stops: bool = Field(default=False, description="stop the candidates of a class with a shortcut; else it is shown, and the lift court judges")


class RewardSettings(Frozen):
    """A model of the experts' verdicts on earlier candidates, which filters and orders new ones."""

    enabled: bool = Field(default=True, description="learn from the verdicts once there are enough; false: never")
    least_verdicts: int = Field(default=40, ge=10, description="fewer judged candidates than this: nothing is learned")
    least_each: int = Field(default=10, ge=2, description="fewer accepted or fewer rejected ones than this: nothing is learned")
    reject_above: Share = Field(default=0.9, description="a candidate that experts would reject with more than this probability is not shown to them")
    audit_share: Share = Field(default=0.1, description="share of those that are shown all the same, so that the model stays tested")
    best_of: int = Field(default=1, ge=1, le=16, description="images drawn for each wanted one; the one least likely to be rejected is kept")
    most_calibration_error: Share = Field(default=0.15, description="with a larger calibration error the model orders candidates, but rejects none")


class PlanSettings(Frozen):
    """What `curaloop synthesize` chooses by measuring data and machine."""

    preset: Literal["recipe", "auto", "cpu-32", "cpu-64", "gpu-128", "gpu-256", "multi-gpu"] = Field(
        default="recipe", description="recipe: train what [synthesis.generator] says; auto: choose by data and machine; keys that the recipe sets stay"
    )
    minutes: float = Field(default=60, gt=0, description="most minutes that a planned training may take")
    most_views: int = Field(default=250, ge=1, description="how often a planned training may look at one train image; more views, more near-copies")
    least_class_patients: int = Field(default=10, ge=1, description="below this number of train patients of a wanted class: too little data")


class SynthesisSettings(Frozen):
    """Synthesis for the cells that the gap table names. Off unless the recipe turns it on."""

    @model_validator(mode="before")
    @classmethod
    def _keep_sides(cls, values: Any) -> Any:
        """Mirror nothing but colour images, unless the recipe asks for it: a mirrored chest has its heart on the right."""
        if not isinstance(values, dict) or str(values.get("task", "colour")).startswith("colour"):
            return values
        generator = values.get("generator", {})
        if isinstance(generator, GeneratorSettings) and "flips" not in generator.model_fields_set:
            return values | {"generator": generator.model_copy(update={"flips": ()})}
        return values | {"generator": {"flips": ()} | generator} if isinstance(generator, dict) else values

    enabled: bool = False
    task: str = Field(default="colour-2d", description="family and dimensions of the images to generate, e.g. colour-2d, xray-2d")
    classes: int = Field(default=1, ge=1, description="how many of the rarest classes get candidates")
    candidates: int = Field(default=64, ge=1, description="most candidates in one round")
    counterbalance: Share = Field(
        default=0.25, description="share of candidates that show the other classes, so that being synthetic says little about the class"
    )
    least_train_images: int = Field(default=40, ge=2, description="below this number of train images of the task: too little data")
    generator: GeneratorSettings = GeneratorSettings()
    plan: PlanSettings = PlanSettings()
    sampling: SamplingSettings = SamplingSettings()
    screens: ScreenSettings = ScreenSettings()
    reward: RewardSettings = RewardSettings()
    fidelity: bool = Field(default=True, description="measure FID, KID, precision, recall, density, coverage and MS-SSIM of each class; never a gate")
