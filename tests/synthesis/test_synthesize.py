"""The stage, from working manifest to working manifest."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from curation.errors import UsageError
from curation.manifest import read_manifest, write_manifest
from curation.pixels import decode, hash_pixels, read_png_mark
from curation.progress import silent
from curation.project import Project
from curation.shards import Place, ShardReader
from synthesis.engines.engine import Wanted
from synthesis.engines.loading import load_engine
from synthesis.recipe import LatentSettings, PlanSettings, ScreenSettings
from synthesis.synthesize import synthesize
from synthesis.training_set import hash_rows, make_square, read_training_rows, usable_rows
from tests.synthesis.builders import CLASSES, a_gap_table, a_phantom, a_phantom_project, embed_phantoms, tiny_generator, tiny_synthesis


def candidates_of(project: Project) -> pl.DataFrame:
    """Return the synthetic rows of the working manifest."""
    return read_manifest(project.manifest).filter(pl.col("origin") == "synthetic")


def test_candidates_come_into_the_working_manifest_with_their_provenance(tmp_path: Path) -> None:
    """Everything that is needed to remake and to judge an image is in its row and in its file."""
    project = a_phantom_project(tmp_path)
    before = read_manifest(project.manifest)
    report = synthesize(project, tiny_synthesis(), a_gap_table(missing=4), embed_phantoms)
    made = candidates_of(project)
    assert (report.skipped, report.requested, report.sampled, made.height) == ("", {"disc": 4}, 4, 4)
    assert report.train_images == usable_rows(before, "colour-2d", "train").height
    assert set(made["split"]) == {"train"}
    assert set(made["label"]) == {"disc"}
    assert set(made["label_source"]) == {"condition"}
    assert made["group_id"].n_unique() == 4
    assert (
        made.select("generator_sha256", "training_manifest_sha256", "condition", "seed", "guidance_scale", "steps", "parents", "screens")
        .null_count()
        .sum_horizontal()
        .item()
        == 0
    )
    assert sorted(made["seed"]) == [0, 1, 2, 3]
    assert set(made["training_manifest_sha256"]) == {hash_rows(usable_rows(before, "colour-2d", "train"))}
    with ShardReader(project.working_shards) as shards:
        for row in made.iter_rows(named=True):
            content = shards.read(Place(row["shard"], row["offset"], row["size_bytes"]))
            pixels = decode(content, ".png")
            assert read_png_mark(content) == {"Curaloop-Synthetic": "YES", "generator": row["generator_sha256"][:16], "seed": str(row["seed"])}
            assert hash_pixels(pixels) == row["pixels_sha256"]
            assert row["image_id"] == row["pixels_sha256"][:32]
            assert pixels.shape == (16, 16, 3)
    assert read_manifest(project.manifest).filter(pl.col("origin") == "acquired").equals(before)


def test_a_round_says_what_the_recipe_asks_for_and_cannot_have(tmp_path: Path) -> None:
    """A class too many, and an autoencoder of two steps that shrinking beats: both in the report and in the record of the round."""
    project = a_phantom_project(tmp_path)
    latent = LatentSettings(channels=(8, 16), latent_channels=3, steps=2, batch_size=4)
    settings = tiny_synthesis(classes=2, fidelity=False, generator=tiny_generator(engine="latent", latent=latent, steps=2))
    report = synthesize(project, settings, a_gap_table(missing=2), embed_phantoms)
    assert report.rebuilding is not None
    assert report.rebuilding.is_worse
    assert [warning.partition(" ")[0] for warning in report.warnings] == ["synthesis.classes", "the"]
    kept = json.loads(next(project.models.glob("generator-*/round-0.json")).read_text())
    assert kept["warnings"] == list(report.warnings)
    assert kept["rebuilding"]["autoencoder_db"] == report.rebuilding.autoencoder_db < report.rebuilding.shrunk_db == kept["rebuilding"]["shrunk_db"]


def test_candidates_are_drawn_as_the_class_they_are_labelled(tmp_path: Path) -> None:
    """Stripes are class 1 of the generator: the stored image is what that class and seed give, and class 0 gives another."""
    project, settings = a_phantom_project(tmp_path), tiny_synthesis()
    synthesize(project, settings, a_gap_table("stripes", missing=1), embed_phantoms)
    made = candidates_of(project)
    assert made["label"].to_list() == ["stripes"]
    folder = next(project.models.glob("generator-*"))
    engine, seed = load_engine(folder, settings.sampling), made["seed"].item()
    drawn = [hash_pixels(engine.sample([Wanted({"label": label}, seed)], silent)[0]) for label in CLASSES]
    assert drawn[1] == made["pixels_sha256"].item() != drawn[0]


def test_the_generator_sees_train_rows_of_real_patients_only(tmp_path: Path) -> None:
    """What it was trained on is on record, and holds no val, test, unlabelled, duplicate, rejected or synthetic image."""
    project = a_phantom_project(tmp_path)
    rows = read_manifest(project.manifest).with_columns(
        verdict=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("rejected")),
        label=pl.when(pl.int_range(pl.len()) == 1).then(None).otherwise("label"),
        duplicate_group=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("f" * 32)),
    )
    write_manifest(rows, project.manifest)
    synthesize(project, tiny_synthesis(), a_gap_table(), embed_phantoms)
    record = read_training_rows(project)[candidates_of(project)["training_manifest_sha256"][0]]
    excluded = set(rows[:3]["image_id"]) | set(rows.filter(pl.col("split") != "train")["image_id"])
    assert record == set(rows["image_id"]) - excluded


def test_a_second_round_with_nothing_to_do_adds_nothing(tmp_path: Path) -> None:
    """Candidates that wait for the experts cover the gap."""
    project = a_phantom_project(tmp_path)
    synthesize(project, tiny_synthesis(), a_gap_table(missing=4), embed_phantoms)
    before = project.manifest.read_bytes()
    again = synthesize(project, tiny_synthesis(), a_gap_table(missing=4), embed_phantoms)
    assert "wait for the experts" in again.skipped
    assert project.manifest.read_bytes() == before


def test_after_the_experts_judged_the_same_generator_draws_new_seeds(tmp_path: Path) -> None:
    """It is not trained again, and no seed is used twice."""
    project = a_phantom_project(tmp_path)
    first = synthesize(project, tiny_synthesis(), a_gap_table(missing=4), embed_phantoms)
    judged = pl.when(pl.col("origin") == "synthetic")
    rows = read_manifest(project.manifest).with_columns(verdict=judged.then(pl.lit("rejected")), readers=judged.then(pl.lit(2)))
    write_manifest(rows, project.manifest)
    second = synthesize(project, tiny_synthesis(), a_gap_table(missing=4), embed_phantoms)
    assert (second.first_step, second.steps, second.generator_sha256) == (8, 8, first.generator_sha256)
    assert sorted(candidates_of(project)["seed"]) == list(range(8))


def test_accepted_images_that_no_cell_counts_still_count_for_their_class(tmp_path: Path) -> None:
    """A synthetic image has no site: a gap table by site never shows it, and must not be asked for again and again."""
    project = a_phantom_project(tmp_path)
    gaps = a_gap_table(missing=4).with_columns(site=pl.lit("north"))
    synthesize(project, tiny_synthesis(), gaps, embed_phantoms)
    rows = read_manifest(project.manifest)
    write_manifest(rows.with_columns(verdict=pl.when(pl.col("origin") == "synthetic").then(pl.lit("accepted")).otherwise("verdict")), project.manifest)
    assert synthesize(project, tiny_synthesis(), gaps, embed_phantoms).skipped.startswith("enough candidates")


def test_a_generator_of_the_project_serves_as_base(tmp_path: Path) -> None:
    """Its folder is named from where the recipe lies; the new generator takes the few steps from a base and lies in a folder of its own."""
    project = a_phantom_project(tmp_path)
    synthesize(project, tiny_synthesis(), a_gap_table(missing=1), embed_phantoms)
    base = next(project.models.glob("generator-*")).relative_to(project.root)
    settings = tiny_synthesis(generator=tiny_generator(base=base, low_shot_steps=2))
    report = synthesize(project, settings, a_gap_table(missing=3), embed_phantoms)
    assert (report.steps, report.first_step, report.requested) == (2, 0, {"disc": 2})
    assert len([*project.models.glob("generator-*")]) == 2
    assert set(candidates_of(project).filter(generator_sha256=report.generator_sha256)["recipe_sha256"]) == {settings.sha256()}


def test_what_a_base_learned_from_is_on_record_too(tmp_path: Path) -> None:
    """An image that the base saw in train, and that lies in val now, is found; a base without a record is refused."""
    project = a_phantom_project(tmp_path)
    first = synthesize(project, tiny_synthesis(), a_gap_table(missing=1), embed_phantoms)
    base = next(project.models.glob("generator-*"))
    rows = read_manifest(project.manifest)
    moved = rows.filter((pl.col("split") == "train") & (pl.col("origin") == "acquired"))["image_id"][0]
    write_manifest(rows.with_columns(split=pl.when(pl.col("image_id") == moved).then(pl.lit("val")).otherwise("split")), project.manifest)
    settings = tiny_synthesis(generator=tiny_generator(base=base.relative_to(project.root), low_shot_steps=2))
    second = synthesize(project, settings, a_gap_table(missing=3), embed_phantoms)
    known = read_training_rows(project)
    assert moved in known[second.training_manifest_sha256 or ""]
    assert second.training_manifest_sha256 != first.training_manifest_sha256
    (base / "training_rows.json").unlink()
    again = tiny_synthesis(generator=tiny_generator(base=base.relative_to(project.root), low_shot_steps=3))
    with pytest.raises(UsageError, match="saw no val or test patient"):
        synthesize(project, again, a_gap_table(missing=6), embed_phantoms)


def test_other_train_rows_are_another_generator(tmp_path: Path) -> None:
    """A label that an expert changed begins a new training."""
    project = a_phantom_project(tmp_path)
    first = synthesize(project, tiny_synthesis(), a_gap_table(missing=2), embed_phantoms)
    rows = read_manifest(project.manifest)
    changed = rows.filter((pl.col("label") == "stripes") & (pl.col("split") == "train"))["image_id"][0]
    write_manifest(rows.with_columns(label=pl.when(pl.col("image_id") == changed).then(pl.lit("disc")).otherwise("label")), project.manifest)
    second = synthesize(project, tiny_synthesis(), a_gap_table(missing=4), embed_phantoms)
    assert second.first_step == 0
    assert second.generator_sha256 != first.generator_sha256
    assert second.requested == {"disc": 2}


def test_a_candidate_that_fails_a_screen_is_counted_and_never_shown(tmp_path: Path) -> None:
    """A threshold that nothing can reach rejects all; they are rows with a verdict and no reader, and are not drawn for again."""
    project = a_phantom_project(tmp_path)
    strict = tiny_synthesis(screens=ScreenSettings(class_agreement=1.0))
    report = synthesize(project, strict, a_gap_table(missing=4), embed_phantoms)
    made = candidates_of(project)
    assert (report.sampled, report.passed, report.new_candidates, report.rejected["class_agreement"]) == (4, 0, 0, 4)
    assert set(made["verdict"]) == {"rejected"}
    assert made["readers"].null_count() == 4
    results = [json.loads(screens) for screens in made["screens"]]
    assert all(not result["class_agreement"]["passed"] and result["memorization"]["nearest"] for result in results)
    assert synthesize(project, strict, a_gap_table(missing=4), embed_phantoms).skipped


def test_the_report_says_what_the_screens_are_worth(tmp_path: Path) -> None:
    """Power is measured on planted copies in every run; curve and grid are files."""
    project = a_phantom_project(tmp_path, discs=20, stripes=30)
    report = synthesize(project, tiny_synthesis(), a_gap_table(), embed_phantoms)
    assert report.power == report.screens.power > 0.5
    assert report.screens.power_by_kind["copy"] == 1.0
    assert report.screens.false_alarms is not None
    assert report.screens.false_alarms < 0.4
    assert report.loss_curve is not None
    assert (project.root / report.loss_curve).read_text().startswith("step,loss\n0,")
    assert report.sample_grid is not None
    assert cv2.imread(str(project.root / report.sample_grid)) is not None


def test_no_more_than_the_recipe_allows_is_drawn(tmp_path: Path) -> None:
    """Not more than are missing, and not more than `candidates` in all, shared by the classes."""
    project = a_phantom_project(tmp_path)
    gaps = pl.concat([a_gap_table("disc", 50), a_gap_table("stripes", 50)])
    report = synthesize(project, tiny_synthesis(candidates=5, classes=2), gaps, embed_phantoms)
    assert report.requested == {"disc": 3, "stripes": 2}


@pytest.mark.parametrize(
    ("changes", "gaps", "reason"),
    [
        ({"task": "ct-3d"}, a_gap_table(task="ct-3d"), "2-D images only; name another engine"),
        ({}, a_gap_table(action="collect"), "no cell"),
        ({"least_train_images": 500}, a_gap_table(), "too little data"),
        ({"least_train_images": 500}, a_gap_table(action="collect"), "too little data"),
        ({"plan": PlanSettings(least_class_patients=5)}, a_gap_table(), "too little data: 4 train patients of disc; 5 would be enough"),
        ({}, a_gap_table(label="unheard of"), "without a train image"),
    ],
)
def test_what_cannot_be_done_is_skipped_with_a_reason(tmp_path: Path, changes: dict[str, object], gaps: pl.DataFrame, reason: str) -> None:
    """A sentence, not an exception, and nothing is written."""
    project = a_phantom_project(tmp_path)
    report = synthesize(project, tiny_synthesis(**changes), gaps, embed_phantoms)
    assert reason in report.skipped
    assert not candidates_of(project).height
    assert not project.models.exists()


def test_gray_images_make_gray_candidates(tmp_path: Path) -> None:
    """X-ray: one channel, its own task and modality."""
    project = a_phantom_project(tmp_path, modality="DX", channels=1)
    settings = tiny_synthesis(task="xray-2d", generator=tiny_generator(flips=()))
    synthesize(project, settings, a_gap_table(task="xray-2d", missing=2), embed_phantoms)
    made = candidates_of(project)
    assert (set(made["channels"]), set(made["modality"]), made.height) == ({1}, {"DX"}, 2)


def test_an_image_becomes_a_square_of_eight_bits() -> None:
    """The middle is kept, 16-bit values are stretched, channels are as asked."""
    wide = np.concatenate([np.zeros((32, 16, 3), np.uint8), a_phantom("disc", 0, 32), np.zeros((32, 16, 3), np.uint8)], axis=1)
    assert (make_square(wide, 32, 3) == a_phantom("disc", 0, 32)).all()
    deep = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
    square = make_square(deep, 16, 1)
    assert (square.dtype, square.shape, square.min(), square.max()) == (np.uint8, (16, 16), 0, 255)
    assert make_square(deep, 16, 3).shape == (16, 16, 3)
