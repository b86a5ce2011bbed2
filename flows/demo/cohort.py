"""The simulated hospital's files: DICOM series, NIfTI volumes, pictures and tables, with fake patients and planted faults.

`make_cohort` writes the folder that the demo's recipe reads and returns the ground truth. Nothing of the truth lies in the folder's tables:
a flipped label looks like any other label there.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.demo import phantoms
from flows.demo.files import Patient, write_ct_series, write_nifti, write_png, write_xray

FAMILY_NAMES = ("Abara", "Brunner", "Castell", "Dvorak", "Eriksen", "Fontaine", "Gruber", "Haddad", "Ivanova", "Jansen", "Kimura", "Lindqvist")
GIVEN_NAMES = ("Ada", "Bela", "Chiara", "Dario", "Elif", "Fynn", "Greta", "Hugo", "Ines", "Jonas", "Kenji", "Lale")


@dataclass(frozen=True)
class CohortSize:
    """How many images of each class the simulated hospital has, and how many of each fault are planted."""

    skin: dict[str, int] = field(default_factory=lambda: {"naevus": 300, "keratosis": 130, "melanoma": 70, "dermatofibroma": 26})
    xray: dict[str, int] = field(default_factory=lambda: {"normal": 70, "effusion": 40, "nodule": 24})
    ct: dict[str, int] = field(default_factory=lambda: {"normal": 12, "nodule": 9})
    mr: dict[str, int] = field(default_factory=lambda: {"normal": 14, "lesion": 9})
    unlabelled: int = 12
    copies: int = 10
    resaved: int = 6
    flipped: int = 16
    truncated: int = 3
    missing_slices: int = 2
    burned_in: int = 4


SMALL = CohortSize(
    skin={"naevus": 30, "keratosis": 16, "melanoma": 12, "dermatofibroma": 10},
    xray={"normal": 9, "effusion": 7, "nodule": 8},
    ct={"normal": 2, "nodule": 2},
    mr={"normal": 2, "lesion": 2},
    unlabelled=3,
    copies=2,
    resaved=1,
    flipped=3,
    truncated=1,
    missing_slices=1,
    burned_in=1,
)


@dataclass(frozen=True)
class Planted:
    """One simulated image: what was written in the table, and what is true."""

    source: str
    path: str
    patient: str
    site: str
    truth: str
    given: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroundTruth:
    """All that was simulated."""

    seed: int
    images: tuple[Planted, ...]
    secrets: tuple[str, ...]

    def having(self, fault: str) -> list[Planted]:
        """Return the images with one planted fault."""
        return [image for image in self.images if fault in image.faults]

    def write(self, path: Path) -> None:
        """Write the truth as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_truth(path: Path) -> GroundTruth:
    """Return the truth that `GroundTruth.write` wrote."""
    content = json.loads(path.read_text())
    images = tuple(Planted(**{**image, "faults": tuple(image["faults"])}) for image in content["images"])
    return GroundTruth(content["seed"], images, tuple(content["secrets"]))


def make_cohort(folder: Path, seed: int = 0, size: CohortSize | None = None) -> GroundTruth:
    """Write the simulated hospital into `folder`, which must not exist, and return what is true.

    Folders and tables: `skin/ skin.csv`, `xray/ xray.csv`, `ct/ ct.csv`, `mr/ mr.csv`.
    """
    size = size or CohortSize()
    folder.mkdir(parents=True)
    writers = (_make_skin, _make_xray, _make_ct, _make_mr)
    images: list[Planted] = []
    secrets: set[str] = set()
    for stream, make in enumerate(writers):
        rng = np.random.default_rng([seed, stream])
        made = make(folder, rng, size)
        images += made
        secrets |= {secret for image in made for secret in _patient(image.patient).secrets}
    return GroundTruth(seed, tuple(images), tuple(sorted(secrets)))


def _patient(number: str) -> Patient:
    """Return the fake person behind a patient number, always the same."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(number.encode()).digest()[:8], "big"))
    return Patient(
        number=number,
        name=f"{rng.choice(FAMILY_NAMES)}^{rng.choice(GIVEN_NAMES)}",
        born=f"{rng.integers(1931, 2004)}{rng.integers(1, 13):02d}{rng.integers(1, 28):02d}",
        sex=str(rng.choice(["F", "M"])),
    )


def _draw_labels(rng: np.random.Generator, counts: dict[str, int], prefix: str, images_per_patient: float) -> list[tuple[str, str, str]]:
    """Return (patient number, site, label) an image; a patient has one site and one label, and one or more images."""
    drawn = []
    for label, count in counts.items():
        while count > 0:
            number, site = f"{prefix}{rng.integers(10**7, 10**8)}", str(rng.choice(phantoms.SITES))
            images = min(count, 1 + rng.poisson(images_per_patient - 1))
            drawn += [(number, site, label)] * images
            count -= images
    return [drawn[position] for position in rng.permutation(len(drawn))]


def _flip(rng: np.random.Generator, labels: list[str], count: int, among: tuple[str, ...]) -> tuple[list[str], set[int]]:
    """Return the labels as the table will have them, and the positions of those that are wrong."""
    wrong = set(map(int, rng.choice(len(labels), min(count, len(labels)), replace=False)))
    given = [str(rng.choice([other for other in among if other != label])) if position in wrong else label for position, label in enumerate(labels)]
    return given, wrong


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _make_skin(folder: Path, rng: np.random.Generator, size: CohortSize) -> list[Planted]:
    """Write pictures of skin, PNG with the patient's name in a text chunk; copies, re-saved copies, wrong labels, cut-off files."""
    drawn = _draw_labels(rng, size.skin, "S", 1.3)
    given, wrong = _flip(rng, [label for _, _, label in drawn], size.flipped, phantoms.SKIN_LABELS)
    faults = {"copied file": size.copies, "re-saved image": size.resaved, "truncated file": size.truncated, "no label": size.unlabelled}
    chosen = _choose(rng, len(drawn), wrong, faults)
    (folder / "skin").mkdir()
    images, table = [], []
    for position, (number, site, truth) in enumerate(drawn):
        fault = chosen.get(position)
        label = "" if fault == "no label" else given[position]
        path, person = folder / "skin" / f"derm_{position:04d}.png", _patient(number)
        pixels = phantoms.skin_lesion(rng, truth, site)
        write_png(path, pixels, {"Author": person.name, "PatientID": number})
        row = {"image": path.stem, "patient": number, "dx": label, "age": person.age_years, "sex": person.sex, "clinic": site}
        if fault == "truncated file":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        own = "flipped label" if position in wrong else fault if fault in ("truncated file", "no label") else None
        table.append(row)
        images.append(Planted("skin", path.name, number, site, truth, label, (own,) if own else ()))
        if fault in ("copied file", "re-saved image"):
            again = _write_again(path, pixels, fault)
            table.append({**row, "image": again.stem})
            images.append(Planted("skin", again.name, number, site, truth, label, (fault,)))
    _write_table(folder / "skin.csv", table)
    (folder / "skin" / "notes.txt").write_text(f"Call {_patient(drawn[0][0]).name} about the result.\n")
    return images


def _choose(rng: np.random.Generator, count: int, taken: set[int], wanted: dict[str, int]) -> dict[int, str]:
    """Return the positions of `wanted` faults, each position with one fault at most and none of those `taken`."""
    free = iter([position for position in map(int, rng.permutation(count)) if position not in taken])
    return {next(free): fault for fault, number in wanted.items() for _ in range(number)}


def _write_again(path: Path, pixels: npt.NDArray[np.uint8], fault: str) -> Path:
    """Write the picture a second time: the same bytes, or the same pixels in other bytes."""
    again = path.with_stem(f"{path.stem}_again")
    if fault == "copied file":
        shutil.copy(path, again)
    else:
        write_png(again, pixels, {}, compression=9)
    return again


def _make_xray(folder: Path, rng: np.random.Generator, size: CohortSize) -> list[Planted]:
    """Write chest X-rays as DICOM; one site is confounded with a finding, and some have the name burned into the pixels."""
    drawn = [(number, "hill" if label == "effusion" and rng.random() < 0.8 else site, label) for number, site, label in _draw_labels(rng, size.xray, "X", 1.2)]
    burned = set(map(int, rng.choice(len(drawn), size.burned_in, replace=False)))
    (folder / "xray").mkdir()
    images, table = [], []
    for position, (number, site, label) in enumerate(drawn):
        path = folder / "xray" / f"{_patient(number).name.split('^')[0]}_{position:04d}.dcm"
        series = write_xray(path, phantoms.chest_xray(rng, label, site), _patient(number), site, inverted=site == "harbour", burned_in=position in burned)
        table.append({"series": series, "finding": label})
        faults = (*(["burned-in text"] if position in burned else []), *(["confounded site"] if label == "effusion" and site == "hill" else []))
        images.append(Planted("xray", path.name, number, site, label, label, faults))
    _write_table(folder / "xray.csv", table)
    return images


def _make_ct(folder: Path, rng: np.random.Generator, size: CohortSize) -> list[Planted]:
    """Write chest CT series as DICOM; some lack a slice in the middle."""
    drawn = _draw_labels(rng, size.ct, "C", 1.0)
    incomplete = set(map(int, rng.choice(len(drawn), size.missing_slices, replace=False)))
    images, table = [], []
    for position, (number, site, label) in enumerate(drawn):
        series_folder = folder / "ct" / f"exam_{position:03d}"
        series = write_ct_series(
            series_folder, phantoms.chest_ct(rng, label, site), _patient(number), site, without_slice=11 if position in incomplete else None
        )
        table.append({"series": series, "finding": label})
        images.append(Planted("ct", series_folder.name, number, site, label, label, ("missing slice",) if position in incomplete else ()))
    _write_table(folder / "ct.csv", table)
    return images


def _make_mr(folder: Path, rng: np.random.Generator, size: CohortSize) -> list[Planted]:
    """Write brain MR volumes as NIfTI with the patient's name in the header."""
    (folder / "mr").mkdir()
    images, table = [], []
    for position, (number, site, label) in enumerate(_draw_labels(rng, size.mr, "M", 1.0)):
        path = folder / "mr" / f"brain_{position:03d}.nii.gz"
        write_nifti(path, phantoms.brain_mr(rng, label, site), _patient(number))
        table.append({"image": path.name.removesuffix(".nii.gz"), "patient": number, "finding": label, "clinic": site})
        images.append(Planted("mr", path.name, number, site, label, label))
    _write_table(folder / "mr.csv", table)
    return images
