"""Ingest of series that are more than one plain stack: what their rows say, and that runs agree."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from curation.ingest import IngestReport, ingest
from curation.manifest import read_manifest
from curation.project import Project
from curation.recipe import CtSettings, HarmonizeSettings, SourceSettings
from flows.executors import SerialExecutor
from tests.curation.dicom_builders import SIZE, a_series, save
from tests.curation.test_dicom_mosaic import a_mosaic

KEY = b"k" * 32
MR: dict[str, Any] = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "RescaleSlope": None, "RescaleIntercept": None, "ImageType": None}


def run(project: Project, folder: Path, *, correct_tilt: bool = False, **changes: Any) -> IngestReport:
    """Ingest one DICOM source and check that the numbers add up."""
    source = SourceSettings(**{"name": "hospital", "kind": "dicom", "path": folder, **changes})
    report = ingest(project, (source,), HarmonizeSettings(ct=CtSettings(correct_tilt=correct_tilt)), KEY, SerialExecutor())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    return report


def rows_of(project: Project) -> list[dict[str, Any]]:
    """Return the rows of the manifest."""
    return read_manifest(project.manifest).to_dicts()


def a_film(folder: Path, times: int) -> list[Path]:
    """Write an MR series of three slices at several times."""
    changes = {
        index: {"ImagePositionPatient": [0, 0, 3.0 * (index % 3)], "InstanceNumber": index + 1, "TemporalPositionIdentifier": index // 3 + 1}
        for index in range(3 * times)
    }
    return a_series(folder, 3 * times, changes, **MR)


def test_a_tilted_series_enters_only_by_the_recipe(tmp_path: Path) -> None:
    """Refused by default; sheared, noted and measured when the recipe says so; refused again when it no longer does."""
    changes = {index: {"ImagePositionPatient": [-10, -20 + index, 30 + 2 * index]} for index in range(5)}
    a_series(tmp_path / "in", changes=changes)
    project = Project(tmp_path / "p")
    assert run(project, tmp_path / "in").codes == {"GANTRY_TILT": 5}
    assert run(project, tmp_path / "in", correct_tilt=True).kept == 5
    (row,) = rows_of(project)
    assert row["notes"] == ["GANTRY_TILT_CORRECTED"]
    assert json.loads(row["attributes"]) == {"tilt_corrected_degrees": 26.57}
    assert row["rows"] == round((SIZE + 8) * 0.5)
    assert run(project, tmp_path / "in", correct_tilt=True).reused_files == 5
    assert run(project, tmp_path / "in").codes == {"GANTRY_TILT": 5}
    assert rows_of(project) == []


def test_each_time_point_is_a_row(tmp_path: Path) -> None:
    """All share patient and series, each says which part it is; the user's own columns stand beside that; nothing is read twice."""
    a_film(tmp_path / "in", 6)
    (tmp_path / "t.csv").write_text("patient,scanner_room\nPID-4711-X,7\n")
    table: dict[str, Any] = {"table": tmp_path / "t.csv", "key": "patient", "match": "patient_id", "columns": {"scanner_room": "scanner_room"}}
    project = Project(tmp_path / "p")
    report = run(project, tmp_path / "in", **table)
    assert (report.kept, report.images) == (18, 6)
    rows = rows_of(project)
    assert len({row["patient_id"] for row in rows}) == len({row["series_uid"] for row in rows}) == 1
    said = sorted((json.loads(row["attributes"]) for row in rows), key=lambda attributes: attributes["part"])
    assert said == [{"part": part, "parts": 6, "temporal_position": float(part), "scanner_room": 7} for part in range(1, 7)]
    assert run(project, tmp_path / "in", **table).reused_files == 18


def test_each_mosaic_is_a_row(tmp_path: Path) -> None:
    """Mosaics: a volume a file, stored where it lies in the patient."""
    for number in (1, 2):
        save(a_mosaic(number), tmp_path / "in" / f"{number}.dcm")
    project = Project(tmp_path / "p")
    report = run(project, tmp_path / "in")
    assert (report.kept, report.images) == (2, 2)
    first, second = rows_of(project)
    assert {json.loads(row["attributes"])["part"] for row in (first, second)} == {1, 2}
    content = next(project.working_shards.rglob(f"{first['shard']}*")).read_bytes()[first["offset"] : first["offset"] + first["size_bytes"]]
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    assert image.shape == (6, 6, 7)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert np.linalg.det(image.affine) > 0
