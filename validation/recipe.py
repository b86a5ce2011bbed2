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
    least_power: Share = Field(default=0.8, description="share of planted copies that the memorization screen of a synthetic image's class must have caught")
    remote: str = Field(default="", description="DVC remote; written into the committed configuration by `curaloop init`")


class LiftSettings(Frozen):
    """The court that judges synthetic images on real test patients, against controls that cost nothing."""

    required: bool = Field(default=True, description="a synthetic image enters a release only when the court accepted its class")
    release_inconclusive: bool = Field(default=False, description="let in what the court could not decide, too; never what it rejected")
    doses: tuple[float, ...] = Field(default=(0.25, 0.5, 1.0, 2.0, 5.0), min_length=1, description="synthetic images as multiple of the class's train images")
    schedules: tuple[Literal["mix", "pretrain", "decay"], ...] = Field(default=("mix", "pretrain", "decay"), min_length=1)
    seeds: int = Field(default=5, ge=1, description="trainings of each arm")
    steps: int = Field(default=600, ge=10, description="optimizer steps of every arm")
    batch_size: int = Field(default=128, ge=2)
    pca: int = Field(default=128, ge=1, description="components of the features, fitted on real train images")
    draws: int = Field(default=1000, ge=100, description="resamples of patients behind each interval")
    margin: float = Field(default=0.01, ge=0, lt=1, description="a lift in AUPRC below this is of no use; a loss below it is no harm")
    source_auc: float = Field(default=0.9, gt=0.5, le=1, description="told apart from real images of the class better than this: the source is a shortcut")
    seed: int = 0
