"""Recipes to compare with: pixels as they came, and pixels before anything that was fitted."""

from __future__ import annotations

from curation.recipe import ColourSettings, HarmonizeSettings, MrSettings, XraySettings


def plain_settings(settings: HarmonizeSettings) -> HarmonizeSettings:
    """Return a recipe with the same grids and sizes that harmonizes no intensity: volumes from darkest to brightest, images as they are.

    CT and PET keep their recipes: Hounsfield units and SUV are comparable by themselves.
    """
    return settings.model_copy(
        update={
            "mr": MrSettings(spacing_mm=settings.mr.spacing_mm, clip_z=settings.mr.clip_z, upsampling=settings.mr.upsampling, intensity="min_max"),
            "xray": XraySettings(size_px=settings.xray.size_px),
            "colour": ColourSettings(size_px=settings.colour.size_px),
        }
    )


def unfitted_settings(settings: HarmonizeSettings) -> HarmonizeSettings:
    """Return the recipe without what was fitted on train, so that a new fit does not see the answer of the last one."""
    return settings.model_copy(
        update={
            "mr": settings.mr.model_copy(update={"intensity": "robust_z", "nyul": ()}),
            "colour": settings.colour.model_copy(update={"stain": "none", "stain_reference": (), "constancy": "none"}),
        }
    )
