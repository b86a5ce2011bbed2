"""Counterfactual edits: what would this image of a common class look like, had it shown the wanted one?

A real image gets noise (SDEdit, Meng et al., 2022) and is denoised twice from the same noise: once with the wanted condition and once with its own. What both
have in common, the network's blur and grain included, cancels in their difference. The difference, smoothed and kept to a mask, is enlarged and added to the
image at its own resolution. So the texture, in which generated images give themselves away, stays that of a real image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.pixels import Pixels
from curation.progress import Progress, silent
from synthesis.engines.engine import Condition, Wanted
from synthesis.engines.masks import Mask, make_mask, resize_mask, soften
from synthesis.network import SCHEDULE
from synthesis.recipe import EditSettings, SamplingSettings
from synthesis.sampling import seed_noise
from synthesis.training_set import make_square

Floats = npt.NDArray[np.float32]
Predict = Callable[[Any, Any, Any], Any]
"""Noisy `(B, C, S, S)`, timestep, embedded conditions `(B, E)` or labels `(B,)` to the predicted v `(B, C, S, S)` float32."""

EDITED_IMAGES = 4
"""Images of one forward, the last batch filled up: each stands in it four times (both conditions, with and without guidance)."""


def edit_parents(
    predict: Predict,
    embed: Callable[[Sequence[Condition | None]], Any],
    shape: tuple[int, int, int],
    wanted: Sequence[Wanted],
    own: Sequence[Condition],
    edit: EditSettings,
    sampling: SamplingSettings,
    progress: Progress = silent,
) -> list[Pixels]:
    """Return each wish's parent, changed into what is wanted, at the parent's own resolution; the same wish gives the same pixels at any batch size.

    Args:
        predict: the network.
        embed: conditions, None for no condition, to what the network takes: `(B, E)` or `(B,)`.
        shape: channels, height and width of the network's images.
        wanted: wishes with `parent`, `(H, W)` or `(H, W, 3)`, a real train image of another class. Without a mask one is made as `edit.mask` says.
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
        changes = _changes(predict, embed, shape, chunk, chunk_own, edit, sampling)
        edited += [apply_change(_parent(wish), change, mask_of(wish, edit), edit) for wish, change in zip(chunk, changes, strict=True)]
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


def _parent(wish: Wanted) -> Pixels:
    """Return the middle square of the parent at its own resolution, 8-bit."""
    assert wish.parent is not None
    return make_square(wish.parent, min(wish.parent.shape[:2]), 3 if wish.parent.ndim == 3 else 1)


def mask_of(wish: Wanted, edit: EditSettings) -> Mask:
    """Return the wish's mask, or one for its parent; as large as either."""
    return wish.mask if wish.mask is not None else make_mask(_parent(wish), edit.mask, wish.seed)


def _changes(
    predict: Predict,
    embed: Callable[[Sequence[Condition | None]], Any],
    shape: tuple[int, int, int],
    wanted: Sequence[Wanted],
    own: Sequence[Condition],
    edit: EditSettings,
    sampling: SamplingSettings,
) -> Floats:
    """Return `(N, S, S, C)` float32: the difference in gray levels that the wanted condition makes; N is at most `EDITED_IMAGES`."""
    import torch

    fill = EDITED_IMAGES - len(wanted)
    wanted, own = [*wanted, *[wanted[-1]] * fill], [*own, *[own[-1]] * fill]
    small = np.stack([np.atleast_3d(make_square(_parent(wish), shape[1], shape[0])) for wish in wanted])
    parents = torch.from_numpy(small.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
    noise = torch.stack([seed_noise(wish.seed, shape) for wish in wanted])
    conditions = embed([wish.condition for wish in wanted] + list(own) + [None] * (2 * EDITED_IMAGES))
    with torch.inference_mode():
        target, repeated = denoise_from(predict, torch.cat([parents, parents]), torch.cat([noise, noise]), conditions, edit.strength, sampling).chunk(2)
        difference = (target.clamp(-1, 1) - repeated.clamp(-1, 1)) * 127.5
    return np.asarray(difference[: EDITED_IMAGES - fill].permute(0, 2, 3, 1).cpu().numpy(), np.float32)


def denoise_from(predict: Predict, images: Any, noise: Any, conditions: Any, strength: float, sampling: SamplingSettings) -> Any:
    """Return `(B, C, S, S)` float32 images, denoised from what `strength` of the noise left of them.

    Args:
        predict: the network, asked once a step with all images, with and without their conditions.
        images: `(B, C, S, S)` float32 in [-1, 1].
        noise: the same shape, standard normal.
        conditions: `(2 B, …)`: of the images, then "no condition" for each.
        strength: share of the steps that is done, above 0; with 1 nothing but noise is left of an image.
        sampling: steps and guidance.
    """
    import torch
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(**SCHEDULE, timestep_spacing="trailing", thresholding=True, sample_max_value=1.0)
    scheduler.set_timesteps(sampling.steps)
    first = sampling.steps - max(1, round(strength * sampling.steps))
    scheduler.set_begin_index(first)
    images = scheduler.add_noise(images, noise, scheduler.timesteps[first : first + 1].expand(len(images)))
    for timestep in scheduler.timesteps[first:]:
        wanted, free = predict(torch.cat([images, images]), timestep, conditions).chunk(2)
        images = scheduler.step(free + sampling.guidance_scale * (wanted - free), timestep, images).prev_sample
    return images


def apply_change(parent: Pixels, change: Floats, mask: Mask, edit: EditSettings) -> Pixels:
    """Return the parent plus the smoothed change inside the mask; outside it every pixel is the parent's.

    Args:
        parent: `(H, H)` or `(H, H, 3)` uint8.
        change: `(S, S, C)` gray levels; enlarged to the parent's size.
        mask: `(M, M)` uint8, 1 where the parent may change; resized to the parent's size.
        edit: standard deviation of the smoothing, in pixels of the change, and width of the mask's soft rim, in pixels of the change.
    """
    import cv2
    from scipy import ndimage

    side, scale = parent.shape[0], parent.shape[0] / change.shape[0]
    smooth = ndimage.gaussian_filter(change, (edit.lowpass_px, edit.lowpass_px, 0))
    large = cv2.resize(smooth, (side, side), interpolation=cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA).reshape(side, side, -1)
    share = soften(resize_mask(mask, side), edit.rim_px * scale)
    if parent.ndim == 2:
        large = large.mean(axis=2, keepdims=True)
    changed = np.rint(np.atleast_3d(parent).astype(np.float32) + share[..., None] * large)
    return np.asarray(np.clip(changed, 0, 255), np.uint8).reshape(parent.shape)
