"""The part of the recipe (curaloop.toml) that says how a foundation model is fine-tuned and evaluated."""

from __future__ import annotations

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
