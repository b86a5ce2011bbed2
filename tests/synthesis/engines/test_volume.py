"""Diffusion of volumes, alone and in the stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curation.errors import UsageError
from curation.manifest import read_manifest, write_manifest
from curation.pixels import Pixels, decode, encode_nifti, hash_pixels, read_affine, read_mark
from curation.progress import silent
from curation.project import Project
from curation.records import to_frame
from curation.shards import Place, ShardReader, write_shards
from synthesis.engines.engine import Wanted
from synthesis.engines.loading import load_engine
from synthesis.engines.volume import VolumeDiffusion
from synthesis.generator import GENERATOR_NAME
from synthesis.recipe import GeneratorSettings, SamplingSettings, SynthesisSettings, VolumeSettings
from synthesis.replay import replay
from synthesis.synthesize import load_training_set, synthesize
from synthesis.training_set import usable_rows
from tests.builders import a_record, an_id
from tests.synthesis.builders import a_gap_table, embed_phantoms, tiny_generator, tiny_synthesis

SAMPLING = SamplingSettings(steps=2, batch_size=4)
VOLUME = VolumeSettings(channels=(8, 8), latent_channels=2, slices=4, steps=3, batch_size=2)


def a_volume(label: str, number: int) -> Pixels:
    """Return `(6, 20, 20)` int16 HU: a bright ball (disc) or a bright slab of its own place in air."""
    random = np.random.default_rng([len(label), number])
    z, y, x = np.indices((6, 20, 20))
    centre = random.uniform(7, 13, 2)
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 25 if label == "disc" else np.abs(x - centre[0]) < 3
    return np.where(inside & (z > 0), 60, -900).astype(np.int16) + random.integers(-20, 20, (6, 20, 20)).astype(np.int16)


def a_volume_project(tmp_path: Path) -> Project:
    """Return a project with 5 volumes of discs and 9 of stripes, one a patient; every fourth patient in val."""
    project, records, files = Project(tmp_path / "project"), [], {}
    for number in range(14):
        label = "disc" if number < 5 else "stripes"
        volume, spacing_mm = a_volume(label, number), [4.0, 1.0, 1.0]
        of_pixels: dict[str, Any] = {"ndim": 3, "slices": 6, "rows": 20, "columns": 20, "channels": 1, "dtype": "int16", "value_unit": "HU"}
        own = {"image_id": an_id(number), "patient_id": f"patient{number:013d}", "label": label, "split": "val" if number % 4 == 3 else "train"}
        stored = {"spacing_mm": spacing_mm, "pixels_sha256": hash_pixels(volume, spacing_mm), "suffix": ".nii.gz", "modality": "CT"}
        records.append(a_record(**{**own, **of_pixels, **stored}))
        files[f"{an_id(number)}.nii.gz"] = bytes(encode_nifti(volume, np.diag([1.0, 1.0, 4.0, 1.0])))
    places = write_shards(sorted(files.items()), project.working_shards)
    write_manifest(to_frame([record.model_copy(update=places[f"{record.image_id}.nii.gz"]._asdict()) for record in records]), project.manifest)
    return project


def a_recipe(**changes: Any) -> GeneratorSettings:
    """Return a tiny generator of volumes."""
    return tiny_generator(engine="volume", volume=VOLUME, steps=3, checkpoint_steps=2, **changes)


def a_synthesis() -> SynthesisSettings:
    """Return settings of a tiny round of volumes."""
    return tiny_synthesis(task="ct-3d", generator=a_recipe(), sampling=SAMPLING, candidates=3, counterbalance=0.0)


def test_a_volume_depends_on_its_seed_alone(tmp_path: Path) -> None:
    """Trained, saved, loaded by its folder, drawn in another order and batch size: the same volumes; each seed its own."""
    project = a_volume_project(tmp_path)
    train = load_training_set(project, usable_rows(read_manifest(project.manifest), "ct-3d", "train"), a_synthesis())
    assert train.lessons.shape == (11, 4, 16, 16)
    assert {image.shape for image in train.images} == {(4 * 16, 16)}
    engine = VolumeDiffusion(a_recipe(preview_steps=3), SAMPLING)
    engine.fit(train.examples(), tmp_path / "trained", silent)
    engine.save(tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [GENERATOR_NAME]
    again = load_engine(tmp_path / "copy", SAMPLING.model_copy(update={"batch_size": 1}))
    assert isinstance(again, VolumeDiffusion)
    wanted = [Wanted({"label": label}, seed) for label, seed in (("disc", 3), ("stripes", 4), ("disc", 5))]
    drawn, backwards = engine.sample(wanted, silent), again.sample(wanted[::-1], silent)[::-1]
    assert {(volume.shape, volume.dtype.name) for volume in drawn} == {((4, 16, 16), "float32")}
    assert all((first == second).all() for first, second in zip(drawn, backwards, strict=True))
    assert len({volume.tobytes() for volume in drawn}) == 3
    assert all(volume.min() >= 0 and volume.max() <= 255 for volume in drawn)
    assert decode((tmp_path / "trained" / "preview-000003.png").read_bytes(), ".png").shape == (2 * 64, 16 * 16, 3)


def test_the_stage_stores_volumes_as_marked_nifti_in_their_unit(tmp_path: Path) -> None:
    """Rows of whole Hounsfield units with the train volumes' extent, files that say that they are synthetic, and a replay that is equal."""
    project = a_volume_project(tmp_path)
    gaps = a_gap_table("disc", 3, task="ct-3d", action="collect")
    report = synthesize(project, a_synthesis(), gaps, embed_phantoms)
    made = read_manifest(project.manifest).filter(pl.col("origin") == "synthetic")
    assert (report.skipped, report.engine, report.sampled, made.height) == ("", "volume", 3, 3)
    assert set(made.select("ndim", "slices", "rows", "columns", "channels", "dtype", "value_unit", "suffix", "modality").iter_rows()) == {
        (3, 4, 16, 16, 1, "int16", "HU", ".nii.gz", "CT")
    }
    assert made["spacing_mm"].to_list() == [[6.0, 1.25, 1.25]] * 3
    with ShardReader(project.working_shards) as shards:
        for row in made.iter_rows(named=True):
            content = shards.read(Place(row["shard"], row["offset"], row["size_bytes"]))
            assert read_mark(content, ".nii.gz") == {"Curaloop-Synthetic": "YES", "generator": row["generator_sha256"][:16], "seed": str(row["seed"])}
            volume = decode(content, ".nii.gz")
            assert hash_pixels(volume, row["spacing_mm"]) == row["pixels_sha256"]
            assert np.diag(read_affine(content)).tolist() == [1.25, 1.25, 6.0, 1.0]
            assert {"memorization", "class_agreement"} <= set(json.loads(row["screens"]))
    assert len({value for value in volume.ravel().tolist() if (value + 1024) * 255 % 2560}) > 0
    assert report.sample_grid is not None
    again = replay(project, made["image_id"][0])
    assert (again.image_id, (project.root / again.picture).exists()) == (made["image_id"][0], True)


def test_engine_and_task_must_agree(tmp_path: Path) -> None:
    """Volumes need the engine of volumes; the grid must be the recipe's."""
    project = a_volume_project(tmp_path)
    flat = tiny_synthesis(task="ct-3d")
    assert "2-D images only" in synthesize(project, flat, a_gap_table("disc", 3, task="ct-3d"), embed_phantoms).skipped
    train = load_training_set(project, usable_rows(read_manifest(project.manifest), "ct-3d", "train"), a_synthesis())
    with pytest.raises(UsageError, match="8 x 16 x 16 voxels"):
        VolumeDiffusion(a_recipe().model_copy(update={"volume": VOLUME.model_copy(update={"slices": 8})}), SAMPLING).fit(train.examples(), tmp_path, silent)
