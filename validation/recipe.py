"""The part of the recipe (curaloop.toml) that says who judges and what a release demands."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from curation.recipe import Frozen

Share = Annotated[float, Field(ge=0, le=1)]


class ReviewSettings(Frozen):
    """The queue that the readers work on in Label Studio."""

    title: str = Field(default="Curaloop review", min_length=3, max_length=50)
    budget: int = Field(default=100, ge=1, description="most open tasks")
    audit_share: Share = Field(default=0.1, description="share of the budget drawn at random from labelled real images")
    readers_per_task: int = Field(default=1, ge=1)
    readers: tuple[str, ...] = Field(default=(), description="e-mail addresses whose annotations count; empty: everybody in this Label Studio")
    reasons: tuple[str, ...] = Field(default=("not plausible", "wrong class", "artefact", "poor quality"), description="why an image is rejected")
    seed: int = 0


class ReleaseSettings(Frozen):
    """What a release demands."""

    synthetic: Literal["expert", "none"] = Field(default="expert", description="which synthetic images may enter: accepted by an expert, or none")
    least_images: int = Field(default=1, ge=1, description="fewer acquired images than this: refused")
    least_labelled_share: Share = Field(default=0.0, description="smallest share of acquired images with a label")
    remote: str = Field(default="", description="DVC remote; written into the committed configuration by `curaloop init`")
