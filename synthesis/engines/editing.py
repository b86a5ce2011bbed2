"""Counterfactual edits: what would this image of a common class look like, had it shown the wanted one?

A real image gets noise (SDEdit, Meng et al., 2022) and is denoised twice from the same noise: once with the wanted condition and once with its own. What both
have in common, the network's blur and grain included, cancels in their difference. The difference, smoothed and kept to a mask, is enlarged and added to the
image as it is stored. So the texture, in which generated images give themselves away, stays that of a real image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import Progress, silent
from synthesis.conditions import Vocabulary
from synthesis.engines.engine import Condition, Wanted
from synthesis.engines.masks import Mask, make_mask, resize_mask, soften
from synthesis.generator import Trained
from synthesis.network import SCHEDULE, autocast
from synthesis.recipe import EditSettings, SamplingSettings
from synthesis.sampling import seed_noise
from synthesis.training_set import gray_range, make_square, middle_square, shrink_square, to_levels

Floats = npt.NDArray[np.float32]

EDITED_IMAGES = 4
"""Images of one forward, the last batch filled up: each stands in it four times (both conditions, with and without guidance)."""


class Denoiser(NamedTuple):
    """A network as edits need it.

    Attributes:
        predict: noisy `(B, C, S, S)` float32, timestep and `(B, K)` codes to the predicted v, `(B, C, S, S)` float32 on the CPU.
        vocabulary: what the codes mean.
        channels: C.
        size_px: S.
    """

    predict: Callable[[Any, Any, Any], Any]
    vocabulary: Vocabulary
    channels: int
    size_px: int


def open_denoiser(trained: Trained) -> Denoiser:
    """Return the network of a finished pixel generator, as `synthesis.generator.load_generator` gives it."""
    device = next(trained.network.parameters()).device

    def predict(noisy: Any, timestep: Any, codes: Any) -> Any:
        with autocast(device, trained.settings.precision):
            return trained.network(noisy.to(device), timestep, codes.to(device)).sample.float().cpu()

    return Denoiser(predict, trained.vocabulary, trained.about["channels"], trained.settings.size_px)


def edit_parents(
    denoiser: Denoiser, wanted: Sequence[Wanted], own: Sequence[Condition], edit: EditSettings, sampling: SamplingSettings, progress: Progress = silent
) -> list[Pixels]:
    """Return each wish's parent, changed into what is wanted, as large as it is; the same wish gives the same pixels at any batch size.

    Args:
        denoiser: of a generator in pixels that saw the wanted classes and those of the parents.
        wanted: wishes with `parent`, a real train image of another class. Without a mask one is made as `edit.mask` says.
        own: what each parent shows.
        edit: strength, smoothing, mask.
        sampling: steps of a whole denoising, of which the share `edit.strength` is done; guidance.
        progress: told of every batch.

    Raises:
        UsageError: a wish without a parent, or with one of the wanted class.
    """
    edited: list[Pixels] = []
    check_parents(wanted, own)
    for start in range(0, len(wanted), EDITED_IMAGES):
        chunk, chunk_own = wanted[start : start + EDITED_IMAGES], own[start : start + EDITED_IMAGES]
        changes = _changes(denoiser, chunk, chunk_own, edit.strength, sampling)
        edited += [apply_change(parent_of(wish), change, mask_of(wish, edit), edit) for wish, change in zip(chunk, changes, strict=True)]
        progress(len(edited), len(wanted), "editing parents")
    return edited


def check_parents(wanted: Sequence[Wanted], own: Sequence[Condition]) -> None:
    """Raise `UsageError` unless each wish has a parent of another class than the wanted one."""
    if len(wanted) != len(own):
        raise UsageError(f"{len(wanted)} images are wanted, but the conditions of {len(own)} parents were given: give one for each")
    for wish, shown in zip(wanted, own, strict=True):
        if wish.parent is None:
            raise UsageError("an edit needs a parent: give a real train image of another class with every wish")
        if wish.condition["label"] == shown["label"]:
            raise UsageError(f"a parent shows {shown['label']!r} already, which is what is wanted: choose parents of other classes")


def parent_of(wish: Wanted) -> Pixels:
    """Return the parent of a wish that was checked to have one."""
    assert wish.parent is not None
    return wish.parent


def mask_of(wish: Wanted, edit: EditSettings) -> Mask:
    """Return the wish's mask, or one for the middle square of its parent."""
    if wish.mask is not None:
        return wish.mask
    square = middle_square(parent_of(wish))
    return make_mask(to_levels(square, 3 if square.ndim == 3 else 1), edit.mask, wish.seed)


def stack_parents(wanted: Sequence[Wanted], size_px: int, channels: int) -> Floats:
    """Return `(N, C, S, S)` float32 in [-1, 1]: the parents as the network sees them, which is as it saw them when it learned."""
    small = np.stack([np.atleast_3d(make_square(parent_of(wish), size_px, channels)) for wish in wanted])
    return np.asarray(small.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1, np.float32)


def _changes(denoiser: Denoiser, wanted: Sequence[Wanted], own: Sequence[Condition], strength: float, sampling: SamplingSettings) -> Floats:
    """Return `(N, S, S, C)` float32: the difference in gray levels that the wanted condition makes; N is at most `EDITED_IMAGES`."""
    import torch

    number, fill = len(wanted), EDITED_IMAGES - len(wanted)
    wanted, own = [*wanted, *[wanted[-1]] * fill], [*own, *[own[-1]] * fill]
    parents = torch.from_numpy(stack_parents(wanted, denoiser.size_px, denoiser.channels))
    noise = torch.stack([seed_noise(wish.seed, tuple(parents.shape[1:])) for wish in wanted])
    codes = torch.from_numpy(denoiser.vocabulary.encode([*(wish.condition for wish in wanted), *own]))
    with torch.inference_mode():
        denoised = denoise_from(denoiser, torch.cat([parents, parents]), torch.cat([noise, noise]), codes, strength, sampling)
        target, repeated = denoised.clamp(-1, 1).chunk(2)
    return np.asarray(((target - repeated) * 127.5)[:number].permute(0, 2, 3, 1).numpy(), np.float32)


def denoise_from(denoiser: Denoiser, images: Any, noise: Any, codes: Any, strength: float, sampling: SamplingSettings) -> Any:
    """Return `(B, C, S, S)` float32 images, denoised from what `strength` of the noise left of them.

    Args:
        denoiser: asked once a step with all images, with and without their conditions.
        images: `(B, C, S, S)` float32 in [-1, 1].
        noise: the same shape, standard normal.
        codes: `(B, K)` conditions.
        strength: share of the steps that is done, above 0; with 1 nothing but noise is left of an image.
        sampling: steps and guidance.
    """
    import torch
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(**SCHEDULE, timestep_spacing="trailing", thresholding=True, sample_max_value=1.0)
    scheduler.set_timesteps(sampling.steps)
    first = sampling.steps - max(1, round(strength * sampling.steps))
    scheduler.set_begin_index(first)
    both = torch.cat([codes, torch.as_tensor(denoiser.vocabulary.nulls).expand(len(images), -1)])
    images = scheduler.add_noise(images, noise, scheduler.timesteps[first : first + 1].expand(len(images)))
    for timestep in scheduler.timesteps[first:]:
        wanted, free = denoiser.predict(torch.cat([images, images]), timestep, both).chunk(2)
        images = scheduler.step(free + sampling.guidance_scale * (wanted - free), timestep, images).prev_sample
    return images


def apply_change(parent: Pixels, change: Floats, mask: Mask, edit: EditSettings) -> Pixels:
    """Return the parent plus the smoothed change inside the mask; outside it, and outside the middle square, every pixel is the parent's.

    Args:
        parent: `(H, W)` uint8 or uint16, or `(H, W, 3)` uint8.
        change: `(S, S, C)` gray levels of the middle square as the network sees it; enlarged, and stretched to the values of 16 bits.
        mask: `(M, M)` uint8 of the middle square, 1 where the parent may change; resized.
        edit: standard deviation of the smoothing, in pixels of the change, and width of the mask's soft rim, in pixels of the change.
    """
    import cv2
    from scipy import ndimage

    made = parent.copy()
    square = middle_square(made)
    side, scale = square.shape[0], square.shape[0] / change.shape[0]
    smooth = ndimage.gaussian_filter(change, (edit.lowpass_px, edit.lowpass_px, 0))
    large = cv2.resize(smooth, (side, side), interpolation=cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA).reshape(side, side, -1)
    if square.ndim == 2:
        large = large.mean(axis=2, keepdims=True)
    low, high = gray_range(shrink_square(parent, change.shape[0]))
    share = soften(resize_mask(mask, side), edit.rim_px * scale)[..., None] * ((high - low) / 255)
    changed = np.rint(np.atleast_3d(square).astype(np.float32) + share * large)
    square[...] = np.clip(changed, 0, np.iinfo(square.dtype).max).astype(square.dtype).reshape(square.shape)
    return made
