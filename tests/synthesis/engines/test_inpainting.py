"""Putting a finding of one class into a real image of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curation.errors import UsageError
from curation.manifest import read_manifest
from curation.progress import silent
from synthesis.engines.engine import Examples, Wanted
from synthesis.engines.inpainting import InpaintingDiffusion, cut_out, lesson_masks
from synthesis.engines.loading import load_engine
from synthesis.engines.masks import random_ellipse
from synthesis.recipe import GeneratorSettings, InpaintingSettings, SamplingSettings
from synthesis.replay import replay
from synthesis.synthesize import synthesize
from tests.synthesis.builders import a_gap_table, a_phantom_project, embed_phantoms, tiny_generator, tiny_synthesis

SAMPLING = SamplingSettings(steps=6, guidance_scale=1.0, batch_size=3)
LEVELS = {"dark": 60, "bright": 200}


def spots(per_class: int = 8) -> Examples:
    """Return gray images whose ellipse is dark or bright, with their masks."""
    labels = [label for label in LEVELS for _ in range(per_class)]
    masks = np.stack([random_ellipse(16, number) for number in range(len(labels))])
    levels = np.array([LEVELS[label] for label in labels])[:, None, None]
    images = np.where(masks == 1, levels, 128 + 10 * (np.indices((16, 16)).sum(axis=0) % 2)).astype(np.uint8)
    names = tuple(f"{number:032x}" for number in range(len(labels)))
    return Examples(images, tuple({"label": label} for label in labels), names, names, masks)


def settings(method: str, **changes: Any) -> GeneratorSettings:
    """Return a tiny generator that changes parents."""
    return tiny_generator(engine="inpainting", inpainting=InpaintingSettings(method=method, **{"mask": "ellipse", **changes}))  # type: ignore[arg-type]


def wishes(examples: Examples, wanted: str) -> list[Wanted]:
    """Return one wish for each image of the other class."""
    assert examples.masks is not None
    chosen = [number for number, label in enumerate(examples.labels) if label != wanted]
    return [Wanted({"label": wanted}, 50 + n, examples.images[n], examples.image_ids[n], examples.masks[n]) for n in chosen]


def test_the_wanted_class_is_drawn_inside_the_mask_and_nothing_outside(tmp_path: Path) -> None:
    """A short training on spots learns their levels; outside the mask every pixel is the parent's."""
    examples = spots()
    recipe = settings("fill", rim_px=0.0).model_copy(update={"steps": 40, "batch_size": 8, "learning_rate": 6e-3, "precision": "fp32"})
    engine = InpaintingDiffusion(recipe, SAMPLING)
    engine.fit(examples, tmp_path, silent)
    means = {}
    for wanted in LEVELS:
        asked = wishes(examples, wanted)
        drawn = engine.sample(asked, silent)
        assert all((image[wish.mask == 0] == wish.parent[wish.mask == 0]).all() for image, wish in zip(drawn, asked, strict=True))
        means[wanted] = np.mean([image[wish.mask == 1].mean() for image, wish in zip(drawn, asked, strict=True)])
    assert means["bright"] - means["dark"] > 30


@pytest.mark.parametrize("method", ["fill", "edit"])
def test_a_loaded_generator_draws_the_same_pixels_at_any_batch_size(tmp_path: Path, method: str) -> None:
    """What lies in the folder is enough to make every image again, one at a time too."""
    examples, engine = spots(), InpaintingDiffusion(settings(method), SAMPLING)
    report = engine.fit(examples, tmp_path, silent)
    asked = wishes(examples, "bright")[:4]
    drawn, loaded = engine.sample(asked, silent), load_engine(tmp_path, SAMPLING.model_copy(update={"batch_size": 1}))
    assert report.steps == 8
    assert isinstance(loaded, InpaintingDiffusion)
    assert loaded.needs_parents
    assert all((one == two).all() for one, two in zip(drawn, loaded.sample(asked, silent), strict=True))


@pytest.mark.parametrize("method", ["fill", "edit"])
def test_only_train_images_of_other_classes_may_be_parents(tmp_path: Path, method: str) -> None:
    """An image that the generator did not learn from may be of val or test; one of the wanted class would come out as a copy."""
    examples, engine = spots(2), InpaintingDiffusion(settings(method), SAMPLING)
    engine.fit(examples, tmp_path, silent)
    good = wishes(examples, "bright")[0]
    with pytest.raises(UsageError, match="may be of val or test"):
        engine.sample([good._replace(parent_id="f" * 32)], silent)
    with pytest.raises(UsageError, match="already"):
        engine.sample([good._replace(condition={"label": "dark"})], silent)
    with pytest.raises(UsageError, match="needs a parent"):
        engine.sample([good._replace(parent=None)], silent)


def test_masks_of_a_training_come_from_label_maps_and_grow() -> None:
    """Where a label map is empty the recipe's mask stands in; a mask only ever grows, and not always as far."""
    examples = spots()
    assert examples.masks is not None
    examples.masks[0] = 0
    masks = lesson_masks(examples, InpaintingSettings(mask="ellipse"))
    assert masks[0].any()
    assert (masks[1:] >= examples.masks[1:]).all()
    assert len({int(grown.sum()) - int(own.sum()) for grown, own in zip(masks[1:], examples.masks[1:], strict=True)}) > 2
    assert lesson_masks(examples._replace(masks=None), InpaintingSettings(mask="ellipse")).shape == (16, 16, 16)


def test_label_maps_of_parents_are_kept_with_the_generator(tmp_path: Path) -> None:
    """A wish without a mask changes the parent inside its label map only, also when the generator is loaded from its folder."""
    examples = spots(2)
    InpaintingDiffusion(settings("fill"), SAMPLING).fit(examples, tmp_path, silent)
    asked = wishes(examples, "bright")[1]
    drawn = load_engine(tmp_path, SAMPLING).sample([asked._replace(mask=None), asked], silent)
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != asked.parent).any()


def test_what_is_inside_the_mask_is_not_shown() -> None:
    """The network sees zeros and a one where the finding was, the image elsewhere."""
    images, masks = np.full((2, 3, 4, 4), 0.5, np.float32), np.zeros((2, 4, 4), np.uint8)
    masks[0, :2] = 1
    shown = cut_out(images, masks)
    assert shown.shape == (2, 4, 4, 4)
    assert (shown[0, :3, :2] == 0).all()
    assert (shown[0, 3, :2] == 1).all()
    assert (shown[1, :3] == 0.5).all()
    assert (shown[1, 3] == 0).all()


def test_a_round_records_parents_of_train_and_replays_them(tmp_path: Path) -> None:
    """Every candidate's row names one train image of another class, and row and generator are enough to make it again."""
    project = a_phantom_project(tmp_path)
    report = synthesize(project, tiny_synthesis(generator=settings("fill")), a_gap_table(missing=2), embed_phantoms)
    rows = read_manifest(project.manifest)
    made, known = rows.filter(pl.col("origin") == "synthetic"), {row["image_id"]: row for row in rows.iter_rows(named=True)}
    assert report.sampled == made.height > 0
    for row in made.iter_rows(named=True):
        (parent,) = row["parents"]
        assert known[parent]["split"] == "train"
        assert known[parent]["origin"] == "acquired"
        assert known[parent]["label"] != row["label"]
    assert replay(project, made["image_id"][0]).label == made["label"][0]
