"""Putting a finding of one class into a real image of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curation.errors import UsageError
from curation.manifest import read_manifest
from curation.pixels import Pixels
from curation.progress import silent
from curation.project import Project
from synthesis.engines.engine import Examples, Wanted
from synthesis.engines.inpainting import InpaintingDiffusion, cut_out, lesson_masks
from synthesis.engines.loading import load_engine
from synthesis.engines.masks import random_ellipse
from synthesis.recipe import GeneratorSettings, InpaintingSettings, SamplingSettings
from synthesis.replay import replay
from synthesis.synthesize import synthesize
from synthesis.training_set import load_images, read_stored, usable_rows
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
    """A short training on spots learns their levels; outside the mask every pixel is the parent's. Nothing is smoothed, the levels are counted."""
    examples = spots()
    recipe = settings("fill", rim_px=0.0, lowpass_px=0.0).model_copy(update={"steps": 40, "batch_size": 8, "learning_rate": 6e-3, "precision": "fp32"})
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


def of_two_shapes(image: Pixels, number: int) -> Pixels:
    """Return a phantom 40 px high or wide, the middle of it as it was."""
    width = ((4, 4), (0, 0)) if number % 2 else ((0, 0), (4, 4))
    return np.pad(image, (*width, (0, 0)), mode="reflect")


def of_sixteen_bits(image: Pixels, number: int) -> Pixels:
    """Return a gray phantom of 40 px or 32 px a side, in a part of the range of 16 bits."""
    return cv2.resize(image[..., 0], (40 - 8 * (number % 2),) * 2).astype(np.uint16) * 16 + 1000


def middle(image: Pixels) -> Any:
    """Return `(H, W)`, true in the middle square of 32 px of an image of two shapes."""
    inside = np.zeros(image.shape[:2], bool)
    top, left = (image.shape[0] - 32) // 2, (image.shape[1] - 32) // 2
    inside[top : top + 32, left : left + 32] = True
    return inside


def made_and_parents(project: Project) -> list[tuple[dict[str, Any], Pixels, dict[str, Any], Pixels]]:
    """Return row and pixels of each candidate and of its parent."""
    rows = read_manifest(project.manifest)
    known = dict(zip(rows["image_id"], zip(rows.iter_rows(named=True), read_stored(project, rows), strict=True), strict=True))
    made = [(row, image) for row, image in known.values() if row["origin"] == "synthetic"]
    return [(row, image, *known[row["parents"][0]]) for row, image in made]


def test_a_round_changes_parents_of_train_as_large_as_they_are_and_replays_them(tmp_path: Path) -> None:
    """Every candidate's row names one train image of another class; beyond its middle square it is that image; row and generator make it again.

    The generator learns from squares of its own size; the embedding gets every image as it is stored, and so does the picture.
    """
    project, seen = a_phantom_project(tmp_path, stored=of_two_shapes), set[tuple[int, ...]]()

    def embed(images: list[Pixels]) -> Any:
        seen.update(image.shape for image in images)
        return embed_phantoms(images)

    recipe = tiny_synthesis(generator=settings("fill", mask="whole"))
    report = synthesize(project, recipe, a_gap_table(missing=3), embed)
    made = made_and_parents(project)
    assert report.sampled == len(made) == 3
    assert {image.shape for _, image, _, _ in made} == seen == {(40, 32, 3), (32, 40, 3)}
    for row, image, parent_row, parent in made:
        assert (parent_row["split"], parent_row["origin"], parent_row["label"] != row["label"]) == ("train", "acquired", True)
        assert (image.shape, row["rows"], row["columns"]) == (parent.shape, parent_row["rows"], parent_row["columns"])
        assert (image[~middle(image)] == parent[~middle(image)]).all()
        assert (image != parent).any()
    assert [replay(project, row["image_id"]).label for row, *_ in made[:2]] == ["disc"] * 2
    train = load_images(project, usable_rows(read_manifest(project.manifest), "colour-2d", "train"), recipe.generator, 3)
    assert train.lessons.shape[1:] == (16, 16, 3)
    assert report.sample_grid is not None
    picture = cv2.imread(str(project.root / report.sample_grid))
    assert picture is not None
    assert picture.shape[:2] == (2 * (4 * 40 + 2 + 1 + 6), 2 * 16 * 40)


def test_edits_of_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    """Outside the mask every value is the parent's; unit, depth and modality are, too; screens see gray levels."""
    project = a_phantom_project(tmp_path, stored=of_sixteen_bits, modality="DX", channels=1)
    recipe = tiny_synthesis(task="xray-2d", generator=settings("edit", strength=1.0).model_copy(update={"flips": ()}))
    synthesize(project, recipe, a_gap_table(task="xray-2d", missing=2), embed_phantoms)
    made = made_and_parents(project)
    assert len(made) == 2
    for row, image, _, parent in made:
        assert (image.dtype, row["dtype"], row["value_unit"], row["modality"]) == (np.uint16, "uint16", "16-bit", "DX")
        assert image.shape == parent.shape
        assert 0 < (image != parent).mean() < 0.6
    assert replay(project, made[0][0]["image_id"]).label == "disc"


def test_a_parent_that_did_not_change_is_no_candidate(tmp_path: Path) -> None:
    """A rim so wide that nothing is added: the image would stand there twice, under two labels."""
    project = a_phantom_project(tmp_path)
    report = synthesize(project, tiny_synthesis(generator=settings("edit", rim_px=1e6)), a_gap_table(missing=2), embed_phantoms)
    assert (report.sampled, report.new_candidates) == (2, 0)
    assert made_and_parents(project) == []
