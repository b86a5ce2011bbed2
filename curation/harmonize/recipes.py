"""One image in, one harmonized image out: the family is picked by what the image is, and the recipe is hashed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.harmonize.colour import harmonize_colour
from curation.harmonize.crop import apply_box, find_box
from curation.harmonize.ct import harmonize_ct
from curation.harmonize.label_maps import follow_image, follow_volume
from curation.harmonize.mr import harmonize_mr
from curation.harmonize.pet import harmonize_pet
from curation.harmonize.xray import harmonize_xray
from curation.modalities import family_of
from curation.pixels import Pixels
from curation.recipe import HarmonizeSettings
from curation.records import ValueUnit

CODE_VERSION = 2
"""Goes up when the same settings give other pixels, so that images are made again."""

Recipe = Literal["ct", "mr", "pt", "xray", "colour"]


@dataclass(frozen=True)
class Harmonized:
    """One image ready to be stored.

    Attributes:
        pixels: `(D, H, W)` int16 or float32, `(H, W)` uint8 or uint16, or `(H, W, 3)` uint8 RGB.
        spacing_mm: slices, rows, columns; rows, columns for an image; None when unknown.
        affine: `(4, 4)` voxel index (column, row, slice) to RAS+ millimetres; None for 2-D.
        value_unit: what a value means.
        recipe_sha256: hash of the settings and of the code version.
        label_map: uint8 or uint16 on the grid of the pixels; None when the image has none.
    """

    pixels: Pixels
    spacing_mm: tuple[float, ...] | None
    affine: npt.NDArray[np.float64] | None
    value_unit: ValueUnit
    recipe_sha256: str
    label_map: Pixels | None = None

    @property
    def suffix(self) -> Literal[".png", ".nii.gz"]:
        """File type in the shard."""
        return ".nii.gz" if self.affine is not None else ".png"


@lru_cache(maxsize=64)
def recipe_sha256(recipe: Recipe, settings: HarmonizeSettings) -> str:
    """Return the hash of one family's settings and of the code version."""
    chosen: str = getattr(settings, recipe).sha256()
    return hashlib.sha256(f"{recipe}|{CODE_VERSION}|{chosen}".encode()).hexdigest()


def choose_recipe(modality: str, pixels: Pixels) -> Recipe:
    """Return the recipe for an image: CT and other volumes by modality, 2-D images by family and channels.

    Raises:
        ImageError: `MODALITY`, the modality is not one that we take; `SHAPE`, the array is no image.
    """
    family = family_of(modality)
    if family is None:
        raise ImageError("MODALITY", "the modality is not one that is taken in")
    if pixels.ndim == 3 and not _is_rgb(pixels):
        return "ct" if family == "ct" else "pt" if modality in ("PT", "NM") else "mr"
    if pixels.ndim not in (2, 3):
        raise ImageError("SHAPE", f"an image with {pixels.ndim} axes")
    return "colour" if family == "colour" or pixels.ndim == 3 else "xray"


def _is_rgb(pixels: Pixels) -> bool:
    return pixels.shape[-1] == 3 and pixels.dtype == np.uint8


def harmonize(acquired: Acquired, settings: HarmonizeSettings) -> Harmonized:
    """Return the image as the recipe of its family wants it.

    Raises:
        ImageError: the image cannot be harmonized.
    """
    if acquired.pixels.size == 0:
        raise ImageError("SHAPE", "the image has no pixels")
    acquired = _cropped(acquired, settings)
    made = _harmonize_pixels(acquired, settings)
    return made if acquired.label_map is None else replace(made, label_map=_follow(acquired, acquired.label_map, made))


def _cropped(acquired: Acquired, settings: HarmonizeSettings) -> Acquired:
    """Return an X-ray and its label map without their borders, if the recipe asks for it; everything else as it is."""
    if settings.xray.crop == "none" or acquired.pixels.ndim != 2 or choose_recipe(acquired.modality, acquired.pixels) != "xray":
        return acquired
    box = find_box(acquired.pixels, settings.xray.crop)
    label_map = None if acquired.label_map is None else apply_box(acquired.label_map, box)
    return replace(acquired, pixels=apply_box(acquired.pixels, box), label_map=label_map)


def _follow(acquired: Acquired, label_map: Pixels, made: Harmonized) -> Pixels:
    """Return the label map on the grid of the harmonized image."""
    if acquired.affine is None or made.affine is None:
        return follow_image(label_map, made.pixels.shape)
    return follow_volume(label_map, acquired.affine, made.affine, made.pixels.shape)


def _harmonize_pixels(acquired: Acquired, settings: HarmonizeSettings) -> Harmonized:
    recipe = choose_recipe(acquired.modality, acquired.pixels)
    sha256 = recipe_sha256(recipe, settings)
    if recipe in ("ct", "mr", "pt"):
        return _harmonize_volume(acquired, recipe, settings, sha256)
    pixels = harmonize_colour(acquired.pixels, settings.colour) if recipe == "colour" else harmonize_xray(acquired.pixels, settings.xray)
    return Harmonized(pixels, _resized_spacing(acquired, pixels), None, "16-bit" if pixels.dtype == np.uint16 else "8-bit", sha256)


def _harmonize_volume(acquired: Acquired, recipe: Recipe, settings: HarmonizeSettings, sha256: str) -> Harmonized:
    if acquired.affine is None or acquired.spacing_mm is None:
        raise ImageError("ORIENTATION_UNKNOWN", "the volume does not say where its voxels lie")
    if recipe == "ct":
        hu, spacing_mm, affine = harmonize_ct(acquired.pixels, acquired.spacing_mm, acquired.affine, settings.ct)
        return Harmonized(hu, spacing_mm, affine, "HU", sha256)
    if recipe == "pt":
        values, spacing_mm, affine = harmonize_pet(acquired.pixels, acquired.affine, settings.pt)
        return Harmonized(values, spacing_mm, affine, acquired.value_unit or "counts", sha256)
    z, spacing_mm, affine = harmonize_mr(acquired.pixels, acquired.affine, settings.mr)
    return Harmonized(z, spacing_mm, affine, "z", sha256)


def _resized_spacing(acquired: Acquired, pixels: Pixels) -> tuple[float, ...] | None:
    if acquired.spacing_mm is None:
        return None
    old, new = acquired.pixels.shape[:2], pixels.shape[:2]
    return tuple(step * before / after for step, before, after in zip(acquired.spacing_mm[-2:], old, new, strict=True))
