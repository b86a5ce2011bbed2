"""Ingest: every file is accounted for, cost follows change, and the same input gives the same bytes."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.manifest import read_manifest, write_manifest
from curation.pixels import SYNTHETIC_MARK, encode_png
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings
from tests.builders import a_synthetic_record
from tests.curation.ingest_builders import Here, a_source, fill, intake_of, run, write_table
from tests.curation_builders import a_nifti, a_picture, a_raster

REAL = Path(__file__).parents[3] / "shared" / "data"


def test_a_row_has_what_table_and_pixels_say(tmp_path: Path) -> None:
    """The label is the source's, the patient is a pseudonym, the pixels have the target size."""
    folder = fill(tmp_path / "in", [1])
    table = write_table(tmp_path / "t.csv", {"001": "nevus"})
    project = Project(tmp_path / "p")
    run(project, a_source(folder, table=table, key="image", label="dx", patient="who", site="north"))
    (row,) = read_manifest(project.manifest).iter_rows(named=True)
    assert (row["label"], row["label_source"], row["site"], row["modality"]) == ("nevus", "source", "north", "XC")
    assert (row["rows"], row["columns"], row["channels"], row["ndim"], row["suffix"]) == (16, 16, 3, 2, ".png")
    assert "patient-001" not in json.dumps(row)


def test_a_second_run_does_nothing_and_changes_nothing(tmp_path: Path) -> None:
    """No worker is asked, no byte of the workspace changes."""
    folder = fill(tmp_path / "in", range(5))
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty.png").touch()
    (folder / "link.png").symlink_to(folder / "000.png")
    project = Project(tmp_path / "p")
    first = run(project, a_source(folder))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in project.workspace.rglob("*") if path.is_file()}
    executor = Here()
    second = run(project, a_source(folder), executor=executor)
    assert executor.calls == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in project.workspace.rglob("*") if path.is_file()} == before
    assert (first.new_images, second.new_images, second.reused_files) == (5, 0, 7)
    assert second.codes == {"EMPTY": 1, "LINK": 1, "NOT_AN_IMAGE": 1}


def test_a_touched_file_is_read_but_not_made_again(tmp_path: Path) -> None:
    """Another time, the same bytes: the outcome holds, and the new time is remembered."""
    folder = fill(tmp_path / "in", range(3))
    project = Project(tmp_path / "p")
    run(project, a_source(folder))
    manifest = project.manifest.read_bytes()
    os.utime(folder / "001.png", (1, 1))
    assert run(project, a_source(folder)).reused_files == 3
    assert project.manifest.read_bytes() == manifest
    executor = Here()
    run(project, a_source(folder), executor=executor)
    assert executor.calls == 0


def test_added_changed_and_removed_files_are_followed(tmp_path: Path) -> None:
    """What is new comes in, what is gone leaves, the rest stays where it lies."""
    folder = fill(tmp_path / "in", range(4))
    project = Project(tmp_path / "p")
    run(project, a_source(folder))
    fill(folder, [9])
    (folder / "000.png").unlink()
    (folder / "001.png").write_bytes(a_raster(a_picture(77)))
    report = run(project, a_source(folder))
    assert (report.images, report.new_images, report.removed_images, report.reused_files) == (4, 2, 2, 2)
    fresh = Project(tmp_path / "q")
    run(fresh, a_source(folder))
    columns = ["image_id", "patient_id", "pixels_sha256", "label", "recipe_sha256"]
    assert read_manifest(project.manifest).select(columns).equals(read_manifest(fresh.manifest).select(columns))


def test_a_copy_that_was_touched_takes_over_when_the_first_goes(tmp_path: Path) -> None:
    """Found by the property below: equal bytes alone do not say that nothing is to be done."""
    project, sources = Project(tmp_path / "p"), [a_source(tmp_path / name, name=name) for name in ("one", "two")]
    for source in sources:
        fill(source.path, [8 + len(source.name)])
        (source.path / "a.png").write_bytes(a_raster(a_picture(1, 8)))
    run(project, *sources)
    before = set(read_manifest(project.manifest)["image_id"])
    (sources[0].path / "a.png").unlink()
    os.utime(sources[1].path / "a.png", (7, 7))
    run(project, *sources)
    assert set(read_manifest(project.manifest)["image_id"]) == before


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_any_history_ends_where_a_fresh_run_begins(tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int, bool]]) -> None:
    """Files come, change, become equal to others and go, in two sources: the manifest is that of a first run over what is there."""
    root = tmp_path_factory.mktemp("history")
    project = Project(root / "p")
    sources = [a_source(root / name, name=name) for name in ("one", "two")]
    for source in sources:
        fill(source.path, [8 + len(source.name)])  # a source that gives nothing any more would be refused
    for step, (name, seed, second) in enumerate(history):
        path = sources[second].path / f"{name}.png"
        path.write_bytes(a_raster(a_picture(seed, 8))) if seed else path.unlink(missing_ok=True)
        if path.exists():
            os.utime(path, (step, step))
        if step % 3 == 2:
            run(project, *sources)
    run(project, *sources)
    fresh = Project(root / "q")
    run(fresh, *sources)
    columns = ["image_id", "patient_id", "source", "pixels_sha256"]
    assert read_manifest(project.manifest).select(columns).equals(read_manifest(fresh.manifest).select(columns))
    assert intake_of(project) == intake_of(fresh)


def test_equal_pixels_are_kept_once_and_the_second_file_takes_over(tmp_path: Path) -> None:
    """PNG and TIFF of one picture are one image; when the first disappears, the second has its patient."""
    folder = fill(tmp_path / "in", [1])
    (folder / "copy.tif").write_bytes(a_raster(a_picture(1), "TIFF"))
    project = Project(tmp_path / "p")
    report = run(project, a_source(folder))
    assert (report.kept, report.duplicates, report.images) == (1, 1, 1)
    first = read_manifest(project.manifest)
    (folder / "001.png").unlink()
    report = run(project, a_source(folder))
    assert (report.kept, report.duplicates, report.images, report.removed_images) == (1, 0, 1, 0)
    second = read_manifest(project.manifest)
    assert first["image_id"][0] == second["image_id"][0]
    assert first["patient_id"][0] != second["patient_id"][0]


def test_the_order_of_the_sources_decides_between_equal_images(tmp_path: Path) -> None:
    """Also when it changes after the first run."""
    sources = [a_source(fill(tmp_path / name, [1]), name=name) for name in ("one", "two")]
    project = Project(tmp_path / "p")
    run(project, *sources)
    assert read_manifest(project.manifest)["source"].to_list() == ["one"]
    run(project, *sources[::-1])
    assert read_manifest(project.manifest)["source"].to_list() == ["two"]


def test_equal_pixels_with_different_labels_have_no_label(tmp_path: Path) -> None:
    """Nobody is believed; also when the second file comes later; a repaired table repairs the row."""
    folder, table = fill(tmp_path / "in", [1]), write_table(tmp_path / "t.csv", {"001": "nevus", "copy": "melanoma"})
    source = a_source(folder, table=table, key="image", label="dx")
    project = Project(tmp_path / "p")
    run(project, source)
    (folder / "copy.png").write_bytes((folder / "001.png").read_bytes())
    run(project, source)
    (row,) = read_manifest(project.manifest).iter_rows(named=True)
    assert (row["label"], row["label_source"], row["route"]) == (None, None, "label_conflict")
    write_table(table, {"001": "nevus", "copy": "nevus"})
    run(project, source)
    (row,) = read_manifest(project.manifest).iter_rows(named=True)
    assert (row["label"], row["label_source"], row["route"]) == ("nevus", "source", None)


def test_a_changed_label_touches_no_shard_and_no_other_file(tmp_path: Path) -> None:
    """Only the file whose row of the table changed is read; its pixels stay where they are; what experts said stays said."""
    folder, table = fill(tmp_path / "in", range(3)), write_table(tmp_path / "t.csv", {"000": "nevus", "001": "nevus", "002": "nevus"})
    source = a_source(folder, table=table, key="image", label="dx", patient="who")
    project = Project(tmp_path / "p")
    run(project, source)
    rows = read_manifest(project.manifest).with_columns(split=pl.lit("train"))
    judged = rows["image_id"][0]
    rows = rows.with_columns(
        label=pl.when(pl.col("image_id") == judged).then(pl.lit("melanoma")).otherwise("label"),
        label_source=pl.when(pl.col("image_id") == judged).then(pl.lit("expert")).otherwise("label_source"),
    )
    write_manifest(rows, project.manifest)
    write_table(table, {"000": "wart", "001": "wart", "002": "nevus"})
    report = run(project, source)
    after = read_manifest(project.manifest)
    assert report.reused_files == 1
    assert after.select("image_id", "shard", "offset").equals(rows.select("image_id", "shard", "offset"))
    assert after["split"].to_list() == ["train"] * 3
    assert after.filter(pl.col("image_id") == judged)["label"].to_list() == ["melanoma"]
    assert set(after["label"]) <= {"wart", "nevus", "melanoma"}


def test_another_recipe_makes_images_again_under_the_same_ids(tmp_path: Path) -> None:
    """Ids come from the source's pixels; synthetic rows are nobody's business here."""
    folder = fill(tmp_path / "in", range(3))
    project = Project(tmp_path / "p")
    run(project, a_source(folder))
    first = read_manifest(project.manifest)
    synthetic = pl.DataFrame([a_synthetic_record().model_dump()], schema=first.schema)
    write_manifest(pl.concat([first, synthetic]), project.manifest)
    report = run(project, a_source(folder), settings=HarmonizeSettings(colour=ColourSettings(size_px=20)))
    second = read_manifest(project.manifest).filter(pl.col("origin") == "acquired")
    assert report.new_images == 0
    assert second["image_id"].equals(first["image_id"])
    assert second["rows"].to_list() == [20] * 3
    assert read_manifest(project.manifest).filter(pl.col("origin") == "synthetic").equals(synthetic)


def test_a_patient_s_identifier_in_a_row_is_a_leak(tmp_path: Path) -> None:
    """A mapped column that repeats the identifier goes to quarantine, not into the manifest."""
    folder = fill(tmp_path / "in", [1])
    (tmp_path / "t.csv").write_text("image,dx,who\n001,seen: Doe-1234,doe-1234\n".replace("seen: ", "of "))
    project = Project(tmp_path / "p")
    report = run(project, a_source(folder, table=tmp_path / "t.csv", key="image", label="dx", patient="who"))
    assert report.codes == {"IDENTITY_LEAK": 1}
    assert read_manifest(project.manifest).is_empty()


def test_volumes_of_one_subject_share_a_patient_and_labels_are_skipped(tmp_path: Path) -> None:
    """BIDS names say who it is; sidecars are no images."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("sub-01_T1w", "sub-01_T2w", "sub-02_T1w"):
        (folder / f"{name}.nii.gz").write_bytes(a_nifti(rng.integers(0, 999, (6, 5, 4), np.int16), packed=True))
    (folder / "sub-01_seg.nii.gz").write_bytes(a_nifti(np.ones((6, 5, 4), np.int16), packed=True))
    (folder / "sub-01_T1w.json").write_text("{}")
    project = Project(tmp_path / "p")
    report = run(project, a_source(folder, kind="nifti", modality="MR"))
    assert report.codes == {"LABEL_MAP": 1, "SIDECAR": 1}
    rows = read_manifest(project.manifest)
    assert rows["patient_id"].n_unique() == 2
    assert rows["value_unit"].unique().to_list() == ["z"]


def test_a_marked_synthetic_image_is_never_an_acquired_one(tmp_path: Path) -> None:
    """Planted: a picture from a released shard lies in the hospital's folder."""
    folder = fill(tmp_path / "in", [1])
    (folder / "made.png").write_bytes(encode_png(a_picture(2), {SYNTHETIC_MARK: "YES"}))
    project = Project(tmp_path / "p")
    assert run(project, a_source(folder)).codes == {"SYNTHETIC": 1}


def test_sources_that_share_patient_ids_share_their_patients(tmp_path: Path) -> None:
    """Two archives of one hospital, one patient: one pseudonym, so that no split can tear the patient apart; also when the recipe says it later."""
    sources = []
    for name, seed in (("one", 1), ("two", 2)):
        table = write_table(tmp_path / f"{name}.csv", {f"{seed:03}": "nevus"}, {f"{seed:03}": "MRN-4711"})
        sources.append(a_source(fill(tmp_path / name, [seed]), name=name, table=table, key="image", label="dx", patient="who"))
    project = Project(tmp_path / "p")
    run(project, *sources)
    assert read_manifest(project.manifest)["patient_id"].n_unique() == 2
    run(project, *(source.model_copy(update={"patients": "hospital"}) for source in sources))
    assert read_manifest(project.manifest)["patient_id"].n_unique() == 1
    assert "patients" not in sources[0].model_dump()  # a recipe that does not say it keeps its hash


@pytest.mark.real_data
def test_real_images_with_their_table(tmp_path: Path) -> None:
    """The first 40 images of HAM10000: all kept, labelled, grouped by lesion, and nothing to do the second time."""
    if not REAL.is_dir():
        pytest.skip(f"real images are not here: {REAL}")
    folder = tmp_path / "in"
    folder.mkdir()
    for path in sorted((REAL / "ham10000-128" / "images").iterdir())[:40]:
        shutil.copy2(path, folder)
    table = REAL / "ham10000-128" / "metadata.csv"
    columns = {"age_years": "age", "sex": "sex", "body_part": "localization"}
    source = a_source(folder, table=table, key="image_id", label="dx", patient="lesion_id", columns=columns)
    project = Project(tmp_path / "p")
    report = run(project, source)
    assert (report.kept + report.duplicates, report.quarantined) == (40, 0)
    rows = read_manifest(project.manifest)
    assert rows["label"].null_count() == 0
    assert set(rows["sex"].drop_nulls()) <= {"F", "M"}
    assert run(project, source).reused_files == 40
