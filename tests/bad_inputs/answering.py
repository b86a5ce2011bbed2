"""Running a case through the real ingest, with a sound image beside the bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from curation.ingest import ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from flows.executors import SerialExecutor
from tests.bad_inputs.cases import Answer, Case
from tests.curation.dicom_builders import a_series
from tests.curation_builders import a_nifti, a_picture, a_raster, a_volume

PATIENT_WORDS = ("PID-4711", "Quastenflosser", "Wilhelmine", "19570311", "Hinterwald")

WITHOUT_HASH = ("UNREADABLE", "UNSAFE_PATH", "ARCHIVE_BOMB", "NESTED_ARCHIVE")
"""What was not read to its end."""


def answers_of(case: Case, folder: Path) -> set[Answer]:
    """Return outcome and code of every bad file; check what must hold for all.

    Counts add up, sources are not changed, the sound image is kept, every refusal has a sentence without an identifier, and the hash of the file.
    """
    source = folder / "source"
    case.make(source / "bad")
    _write_sound(source / "sound", case)
    before = _contents(source)
    project = Project(folder / "project")
    project.root.mkdir()
    settings = SourceSettings(name="clinic", kind=case.kind, path=source, modality=case.modality)
    report = ingest(project, (settings,), HarmonizeSettings(), b"k" * 32, SerialExecutor())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    assert _contents(source) == before
    intake = read_intake(project.intake)
    sound = intake.filter(pl.col("path").str.starts_with("sound/"))
    assert set(sound["outcome"]) == {"kept"}
    bad = intake.filter(~pl.col("path").str.starts_with("sound/"))
    _check_quarantine(project, bad)
    rows = read_manifest(project.manifest)
    assert set(sound.explode("image_ids")["image_ids"]) <= set(rows["image_id"])
    return set(bad.select("outcome", "code").iter_rows())


def _check_quarantine(project: Project, bad: pl.DataFrame) -> None:
    lines = [json.loads(line) for line in (project.quarantine / "quarantine.jsonl").read_text().splitlines()] if project.quarantine.exists() else []
    refused = bad.filter(pl.col("outcome") == "quarantined")
    assert {line["path"] for line in lines} == set(refused["path"])
    for line in lines:
        assert line["code"]
        assert len(line["reason"].split()) > 2
        assert line["sha256"] or line["code"] in WITHOUT_HASH
        assert not any(word in json.dumps(line) for word in PATIENT_WORDS)


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


def _write_sound(folder: Path, case: Case) -> None:
    folder.mkdir(parents=True)
    if case.kind == "dicom":
        root = "1.2.826.0.1.3680043.8.499"
        own = {index: {"SOPInstanceUID": f"{root}.{index}"} for index in range(4)}
        a_series(folder, 4, own, PatientID="SOUND", SeriesInstanceUID=f"{root}.90", StudyInstanceUID=f"{root}.91")
    elif case.kind == "nifti":
        (folder / "sound.nii").write_bytes(a_nifti(a_volume() + 500))
    else:
        pixels = a_picture(99)
        (folder / "sound.png").write_bytes(a_raster(pixels if case.modality == "XC" else pixels[..., 0]))
