"""The part of the recipe (curaloop.toml) that says how a foundation model is fine-tuned and evaluated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation.recipe import Frozen


class FinetuneSettings(Frozen):
    """A linear probe on a frozen encoder, one a task (family and dimensions of the images)."""

    encoder: str = Field(default="efficientnet-lite0", description="`efficientnet-lite0` (offline), `hf:<hub id>` or a folder with safetensors")
    batch_size: int = Field(default=8, ge=1, description="planes a forward pass; 8 was measured a quarter faster than 32 on CPU")
    pca: int = Field(default=256, ge=2, description="most components of the features, fitted on train")
    strengths: tuple[float, ...] = Field(default=(3e-4, 1e-3, 3e-3, 1e-2, 1e-1), min_length=1, description="inverse regularization, chosen on val")
    least_train_images: int = Field(default=5, ge=2, description="a class with fewer real train images is not modelled, and the report says so")
    bootstrap: int = Field(default=1000, ge=100, description="resamples of patients behind each interval")
    seed: int = 0
    combat: Literal["off", "site", "manufacturer", "model_name", "source"] = Field(
        default="off", exclude_if=lambda value: value == "off", description="column whose part in the features ComBat takes away; fitted on train"
    )
    combat_preserve: tuple[str, ...] = Field(
        default=("label",), exclude_if=lambda value: value == ("label",), description="columns whose part in the features stays; the label only at the fit"
    )
    combat_unseen: Literal["refuse", "pooled", "nearest"] = Field(
        default="pooled", exclude_if=lambda value: value == "pooled", description="what becomes of images of sites that train does not have"
    )
