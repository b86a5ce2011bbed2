"""Ingest of DICOM series: units of many files."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pydicom

from curation.ingest import IngestReport, ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.pixels import decode, hash_pixels
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from curation.releases import build_release, select_rows
from curation.shards import Place, ShardReader
from curation.versions import open_version, track_and_tag
from flows.executors import SerialExecutor
from tests.builders import a_manifest, a_project
from tests.curation.dicom_builders import a_dicom, a_series, an_xray
from tests.curation.label_map_builders import KIDNEY, LIVER, a_box, a_seg, a_segment
from validation.invariants import check_stored_files

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


def stored_label_map(project: Project, row: dict[str, Any]) -> Any:
    """Return the label map of a row, read from its working shard."""
    with ShardReader(project.working_shards) as shards:
        return decode(shards.read(Place(row["shard"], row["label_map_offset"], row["label_map_size_bytes"])), ".nii.gz")


def test_a_segmentation_is_stored_beside_its_series_and_a_changed_one_again(tmp_path: Path) -> None:
    """Found by reference, wherever it lies; the row says where the label map is and what its values mean. The second run has nothing to do."""
    folder, project = tmp_path / "in", Project(tmp_path / "p")
    a_series(folder / "ct")
    drawing = a_seg(folder / "seg", {1: a_box()}, [a_segment(1, LIVER)])
    report = run(project, folder)
    assert (report.kept, report.images) == (6, 1)
    (first,) = rows_of(project)
    assert first["label_map_values"] == '{"1": "Liver"}'
    label_map = stored_label_map(project, first)
    assert label_map.shape == (first["slices"], first["rows"], first["columns"])
    assert label_map.sum() == 6 * 2 * 5  # centres of 1 mm voxels between 2 and 8, 2 and 4.5, 2.8 and 7.7 mm
    assert hash_pixels(label_map, first["spacing_mm"]) == first["label_map_sha256"]
    assert run(project, folder).reused_files == 6
    drawing.unlink()
    a_seg(folder / "seg", {1: a_box(low=2, high=11)}, [a_segment(1, KIDNEY)])
    assert run(project, folder).images == 1
    (second,) = rows_of(project)
    assert (second["image_id"], second["pixels_sha256"], second["label_map_values"]) == (first["image_id"], first["pixels_sha256"], '{"1": "Kidney"}')
    assert stored_label_map(project, second).sum() > label_map.sum()
    (folder / "seg" / "seg.dcm").unlink()
    run(project, folder)
    (third,) = rows_of(project)
    assert third["label_map_offset"] is third["label_map_sha256"] is third["label_map_values"] is None


def test_a_segmentation_that_comes_before_its_series_waits_for_it(tmp_path: Path) -> None:
    """It is quarantined until the series is there, and read again then; one without reference, and a report, have their own codes."""
    folder, project = tmp_path / "in", Project(tmp_path / "p")
    a_seg(folder, {1: a_box()}, [a_segment(1, LIVER)])
    a_seg(folder, {1: a_box()}, [a_segment(1, LIVER)], name="lost.dcm", ReferencedSeriesSequence=None)
    a_dicom(folder / "sr", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    report = run(project, folder)
    assert (report.quarantined, report.skipped, report.codes) == (2, 1, {"NO_REFERENCE": 2, "REPORT": 1})
    a_series(folder / "ct")
    report = run(project, folder)
    assert (report.kept, report.codes) == (6, {"NO_REFERENCE": 1, "REPORT": 1})
    (row,) = rows_of(project)
    assert row["label_map_values"] == '{"1": "Liver"}'


def test_a_film_gives_the_frames_that_the_source_asks_for(tmp_path: Path) -> None:
    """None, the middle one, or each as an image; a changed wish reads the file again."""
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 16), dtype=np.uint8)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": frames.tobytes(), "NumberOfFrames": 5, "BurnedInAnnotation": "NO"}
    folder, project = tmp_path / "in", Project(tmp_path / "p")
    an_xray(folder, SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", Modality="US", **eight)
    assert run(project, folder).codes == {"MULTIFRAME": 1}
    assert run(project, folder, frames="middle").images == 1
    report = run(project, folder, frames="all")
    assert (report.kept, report.images) == (1, 5)
    assert run(project, folder, frames="all").reused_files == 1


def test_a_release_gives_the_label_map_back(tmp_path: Path) -> None:
    """From the shard of the version, on the grid of the image; the card counts the structures."""
    folder = tmp_path / "in"
    a_series(folder / "ct")
    a_seg(folder, {1: a_box()}, [a_segment(1, LIVER)])
    (tmp_path / "p").mkdir()
    project = a_project(tmp_path / "p", a_manifest(0))
    run(project, folder)
    rows = select_rows(read_manifest(project.manifest), "none").with_columns(split=pl.lit("train"))
    meta = {"name": "x", "description": "", "licence": "none", "recipe_sha256": "0" * 64, "code_commit": "0" * 40}
    build_release(project, rows, "data-v1", None, meta)
    (row,) = read_manifest(project.data / "manifest.parquet").to_dicts()
    with ShardReader(project.released_shards) as shards:
        label_map = decode(shards.read(Place(row["shard"], row["label_map_offset"], row["label_map_size_bytes"])), ".nii.gz")
    assert label_map.shape == (row["slices"], row["rows"], row["columns"])
    assert "| Liver | 1 | 1 |" in (project.data / "card.md").read_text()
    track_and_tag(project, "data-v1", "first")
    with open_version(project, "data-v1") as version:
        stored = version.manifest().row(0, named=True)
        np.testing.assert_array_equal(version.label_map(stored), label_map)
        assert check_stored_files(version.manifest(), version.read).passed
