"""Ingest: every file is accounted for, cost follows change, and the same input gives the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import UsageError, WorkerLostError
from curation.ingest import IngestReport, ingest
from curation.intake import read_intake
from curation.manifest import read_manifest, write_manifest
from curation.merge import read_parts
from curation.pixels import SYNTHETIC_MARK, decode, encode_png, hash_pixels
from curation.project import Project
from curation.reading import crash_part
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from curation.shards import Place, ShardReader
from curation.sources.table import Lookup
from curation.units import Chunk, Unit, UnitFile
from tests.builders import a_synthetic_record
from tests.curation_builders import a_nifti, a_picture, a_raster

KEY = b"k" * 32
SETTINGS = HarmonizeSettings(colour=ColourSettings(size_px=16))
REAL = Path(__file__).parents[3] / "shared" / "data"


class Here(Executor):
    """Runs every call at once in this process, and counts them."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` now."""
        self.calls += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def a_source(folder: Path, **changes: Any) -> SourceSettings:
    """Return a source of pictures in `folder`."""
    return SourceSettings(**{"name": "clinic", "kind": "raster", "path": folder, "modality": "XC", **changes})


def run(project: Project, *sources: SourceSettings, settings: HarmonizeSettings = SETTINGS, executor: Executor | None = None) -> IngestReport:
    """Ingest, and check that the numbers add up, that every row's bytes are what it says, and that no two rows are the same image."""
    report = ingest(project, sources, settings, KEY, executor or Here())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    rows = read_manifest(project.manifest)
    with ShardReader(*project.shard_folders()) as shards:
        for row in rows.filter(pl.col("origin") == "acquired").iter_rows(named=True):
            pixels = decode(shards.read(Place(row["shard"], row["offset"], row["size_bytes"])), row["suffix"])
            assert hash_pixels(pixels, row["spacing_mm"]) == row["pixels_sha256"]
    return report


def fill(folder: Path, seeds: range | list[int]) -> Path:
    """Write one picture a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / f"{seed:03}.png").write_bytes(a_raster(a_picture(seed)))
    return folder


def write_table(path: Path, labels: dict[str, str], patients: dict[str, str] | None = None) -> Path:
    """Write a table of labels and patients by stem."""
    lines = [f"{stem},{label},{(patients or {}).get(stem, 'patient-' + stem)}" for stem, label in labels.items()]
    path.write_text("image,dx,who\n" + "\n".join(lines) + "\n")
    return path


def intake_of(project: Project) -> dict[str, tuple[str, str]]:
    """Return outcome and code by path."""
    return {row["path"]: (row["outcome"], row["code"]) for row in read_intake(project.intake).iter_rows(named=True)}


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


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    """Shards and manifest are equal for one process and for two."""
    folder = fill(tmp_path / "in", range(70))
    one, two = Project(tmp_path / "one"), Project(tmp_path / "two")
    run(one, a_source(folder))
    with ProcessPoolExecutor(2) as executor:
        run(two, a_source(folder), executor=executor)
    assert one.manifest.read_bytes() == two.manifest.read_bytes()
    assert [path.name for path in one.working_shards.iterdir()] == [path.name for path in two.working_shards.iterdir()]


def test_a_deleted_workspace_comes_back(tmp_path: Path) -> None:
    """From the sources, with the same rows."""
    folder = fill(tmp_path / "in", range(3))
    project = Project(tmp_path / "p")
    run(project, a_source(folder))
    rows = read_manifest(project.manifest)
    shutil.rmtree(project.working_shards)
    run(project, a_source(folder))
    assert read_manifest(project.manifest).equals(rows)
    shutil.rmtree(project.workspace)
    run(project, a_source(folder))
    assert read_manifest(project.manifest).equals(rows)


def test_what_was_released_comes_back_without_a_workspace(tmp_path: Path) -> None:
    """The released manifest stands in for the working one: splits stay, and no image is stored twice."""
    folder = fill(tmp_path / "in", range(3))
    project = Project(tmp_path / "p")
    run(project, a_source(folder))
    shutil.copytree(project.working_shards, project.released_shards)
    released = read_manifest(project.manifest).with_columns(split=pl.lit("val"))
    write_manifest(released, project.data / "manifest.parquet")
    shutil.rmtree(project.workspace)
    assert run(project, a_source(folder)).new_images == 0
    assert read_manifest(project.manifest).equals(released)
    assert not project.working_shards.exists()


def test_a_file_that_kills_its_reader_goes_to_quarantine(tmp_path: Path) -> None:
    """What the parent writes in the name of a dead worker is read like any other part."""
    path = fill(tmp_path / "in", [1]) / "001.png"
    file = UnitFile("001.png", path, path.stat().st_size, path.stat().st_mtime_ns, None, Lookup())
    chunk = Chunk("chunk", (Unit("clinic", "raster", "001.png", (file,)),), SETTINGS, KEY, tmp_path / "parts")
    files, rows = read_parts(chunk.folder, [crash_part(chunk, WorkerLostError("CRASHED", "reading it kills the process"))])
    assert [(told["outcome"], told["code"], told["sha256"] is not None) for told in files] == [("quarantined", "CRASHED", True)]
    assert rows.is_empty()


BAD = {
    "empty.png": (b"", "EMPTY"),
    "half.png": (a_raster(a_picture(1, 64))[:3000], "TRUNCATED"),
    "text.png": (b"hello", "BAD_MAGIC"),
    "readme.md": (b"hello", "NOT_AN_IMAGE"),
    "scan.bin": (bytes(128) + b"DICM" + bytes(200), "OTHER_KIND"),
}


def test_bad_files_have_codes_and_do_not_stop_the_run(tmp_path: Path) -> None:
    """Quarantine names path, hash, code, sentence, stage and time."""
    folder = fill(tmp_path / "in", [1])
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    project = Project(tmp_path / "p")
    report = run(project, a_source(folder))
    assert {path: code for path, (_, code) in intake_of(project).items() if code} == {name: code for name, (_, code) in BAD.items()}
    assert (report.kept, report.quarantined, report.skipped) == (1, 3, 2)
    lines = [json.loads(line) for line in (project.quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == ["empty.png", "half.png", "text.png"]
    assert all(set(line) == {"source", "path", "sha256", "code", "reason", "stage", "time"} for line in lines)
    assert all(len(line["sha256"]) == 64 for line in lines)


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


def test_a_missing_source_names_its_key(tmp_path: Path) -> None:
    """Nothing is removed because a disk is not mounted."""
    with pytest.raises(UsageError, match="source 'clinic': path"):
        ingest(Project(tmp_path / "p"), (a_source(tmp_path / "nowhere"),), SETTINGS, KEY, Here())


@pytest.mark.parametrize("left", [[], ["NOT MOUNTED.txt"]])
def test_a_source_that_is_suddenly_empty_wipes_nothing(tmp_path: Path, left: list[str]) -> None:
    """Planted: the mount point is there without the disk, also with a note in it, also after the workspace was deleted. Out of the recipe means out."""
    source, other = a_source(fill(tmp_path / "in", range(3))), a_source(fill(tmp_path / "other", [9]), name="other")
    project = Project(tmp_path / "p")
    run(project, source, other)
    before = project.manifest.read_bytes()
    shutil.move(source.path, tmp_path / "away")
    source.path.mkdir()
    for name in left:
        (source.path / name).touch()
    with pytest.raises(UsageError, match="source 'clinic': path: 3 images"):
        run(project, source, other)
    assert project.manifest.read_bytes() == before
    assert run(project, other).removed_images == 3


def test_an_empty_source_does_not_wipe_what_was_released(tmp_path: Path) -> None:
    """Planted: the workspace was deleted too, so only the released manifest knows that there were images."""
    source = a_source(fill(tmp_path / "in", range(3)))
    project = Project(tmp_path / "p")
    run(project, source)
    shutil.copytree(project.working_shards, project.released_shards)
    shutil.copy(project.manifest, project.data / "manifest.parquet")
    shutil.rmtree(project.workspace)
    shutil.rmtree(source.path)
    source.path.mkdir()
    with pytest.raises(UsageError, match="3 images came from it"):
        run(project, source)


def test_a_folder_that_may_not_be_read_any_more_wipes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: one folder of two fails to list, as on a share that is half gone (root may read everything, so the call itself fails)."""
    source = a_source(tmp_path / "in")
    fill(source.path / "a", range(2))
    fill(source.path / "b", range(2, 4))
    project = Project(tmp_path / "p")
    run(project, source)
    before, scan = project.manifest.read_bytes(), os.scandir

    def fail(folder: str) -> Any:
        if str(folder).endswith("/in/b"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(UsageError, match="2 files in it gave images"):
        run(project, source)
    assert project.manifest.read_bytes() == before


def test_a_source_whose_files_are_all_bad_now_is_quarantined_not_refused(tmp_path: Path) -> None:
    """The files are there, so quarantine tells what is wrong with them."""
    source = a_source(fill(tmp_path / "in", range(2)))
    project = Project(tmp_path / "p")
    run(project, source)
    for path in source.path.iterdir():
        path.write_bytes(b"hello")
    assert run(project, source).codes == {"BAD_MAGIC": 2}


def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the disk fails once; neither size nor time tell that it was repaired (root may open everything, so the call itself fails)."""
    source = a_source(fill(tmp_path / "in", range(2)))
    project, opened = Project(tmp_path / "p"), Path.open

    def fail(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "001.png":
            raise OSError(5, "Input/output error")
        return opened(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        assert run(project, source).codes == {"UNREADABLE": 1}
    report = run(project, source)
    assert (report.kept, report.quarantined, report.reused_files) == (2, 0, 1)


@pytest.mark.parametrize("path", [".", "workspace", "workspace/review/images", "data"])
def test_a_source_that_holds_the_project_s_own_images_is_refused(tmp_path: Path, path: str) -> None:
    """Else rendered and synthetic images came back as if a hospital had sent them."""
    fill(tmp_path / path, [1])
    with pytest.raises(UsageError, match="source 'clinic': path: holds the project's own"):
        ingest(Project(tmp_path), (a_source(tmp_path / path),), SETTINGS, KEY, Here())


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


SCRIPT = """
import sys, time
from concurrent.futures import Executor, Future
from pathlib import Path
from curation.ingest import ingest
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings

class Slow(Executor):
    done = 0

    def submit(self, fn, /, *args):
        future = Future()
        future.set_result(fn(*args))
        self.done += 1
        print("chunk", flush=True)
        if self.done == 2:
            time.sleep(600)  # in the middle, until it is killed
        return future

source = SourceSettings(name="clinic", kind="raster", path=Path(sys.argv[2]), modality="XC")
ingest(Project(Path(sys.argv[1])), (source,), HarmonizeSettings(colour=ColourSettings(size_px=16)), b"k" * 32, Slow())
"""


def test_after_kill_9_the_same_run_goes_on(tmp_path: Path) -> None:
    """Parts that were done are not done again, and the result is that of a run that nobody killed."""
    folder = fill(tmp_path / "in", range(130))
    killed, whole = Project(tmp_path / "killed"), Project(tmp_path / "whole")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(killed.root), str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = {path: path.stat().st_mtime_ns for path in (killed.workspace / "parts").glob("*.json")}
    assert len(done) >= 2
    assert not killed.manifest.exists()
    time.sleep(0.01)
    seen: dict[Path, int] = {}
    ingest(killed, (a_source(folder),), SETTINGS, KEY, Here(), lambda *_: seen.update({path: path.stat().st_mtime_ns for path in done}))
    assert seen == done
    run(whole, a_source(folder))
    assert killed.manifest.read_bytes() == whole.manifest.read_bytes()
    assert not (killed.workspace / "parts").exists()


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
