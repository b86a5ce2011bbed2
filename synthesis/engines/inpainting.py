"""Putting a rare finding into a real image of a common class, which keeps its size. Pixels outside the mask stay the parent's.

Two methods. `fill`: the network sees the noisy image, the image with its finding cut out, and the mask (Saharia et al., Palette, 2022), so it learns to draw a
finding of a class into given surroundings. `edit`: a network without a mask changes the parent as `synthesis.engines.editing` says.

What a fill drew is not pasted: it is smooth beside a larger parent and shows its source. Its difference from the parent is smoothed and added, as in an edit.
Measured on HAM10000 at 128 px with lesions of real df and vasc images, shrunk to 32 px, in the place of naevi (24 a class), by how well a probe tells them from
real images of the class: pasted .96 and .88, the whole difference .96 and .81, smoothed by 1 px .91 and .80; all these intervals overlap. A network of 120
steps, which drew little but noise: .99 and .99, 1.00 and .90, .95 and .80.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from curation.errors import UsageError
from curation.pixels import Pixels
from synthesis.engines.editing import apply_change, check_parents, edit_parents, mask_of, open_denoiser, parent_of, stack_parents
from synthesis.engines.engine import Condition, Examples, Wanted
from synthesis.engines.masks import Mask, make_mask, resize_mask
from synthesis.engines.pixel import PixelDiffusion
from synthesis.generator import Course, Trained
from synthesis.recipe import InpaintingSettings
from synthesis.sampling import draw_images
from synthesis.training import Lessons

Floats = npt.NDArray[np.float32]


class InpaintingDiffusion(PixelDiffusion):
    """A UNet that changes parents: train images that it learned from, of another class than the wanted one."""

    needs_parents: ClassVar[bool] = True

    def make_course(self, examples: Examples) -> Course:
        """Return what is trained; the generator keeps which images it learned from and what they show: only these may be parents.

        Raises:
            UsageError: the images are not of the recipe's size.
        """
        parents = dict(zip(examples.image_ids, examples.conditions, strict=True))
        course = replace(super().make_course(examples), more={"parents": parents})
        if self.settings.inpainting.method == "edit":
            return course
        return replace(course, lessons=_with_surroundings(course.lessons, lesson_masks(examples, self.settings.inpainting)), preview=None)

    def _draw(self, trained: Trained, wanted: Sequence[Wanted]) -> list[Pixels]:
        """Return the changed parents of one batch.

        Raises:
            UsageError: a parent that the generator did not learn from (it may be of val or test), or of the wanted class.
        """
        own, settings = _own_conditions(trained, wanted), trained.settings.inpainting
        check_parents(wanted, own)
        if settings.method == "edit":
            return edit_parents(open_denoiser(trained), wanted, own, settings, self.sampling)
        return self._fill(trained, wanted, settings)

    def _fill(self, trained: Trained, wanted: Sequence[Wanted], settings: InpaintingSettings) -> list[Pixels]:
        """Return parents with what the network drew inside their masks."""
        import torch

        side, channels = trained.settings.size_px, trained.about["channels"]
        masks, parents = [mask_of(wish, settings) for wish in wanted], stack_parents(wanted, side, channels)
        context = torch.from_numpy(cut_out(parents, np.stack([resize_mask(mask, side) for mask in masks])))
        codes, seeds = trained.vocabulary.encode([wish.condition for wish in wanted]), [wish.seed for wish in wanted]
        shape, nulls = (channels, side, side), trained.vocabulary.nulls
        drawn = draw_images(trained.network, codes, nulls, seeds, shape, self.sampling, trained.settings.precision, context).numpy()
        changes = ((np.clip(drawn, -1, 1) - parents) * 127.5).transpose(0, 2, 3, 1)
        return [apply_change(parent_of(wish), change, mask, settings) for wish, change, mask in zip(wanted, changes, masks, strict=True)]


def _own_conditions(trained: Trained, wanted: Sequence[Wanted]) -> list[Condition]:
    """Return what each wish's parent shows.

    Raises:
        UsageError: the generator did not learn from it.
    """
    known: dict[str, Condition] = trained.about["parents"]
    if any(wish.parent_id not in known for wish in wanted):
        raise UsageError("a parent is not among the train images that this generator learned from: it may be of val or test; choose parents from train")
    return [known[str(wish.parent_id)] for wish in wanted]


def _with_surroundings(lessons: Lessons, masks: npt.NDArray[np.uint8]) -> Lessons:
    """Return lessons that show the network, beside each noisy image, the image with its finding cut out."""
    import torch

    images = lessons.images.numpy().astype(np.float32) / 127.5 - 1
    return lessons._replace(context=torch.from_numpy(cut_out(images, masks)))


def lesson_masks(examples: Examples, settings: InpaintingSettings) -> npt.NDArray[np.uint8]:
    """Return `(N, S, S)` uint8: label maps, or masks as the recipe says, each grown by a little (0 to an eighth of the side, from its number).

    Without growing, the mask's outline would tell the network the finding's.
    """
    given = [None] * len(examples.images) if examples.masks is None else list(examples.masks)
    return np.stack([_grown(image, mask, number, settings) for number, (image, mask) in enumerate(zip(examples.images, given, strict=True))])


def _grown(image: Pixels, mask: Mask | None, number: int, settings: InpaintingSettings) -> Mask:
    """Return one image's mask for training; a label map that is empty says as little as none."""
    from scipy import ndimage

    found = make_mask(image, settings.mask, number) if mask is None or not mask.any() else mask
    steps = int(np.random.default_rng([number, 1]).integers(0, image.shape[0] // 8 + 1))
    return np.asarray(ndimage.binary_dilation(found, iterations=steps) if steps else found, np.uint8)


def cut_out(images: Floats, masks: npt.NDArray[np.uint8]) -> Floats:
    """Return `(N, C + 1, S, S)` float32: images with zeros inside their masks, and the masks.

    Args:
        images: `(N, C, S, S)` float32 in [-1, 1].
        masks: `(N, S, S)` uint8, 1 inside.
    """
    inside = masks[:, None].astype(np.float32)
    return np.concatenate([images * (1 - inside), inside], axis=1)
