"""A release of a clean project, and a planted violation for each invariant that the gate must refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from curation.errors import GateError
from curation.ledger import read_ledger
from curation.manifest import read_manifest, write_manifest
from curation.pixels import encode_png
from curation.project import Project
from curation.shards import write_shards
from curation.versions import open_version
from synthesis.candidates import MARK
from tests.builders import pixels_of
from tests.validation.builders import META, TRAINING, a_ready_project, answer, change, digest, issue, learn_from, make_release
from tests.validation.release_builders import ACQUIRED, Plant, ids, state
from validation.recipe import ReleaseSettings
from validation.release import release

SYNTHETIC = pl.col("origin") == "synthetic"


def store_again(project: Project, image_id: str, mark: dict[str, str] | None) -> None:
    """Store one image anew, with other text chunks."""
    rows = read_manifest(project.manifest)
    row = rows.row(by_predicate=pl.col("image_id") == image_id, named=True)
    label = "melanoma" if row["origin"] == "synthetic" else row["label"]
    content = encode_png(pixels_of(image_id, label), mark)
    place = write_shards([(f"{image_id}.png", content)], project.working_shards)[f"{image_id}.png"]
    moved = [pl.when(pl.col("image_id") == image_id).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in place._asdict().items()]
    write_manifest(rows.with_columns(moved), project.manifest)


def synthetic_in_test(project: Project) -> None:
    """A synthetic image stands in test."""
    change(project, "split", "test", pl.col("image_id") == ids(project, SYNTHETIC)[0])


def generator_saw_test(project: Project) -> None:
    """The generator was trained on a test image too."""
    learn_from(project, ids(project, ACQUIRED & pl.col("split").is_in(["train", "test"])))


def generator_unknown(project: Project) -> None:
    """Nobody knows what the generator was trained on."""
    shutil.rmtree(project.models)


def parent_in_test(project: Project) -> None:
    """A synthetic image was made from a test image."""
    change(project, "parents", ids(project, pl.col("split") == "test")[:1], SYNTHETIC)


def patient_on_two_sides(project: Project) -> None:
    """One image of a train patient stands in test."""
    change(project, "split", "test", pl.col("image_id") == ids(project, ACQUIRED & (pl.col("split") == "train"))[0])


def equal_pixels_on_two_sides(project: Project) -> None:
    """A test image has the pixels of a train image."""
    rows = read_manifest(project.manifest)
    same = rows.filter(ACQUIRED & (pl.col("split") == "train"))["pixels_sha256"][0]
    change(project, "pixels_sha256", same, pl.col("image_id") == ids(project, ACQUIRED & (pl.col("split") == "test"))[0])


def other_generator_saw_val(project: Project) -> None:
    """A generator that made none of the released images was fitted on val."""
    folder = project.models / "generator-xray-2d"
    folder.mkdir(parents=True)
    record = {"training_manifest_sha256": digest("other"), "image_ids": ids(project, pl.col("split") == "val")}
    (folder / "training_rows.json").write_text(json.dumps(record))


def raw_uid_in_attributes(project: Project) -> None:
    """A column of the user holds a scanner's UID."""
    change(project, "attributes", '{"scan": "1.2.840.113619.2.55.3"}', pl.col("image_id") == ids(project, ACQUIRED)[3])


def address_in_text(project: Project) -> None:
    """A report names a physician's e-mail address."""
    change(project, "text", "please call dr.weber@clinic.example", pl.col("image_id") == ids(project, ACQUIRED)[3])


def date_in_text(project: Project) -> None:
    """A report holds a date."""
    change(project, "text", "compared with 12.03.2019", pl.col("image_id") == ids(project, ACQUIRED)[3])


def path_in_attributes(project: Project) -> None:
    """A column of the user holds a path of the source."""
    change(project, "attributes", '{"file": "/archive/weber_anna/1.dcm"}', pl.col("image_id") == ids(project, ACQUIRED)[3])


def name_in_png(project: Project) -> None:
    """A stored image of a patient has a text chunk."""
    store_again(project, ids(project, ACQUIRED)[5], {"PatientName": "Weber"})


def not_the_class_it_was_made_for(project: Project) -> None:
    """A synthetic image was accepted and then labelled as something else."""
    change(project, "label", "nevus", SYNTHETIC)


def accepted_by_nobody(project: Project) -> None:
    """A synthetic image counts as accepted without a reader."""
    change(project, "readers", None, SYNTHETIC)


def screen_not_passed(project: Project) -> None:
    """A synthetic image failed its screen and is there all the same."""
    change(project, "screens", '{"memorization": {"passed": false}}', SYNTHETIC)


def not_screened(project: Project) -> None:
    """A synthetic image went through no screen."""
    change(project, "screens", "{}", SYNTHETIC)


def power_unknown(project: Project) -> None:
    """A synthetic image passed a memorization screen of which nobody knows what it catches."""
    change(project, "screens", '{"memorization": {"passed": true, "power_class": null}}', SYNTHETIC)


def power_too_low(project: Project) -> None:
    """A synthetic image passed a memorization screen that missed every second planted copy."""
    change(project, "screens", '{"memorization": {"passed": true, "power": 0.95, "power_class": 0.5}}', SYNTHETIC)


def not_marked(project: Project) -> None:
    """The file of a synthetic image does not say that it is synthetic."""
    store_again(project, ids(project, SYNTHETIC)[0], None)


def file_without_reason(project: Project) -> None:
    """A quarantined file has no reason."""
    intake = pl.read_parquet(project.intake)
    intake.with_columns(reason=pl.when(pl.col("outcome") == "quarantined").then(None).otherwise("reason")).write_parquet(project.intake)


def image_lost(project: Project) -> None:
    """An image of a kept file is not in the manifest."""
    write_manifest(read_manifest(project.manifest).slice(1), project.manifest)


def file_not_counted(project: Project) -> None:
    """The last ingest run found one file more than the table accounts for."""
    project.runs.mkdir(parents=True, exist_ok=True)
    found = pl.read_parquet(project.intake).height + 1
    (project.runs / "20261121T100000Z-ingest.json").write_text(json.dumps({"report": {"found": found}}))


def unknown_task(project: Project) -> None:
    """An annotation answers a task that nobody issued."""
    answer(project, ids(project, ACQUIRED)[0], 77, label="nevus")


def counted_twice(project: Project) -> None:
    """An annotation is there twice."""
    answer(project, ids(project, SYNTHETIC)[0], 0, label="melanoma")


def verdict_without_reader(project: Project) -> None:
    """A real image counts as confirmed, and nobody looked at it."""
    where = pl.col("image_id") == ids(project, ACQUIRED)[0]
    change(project, "verdict", "confirmed", where)
    change(project, "readers", 1, where)


def readers_said_no(project: Project) -> None:
    """The reader called the image unusable later, and the manifest still says accepted."""
    image_id = ids(project, SYNTHETIC)[0]
    answer(project, image_id, 0, label="melanoma", usable=False, updated_at="2026-11-21T11:00:00Z")


def readers_are_split(project: Project) -> None:
    """A second reader says no: without a majority there is no verdict, and the manifest still says accepted."""
    answer(project, ids(project, SYNTHETIC)[0], 50, label="melanoma", usable=False, reader=digest("another reader")[:20])


def answer_taken_back(project: Project) -> None:
    """The only reader took the answer back, and the manifest still says accepted."""
    answer(project, ids(project, SYNTHETIC)[0], 0, label="melanoma", cancelled=True, updated_at="2026-11-21T11:00:00Z")


def readers_gave_another_label(project: Project) -> None:
    """A real image counts as relabelled, but not with the label that its reader gave."""
    image_id = ids(project, ACQUIRED & (pl.col("label") == "nevus"))[0]
    issue(project, image_id)
    answer(project, image_id, 60, label="melanoma")
    for column, value in (("verdict", "relabelled"), ("readers", 1), ("label_source", "expert")):
        change(project, column, value, pl.col("image_id") == image_id)


def age_of_an_old_patient(project: Project) -> None:
    """A value breaks the contract."""
    change(project, "age_years", 104.0, pl.col("image_id") == ids(project, ACQUIRED)[0])


PLANTED: tuple[tuple[Plant, str], ...] = (
    (synthetic_in_test, "1a"), (generator_saw_test, "1b"), (generator_unknown, "1b"), (parent_in_test, "1b"),
    (patient_on_two_sides, "2 "), (equal_pixels_on_two_sides, "2 "), (other_generator_saw_val, "3 "),
    (raw_uid_in_attributes, "4a"), (address_in_text, "4a"), (date_in_text, "4a"), (path_in_attributes, "4a"), (name_in_png, "4c"),
    (not_the_class_it_was_made_for, "5a"), (accepted_by_nobody, "5a"), (screen_not_passed, "5b"), (not_screened, "5b"), (not_marked, "5c"),
    (power_unknown, "5d"), (power_too_low, "5d"),
    (file_without_reason, "6 "), (image_lost, "6 "), (file_not_counted, "6 "),
    (unknown_task, "8 "), (counted_twice, "8 "), (verdict_without_reader, "8 "), (readers_said_no, "8 "), (readers_are_split, "8 "),
    (answer_taken_back, "8 "), (readers_gave_another_label, "8 "), (age_of_an_old_patient, "contract: ranges"),
)  # fmt: skip


@pytest.mark.parametrize(("plant", "check"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_the_gate_refuses_a_planted_violation(tmp_path: Path, plant: Plant, check: str) -> None:
    """The check that guards the invariant fails, nothing is released, and data/, git and the ledger are as before."""
    project = a_ready_project(tmp_path, synthetic=2)
    plant(project)
    before = state(project)
    with pytest.raises(GateError) as refused:
        make_release(project)
    assert any(failure.startswith(check) for failure in refused.value.failures), refused.value.failures
    assert "Weber" not in str(refused.value)
    assert "weber" not in str(refused.value)
    assert state(project) == before
    assert not (project.root / "data.dvc").exists()


def test_a_clean_project_is_released_and_a_second_call_makes_no_version(tmp_path: Path) -> None:
    """All checks pass; the version holds its evidence; unchanged rows make no second version."""
    project = a_ready_project(tmp_path, synthetic=2)
    first = make_release(project)
    assert (first.version, first.parent, first.unchanged, first.images, first.added, first.removed) == ("data-v1", None, False, 26, 26, 0)
    assert all(check.passed for check in first.checks)
    with open_version(project, "data-v1") as version:
        assert {"evidence/checks.json", "evidence/intake.csv", "evidence/review.json", f"evidence/training-{TRAINING}.json"} <= set(version.release["files"])
        assert [check["name"] for check in json.loads(version.read_file("evidence/checks.json"))] == [check.name for check in first.checks]
        head = version.release["ledger_head"]
    assert [line["hash"] for line in read_ledger(project.ledger) if line["action"] == "released"] == [head]
    before = state(project)
    again = make_release(project)
    assert (again.version, again.unchanged, again.checks) == (None, True, ())
    assert state(project) == before


def test_a_changed_project_makes_the_next_version(tmp_path: Path) -> None:
    """Relabelling makes data-v2 with the same shards; removing an image counts as removed."""
    project = a_ready_project(tmp_path)
    make_release(project)
    shards = sorted(project.released_shards.iterdir())
    change(project, "label", "keratosis", pl.col("image_id") == ids(project, ACQUIRED)[0])
    second = make_release(project)
    assert (second.version, second.parent, second.added, second.removed) == ("data-v2", "data-v1", 0, 0)
    assert sorted(project.released_shards.iterdir()) == shards


def test_an_identifier_in_the_card_is_refused(tmp_path: Path) -> None:
    """The recipe's description goes onto the card, so it is looked at before anything is written."""
    project = a_ready_project(tmp_path)
    before = state(project)
    meta = META | {"description": "ask anna.weber@clinic.example"}
    with pytest.raises(GateError, match="4b") as refused:
        release(project, ReleaseSettings(), digest("recipe"), meta, "0" * 40)
    assert "weber" not in str(refused.value)
    assert state(project) == before


def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    """The recipe's demands are a gate too."""
    project = a_ready_project(tmp_path)
    change(project, "label", None, pl.col("label") == "nevus")
    with pytest.raises(GateError, match="least_labelled_share"):
        make_release(project, least_labelled_share=0.9)
    with pytest.raises(GateError, match="least_images"):
        make_release(project, least_images=1000)


def test_the_mark_that_is_looked_for_is_the_one_that_is_written() -> None:
    """Synthesis and the gate mean the same text chunk."""
    assert MARK == "Curaloop-Synthetic"
