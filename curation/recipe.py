"""The part of the recipe (curaloop.toml) that says what comes in and how it is curated.

`flows/settings.py` reads the file; the classes here are what the stages of this room are called with.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
Positive = Annotated[float, Field(gt=0)]
Title = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""A DICOM AE title: 1 to 16 printable characters without a backslash (PS3.5, VR AE)."""


class Frozen(BaseModel):
    """A record that cannot change and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def sha256(self) -> str:
        """Return the hash of the values, the same on every machine."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _is_none(value: object) -> bool:
    """Say whether a key is left out: such keys are left out of hashes too, so that a recipe without them stays the same recipe."""
    return value is None


class SourceSettings(Frozen):
    """One place that images come from."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    kind: Literal["dicom", "nifti", "raster", "dicomweb"]
    path: Path = Field(default=Path(), description="folder, archive or file; not for dicomweb")
    url: str | None = Field(default=None, exclude_if=_is_none, description="address of a DICOMweb service, without a login")
    from_date: date | None = Field(default=None, alias="from", exclude_if=_is_none, description="dicomweb: first study date")
    to_date: date | None = Field(default=None, alias="to", exclude_if=_is_none, description="dicomweb: last study date")
    description: str | None = Field(
        default=None, exclude_if=_is_none, description="dicomweb: pattern of the study's or series' description, * and ? stand for anything"
    )
    token_env: str | None = Field(default=None, pattern=VARIABLE, exclude_if=_is_none, description="dicomweb: environment variable with a bearer token")
    user_env: str | None = Field(default=None, pattern=VARIABLE, exclude_if=_is_none, description="dicomweb: environment variable with the user's name")
    password_env: str | None = Field(default=None, pattern=VARIABLE, exclude_if=_is_none, description="dicomweb: environment variable with the password")
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
        exclude_if=_is_none,
        description="name space of patient ids: sources that call a patient by the same id name the same one here; default: the source's own name",
    )
    columns: dict[str, str] = Field(default_factory=dict, description="record column = table column")
    text: str | None = Field(default=None, exclude_if=lambda value: value is None, description="column of the table that holds the report")
    keep_text: bool = Field(default=False, exclude_if=lambda value: not value, description="keep the report, without what identifies; else it is not read")
    frames: Literal["refuse", "middle", "all"] = Field(
        default="refuse", exclude_if=lambda value: value == "refuse", description="what is taken of films (several frames in one DICOM file that are no volume)"
    )
    burned_in_text: Literal["mask", "refuse", "header"] = Field(
        default="mask",
        exclude_if=lambda value: value == "mask",
        description="text in the pixels: it is covered, its image is refused, or only the header is asked",
    )
    accept_face_risk: bool = Field(default=False, exclude_if=lambda value: not value, description="take head volumes with thin slices: a face can be drawn")
    structures: dict[str, str] = Field(default_factory=dict, exclude_if=lambda value: not value, description="value or label in a label map = what it means")
    values: dict[str, dict[str, str]] = Field(default_factory=dict, description="record column = {value in the table = value in the record}")

    @model_validator(mode="after")
    def _is_of_a_known_kind(self) -> SourceSettings:
        from curation.modalities import FAMILIES

        if self.kind in ("raster", "nifti") and self.modality is not None and self.modality not in FAMILIES:
            known = ", ".join(sorted(FAMILIES))
            raise ValueError(f"`modality` {self.modality!r} is no DICOM code that is read (X-ray: CR or DX, photograph: XC); known are {known}")
        return self

    @model_validator(mode="after")
    def _hangs_together(self) -> SourceSettings:
        if self.kind == "dicomweb":
            self._is_reachable()
        elif given := [key for key, value in self.remote_keys().items() if value is not None]:
            raise ValueError(f"`{given[0]}` is for dicomweb sources only")
        elif "path" not in self.model_fields_set:
            raise ValueError(f"a {self.kind} source needs `path`")
        if self.kind == "raster" and self.modality is None and "modality" not in self.columns:
            raise ValueError(f"a {self.kind} source needs `modality`, its files do not say it")
        if self.table is None and (self.key or self.label or self.patient or self.columns or self.text):
            raise ValueError("`key`, `label`, `patient`, `text` and `columns` need a `table`")
        if self.keep_text and self.text is None and self.reads != "dicom":
            raise ValueError("`keep_text` needs `text`, the column of the table that holds the report")
        if self.keeps_reports and self.table is not None and self.matches == "series_uid":
            raise ValueError(
                "reports in DICOM belong to studies: with `keep_text`, set `match` to study_uid, patient_id, stem or name, or name the column `text`"
            )
        if not all(re.fullmatch(r"[A-Za-z0-9 ._+()/-]{1,40}", name) for name in self.structures.values()):
            raise ValueError("`structures` have names of at most 40 letters, digits and . _ + ( ) / -")
        if self.table is not None and self.key is None:
            raise ValueError("a `table` needs `key`, the column that names the image")
        return self

    def remote_keys(self) -> dict[str, Any]:
        """Return the keys, as the recipe spells them, that only a dicomweb source has."""
        logins = {"token_env": self.token_env, "user_env": self.user_env, "password_env": self.password_env}
        return {"url": self.url, "from": self.from_date, "to": self.to_date, "description": self.description, **logins}

    def _is_reachable(self) -> None:
        if self.url is None or not self.url.startswith(("http://", "https://")):
            raise ValueError("a dicomweb source needs `url`, http:// or https://")
        if "@" in self.url:  # checked here, because the message of a field's own check quotes its value
            raise ValueError("`url` must not hold a login; name its environment variables in `user_env` and `password_env`")
        if "path" in self.model_fields_set:
            raise ValueError("a dicomweb source has no `path`: what it gives lies in workspace/inbox")
        if self.from_date and self.to_date and self.from_date > self.to_date:
            raise ValueError("`from` is after `to`")
        if (self.user_env is None) != (self.password_env is None) or (self.token_env and self.user_env):
            raise ValueError("a login is `token_env`, or `user_env` and `password_env`")

    def in_folder(self, path: Path) -> SourceSettings:
        """Return this source once its files lie in a folder."""
        remote = dict.fromkeys(("url", "from_date", "to_date", "description", "token_env", "user_env", "password_env", "modality"))
        return self.model_copy(update={**remote, "kind": "dicom", "path": path})

    @property
    def reads(self) -> Literal["dicom", "nifti", "raster"]:
        """What its files are."""
        return "dicom" if self.kind == "dicomweb" else self.kind

    @property
    def patient_space(self) -> str:
        """Within which name space a patient id means one patient."""
        return self.patients or self.name

    @property
    def keeps_reports(self) -> bool:
        """The text of structured reports (DICOM SR) is kept with the images of their study."""
        return self.keep_text and self.text is None and self.reads == "dicom"

    @property
    def matches(self) -> str:
        """What the table's key is compared with."""
        return self.match or ("series_uid" if self.reads == "dicom" else "stem")


def _option(default: Any, description: str, **checks: Any) -> Any:
    """Return a key that came later: at its default it does not enter the hash, so that images that were made before are not made again."""
    return Field(default=default, description=description, exclude_if=lambda value: value == default, **checks)


class ListenSettings(Frozen):
    """The DICOM receiver: who may send, and where it is stored."""

    inbox: Path = Field(default=Path("inbox"), description="folder for what is received; the path of a [[source]] with kind = dicom")
    ae_title: Title = Field(default="CURALOOP", description="what the receiver is called; callers that call it otherwise are refused")
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on; DICOM is not encrypted")
    port: int = Field(default=11112, ge=0, le=65535, description="0: any free one")
    allow: tuple[Title, ...] = Field(default=(), description="AE titles that may send; nobody else may")
    max_file_gb: Positive = Field(default=4.0, le=64, description="a sender of a larger object is cut off")


class CtSettings(Frozen):
    """CT: Hounsfield units on a regular grid."""

    spacing_mm: tuple[Positive, Positive, Positive] = Field(default=(1.0, 1.0, 1.0), description="slices, rows, columns")
    clip_hu: tuple[float, float] = (-1024.0, 3071.0)
    correct_tilt: bool = Field(
        default=False, exclude_if=lambda value: not value, description="shear volumes of a tilted gantry upright; else they go to quarantine (GANTRY_TILT)"
    )
    window: Literal["", "lung", "soft_tissue", "bone", "brain", "stroke", "subdural", "liver", "mediastinum"] = _option("", "clip to this window instead")
    check_hu: bool = _option(False, "quarantine a CT without anything as dark as air or fat, from NIfTI too (DICOM always is)")
    upsampling: Literal["linear", "cubic"] = _option("linear", "along an axis that gets more voxels")
    orientation: Literal["scanner", "ras"] = _option("scanner", "ras: columns to the right, rows to the front, slices upwards, as MR always is")


class MrSettings(Frozen):
    """MR: RAS orientation, bias field, one of several intensity scales."""

    spacing_mm: tuple[Positive, Positive, Positive] | None = Field(default=None, description="empty keeps the scanner's grid")
    clip_z: Positive = 10.0
    upsampling: Literal["linear", "cubic"] = _option("linear", "along an axis that gets more voxels")
    bias_field: Literal["none", "n4"] = _option("none", "N4 before everything that looks at intensities")
    bias_shrink: int = _option(4, "the field is estimated on every n-th voxel of an axis", ge=1, le=8)
    foreground: Literal["mean", "body", "brain"] = _option("mean", "whose intensities set the scale")
    intensity: Literal["robust_z", "nyul", "white_stripe", "min_max"] = _option("robust_z", "min_max is no harmonization, only a scale to show")
    nyul: tuple[tuple[float, float], ...] = _option((), "percentile and standard value; in the file: a JSON file that `curaloop harmonize --fit` wrote")
    white_matter_peak: Literal["last", "largest"] = _option("last", "last for T1, largest for T2, FLAIR and PD")

    @model_validator(mode="after")
    def _has_landmarks(self) -> MrSettings:
        if self.intensity == "nyul" and len(self.nyul) < 2:
            raise ValueError('`intensity = "nyul"` needs `nyul`, the JSON file that `curaloop harmonize --fit` writes')
        return self


class PtSettings(Frozen):
    """PET and SPECT volumes: RAS orientation, values in their unit (SUV where the header allows it)."""

    spacing_mm: tuple[Positive, Positive, Positive] | None = Field(default=None, description="empty keeps the scanner's grid")


class XraySettings(Frozen):
    """Projection and other gray images: displayed values, MONOCHROME2, a target size."""

    size_px: int = Field(default=256, ge=16, le=4096, description="longest side")
    crop: Literal["none", "border", "collimation"] = _option("none", "cut off frames of one value; also what the collimator kept dark")
    clahe: float = _option(0.0, "clip limit of the local histogram equalization; 0: none", ge=0, le=40)


class ColourSettings(Frozen):
    """Colour images: RGB, a target size."""

    size_px: int = Field(default=128, ge=16, le=4096, description="longest side")
    constancy: Literal["none", "shades_of_gray"] = _option("none", "take the colour of the lamp away, for dermoscopy and photographs")
    stain: Literal["none", "macenko", "reinhard"] = _option("none", "bring the stains of histology to a reference")
    stain_reference: tuple[float, ...] = _option((), "in the file: a JSON file that `curaloop harmonize --fit` wrote; empty: the published one of Macenko")

    @model_validator(mode="after")
    def _has_reference(self) -> ColourSettings:
        if self.stain == "reinhard" and len(self.stain_reference) != 6:
            raise ValueError('`stain = "reinhard"` needs `stain_reference`, the JSON file that `curaloop harmonize --fit` writes')
        if self.stain == "macenko" and len(self.stain_reference) not in (0, 8):
            raise ValueError("`stain_reference` does not hold the 8 numbers of Macenko's stains")
        return self


class HarmonizeSettings(Frozen):
    """How pixels of each kind of image are made alike."""

    ct: CtSettings = CtSettings()
    mr: MrSettings = MrSettings()
    pt: PtSettings = Field(default=PtSettings(), exclude_if=lambda value: value == PtSettings())
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
