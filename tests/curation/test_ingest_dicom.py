"""Ingest of DICOM series: units of many files."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pydicom

from curation.ingest import IngestReport, ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from flows.executors import SerialExecutor
from tests.curation.dicom_builders import a_series, an_xray

KEY = b"k" * 32


def run(project: Project, folder: Path, **changes: Any) -> IngestReport:
    """Ingest one DICOM source and check that the numbers add up."""
    source = SourceSettings(**{"name": "hospital", "kind": "dicom", "path": folder, **changes})
    report = ingest(project, (source,), HarmonizeSettings(), KEY, SerialExecutor())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    return report


def rows_of(project: Project) -> list[dict[str, Any]]:
    """Return the rows of the manifest."""
    return read_manifest(project.manifest).to_dicts()


def test_a_series_is_one_row_without_identifiers(tmp_path: Path) -> None:
    """All slices are kept, in one volume in HU; no raw value of the header is in the row."""
    header = pydicom.dcmread(a_series(tmp_path / "in")[0])
    project = Project(tmp_path / "p")
    report = run(project, tmp_path / "in", site="north")
    assert (report.kept, report.images) == (5, 1)
    (row,) = rows_of(project)
    assert (row["modality"], row["value_unit"], row["ndim"], row["site"]) == ("CT", "HU", 3, "north")
    raw = [str(header[name].value) for name in ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate") if name in header]
    assert not any(value in str(row) for value in raw if value)
    files = read_intake(project.intake)
    assert files["unit"].n_unique() == 1
    assert not any(value in files["unit"][0] for value in raw if value)


def test_a_series_that_gains_or_loses_a_slice_is_another_image(tmp_path: Path) -> None:
    """The whole series is read again, and the old volume leaves."""
    paths = sorted(a_series(tmp_path / "all", slices=6), key=lambda path: int(path.stem[3:]))
    folder = tmp_path / "in"
    folder.mkdir()
    for path in paths[:5]:
        shutil.copy2(path, folder)
    project = Project(tmp_path / "p")
    run(project, folder)
    (first,) = rows_of(project)
    shutil.copy2(paths[5], folder)
    report = run(project, folder)
    assert (report.kept, report.images, report.new_images, report.removed_images, report.reused_files) == (6, 1, 1, 1, 0)
    (folder / paths[5].name).unlink()
    report = run(project, folder)
    assert (report.kept, report.new_images, report.removed_images) == (5, 1, 1)
    (again,) = rows_of(project)
    assert first["image_id"] == again["image_id"]
    assert run(project, folder).reused_files == 5


def test_a_missing_slice_stops_the_series_not_the_run(tmp_path: Path) -> None:
    """All files of the series are in quarantine; text beside it is skipped; a damaged file has its own code."""
    a_series(tmp_path / "in" / "whole")
    paths = a_series(tmp_path / "in" / "gap", SeriesInstanceUID="1.2.3.4.99", slices=6)
    next(path for path in paths if path.stem.endswith("-3")).unlink()
    (tmp_path / "in" / "notes.txt").write_text("hello")
    (tmp_path / "in" / "cut.dcm").write_bytes(paths[0].read_bytes()[:600])
    project = Project(tmp_path / "p")
    report = run(project, tmp_path / "in")
    assert (report.kept, report.quarantined, report.skipped, report.images) == (5, 6, 1, 1)
    codes = {row["path"].split("/")[0]: row["code"] for row in read_intake(project.intake).iter_rows(named=True)}
    assert codes == {"whole": "", "gap": "MISSING_SLICES", "cut.dcm": "TRUNCATED", "notes.txt": "NOT_AN_IMAGE"}


def test_the_same_series_under_other_uids_is_a_duplicate(tmp_path: Path) -> None:
    """Every file of the copy says so; the first folder is kept."""
    a_series(tmp_path / "in" / "a")
    for path in a_series(tmp_path / "in" / "b"):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.3.4.98", f"{dataset.SOPInstanceUID}.7"
        dataset.save_as(path)
    project = Project(tmp_path / "p")
    report = run(project, tmp_path / "in")
    assert (report.kept, report.duplicates, report.images, report.codes) == (5, 5, 1, {"SAME_IMAGE": 5})
    kept = read_intake(project.intake).filter(pl.col("outcome") == "kept")
    assert {path.split("/")[0] for path in kept["path"]} == {"a"}


def test_a_table_names_series_by_their_raw_uid(tmp_path: Path) -> None:
    """Also when a later run must look the series up again; a changed label keeps the image where it lies."""
    uid = str(pydicom.dcmread(a_series(tmp_path / "in")[0]).SeriesInstanceUID)
    table = tmp_path / "labels.csv"
    table.write_text(f"series,finding\n{uid},nodule\n")
    settings: dict[str, Any] = {"table": table, "key": "series", "label": "finding"}
    project = Project(tmp_path / "p")
    run(project, tmp_path / "in", **settings)
    (first,) = rows_of(project)
    table.write_text(f"series,finding\n{uid},clear\n")
    run(project, tmp_path / "in", **settings)
    (second,) = rows_of(project)
    assert (first["label"], second["label"]) == ("nodule", "clear")
    assert (first["shard"], first["offset"]) == (second["shard"], second["offset"])


def test_x_rays_are_images_of_their_own(tmp_path: Path) -> None:
    """Two instances of a study with labels by file name."""
    an_xray(tmp_path / "in" / "a", SOPInstanceUID="1.2.3.1", SeriesInstanceUID="1.2.3.100")
    (tmp_path / "in" / "a" / "one.dcm").rename(tmp_path / "in" / "left.dcm")
    (tmp_path / "t.csv").write_text("file,finding\nleft,nodule\n")
    project = Project(tmp_path / "p")
    run(project, tmp_path / "in", table=tmp_path / "t.csv", key="file", match="stem", label="finding")
    (row,) = rows_of(project)
    assert (row["label"], row["ndim"], row["suffix"], row["modality"]) == ("nodule", 2, ".png", "DX")
