"""What may stay in a de-identified file, by the names of PS3.15 annex E; the Basic Profile is always kept to.

The codes that a file carries in (0012,0064) say what was done with that file, so they follow from these settings and from its kind.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from curation.recipe import Frozen


class DeidentifySettings(Frozen):
    """Options of `curaloop deidentify`; `[deidentify]` of the recipe."""

    clean_pixel_data: bool = Field(default=True, description="look for burned-in text and mask it; false: files that may show text are refused")
    clean_descriptors: bool = Field(default=True, description="keep coded descriptions (anatomy, views, segments) whose code is in the standard")
    retain_longitudinal_modified_dates: bool = Field(default=True, description="keep dates, moved by one secret number of days a patient")
    retain_patient_characteristics: bool = Field(default=True, description="keep sex, age (at most 90), height and weight")
    retain_device_identity: bool = Field(default=False, description="keep the model's name when it is a known one, and a pseudonym of the serial number")
    retain_safe_private: bool = Field(default=False, description="keep private numbers that are known to be safe: b-values, gradients, tiles of a mosaic")
    accept_face_risk: bool = Field(default=False, description="pass on head volumes with thin slices, from which a face could be drawn")


class MethodCode(NamedTuple):
    """A code of PS3.16 CID 7050."""

    value: str
    meaning: str


BASIC = MethodCode("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = MethodCode("113101", "Clean Pixel Data Option")
CLEAN_GRAPHICS = MethodCode("113103", "Clean Graphics Option")
CLEAN_DESCRIPTORS = MethodCode("113105", "Clean Descriptors Option")
MODIFIED_DATES = MethodCode("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
PATIENT_CHARACTERISTICS = MethodCode("113108", "Retain Patient Characteristics Option")
DEVICE_IDENTITY = MethodCode("113109", "Retain Device Identity Option")
SAFE_PRIVATE = MethodCode("113111", "Retain Safe Private Option")
METHOD_CODES = (
    BASIC, CLEAN_PIXELS, CLEAN_GRAPHICS, CLEAN_DESCRIPTORS, MODIFIED_DATES, PATIENT_CHARACTERISTICS, DEVICE_IDENTITY, SAFE_PRIVATE,
)  # fmt: skip


def method_codes(settings: DeidentifySettings, *, pixels_were_read: bool) -> tuple[MethodCode, ...]:
    """Return the codes that a file may claim.

    Args:
        settings: what may stay.
        pixels_were_read: whether text was looked for in the pixels of this file.
    """
    claims = (
        (BASIC, True),
        (CLEAN_PIXELS, pixels_were_read),
        (CLEAN_GRAPHICS, True),
        (CLEAN_DESCRIPTORS, settings.clean_descriptors),
        (MODIFIED_DATES, settings.retain_longitudinal_modified_dates),
        (PATIENT_CHARACTERISTICS, settings.retain_patient_characteristics),
        (DEVICE_IDENTITY, settings.retain_device_identity),
        (SAFE_PRIVATE, settings.retain_safe_private),
    )
    return tuple(code for code, is_done in claims if is_done)
