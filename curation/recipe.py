"""The part of the recipe (curaloop.toml) that says what comes in and how it is curated.

`flows/settings.py` reads the file; the classes here are what the stages of this room are called with.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]


class Frozen(BaseModel):
    """A record that cannot change and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def sha256(self) -> str:
        """Return the hash of the values, the same on every machine."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class SourceSettings(Frozen):
    """One place that images come from."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    kind: Literal["dicom", "nifti", "raster"]
    path: Path
    modality: str | None = Field(default=None, pattern=r"^[A-Z]{2,4}$", description="DICOM modality; needed for raster and NIfTI")
    site: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,39}$", description="one site for the whole source")
    table: Path | None = Field(default=None, description="CSV with a header")
    key: str | None = Field(default=None, description="column of the table that names the image")
    match: Literal["stem", "name", "series_uid", "study_uid", "patient_id"] | None = Field(
        default=None, description="what the key is compared with; default: stem of the file, or series_uid for DICOM"
    )
    label: str | None = Field(default=None, description="column of the table that holds the class")
    patient: str | None = Field(default=None, description="column of the table that groups images of one patient")
    patients: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$",
        exclude_if=lambda value: value is None,
        description="name space of patient ids: sources that call a patient by the same id name the same one here; default: the source's own name",
    )
    columns: dict[str, str] = Field(default_factory=dict, description="record column = table column")
    values: dict[str, dict[str, str]] = Field(default_factory=dict, description="record column = {value in the table = value in the record}")

    @model_validator(mode="after")
    def _hangs_together(self) -> SourceSettings:
        if self.kind in ("raster", "nifti") and self.modality is None and "modality" not in self.columns:
            raise ValueError(f"a {self.kind} source needs `modality`, its files do not say it")
        if self.table is None and (self.key or self.label or self.patient or self.columns):
            raise ValueError("`key`, `label`, `patient` and `columns` need a `table`")
        if self.table is not None and self.key is None:
            raise ValueError("a `table` needs `key`, the column that names the image")
        return self

    @property
    def patient_space(self) -> str:
        """Within which name space a patient id means one patient."""
        return self.patients or self.name

    @property
    def matches(self) -> str:
        """What the table's key is compared with."""
        return self.match or ("series_uid" if self.kind == "dicom" else "stem")


class CtSettings(Frozen):
    """CT: Hounsfield units on a regular grid."""

    spacing_mm: tuple[Positive, Positive, Positive] = Field(default=(1.0, 1.0, 1.0), description="slices, rows, columns")
    clip_hu: tuple[float, float] = (-1024.0, 3071.0)
    correct_tilt: bool = Field(
        default=False, exclude_if=lambda value: not value, description="shear volumes of a tilted gantry upright; else they go to quarantine (GANTRY_TILT)"
    )


class MrSettings(Frozen):
    """MR: RAS orientation, robust z-score."""

    spacing_mm: tuple[Positive, Positive, Positive] | None = Field(default=None, description="empty keeps the scanner's grid")
    clip_z: Positive = 10.0


class XraySettings(Frozen):
    """Projection and other gray images: displayed values, MONOCHROME2, a target size."""

    size_px: int = Field(default=256, ge=16, le=4096, description="longest side")


class ColourSettings(Frozen):
    """Colour images: RGB, a target size."""

    size_px: int = Field(default=128, ge=16, le=4096, description="longest side")


class HarmonizeSettings(Frozen):
    """How pixels of each kind of image are made alike."""

    ct: CtSettings = CtSettings()
    mr: MrSettings = MrSettings()
    xray: XraySettings = XraySettings()
    colour: ColourSettings = ColourSettings()


class SplitSettings(Frozen):
    """Shares of the patients."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.6
    val: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: int = 0

    @model_validator(mode="after")
    def _adds_up(self) -> SplitSettings:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError("train + val + test must be 1")
        return self


class GapSettings(Frozen):
    """Which cells of the cohort are counted, and how many images each should have."""

    columns: tuple[str, ...] = Field(default=(), description="columns that are crossed with the label")
    target: Annotated[float, Field(gt=0, le=1)] = Field(default=0.5, description="wanted train images of a cell, as a share of the task's largest cell")
    maximum: int = Field(default=500, ge=1, description="upper bound of the wanted number")


def describe(settings: Frozen) -> dict[str, Any]:
    """Return the settings as plain JSON values."""
    return settings.model_dump(mode="json")
