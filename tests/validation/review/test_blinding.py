"""What gives candidates away before a reader has looked at them."""

from __future__ import annotations

from typing import Any

import polars as pl

from curation.modalities import with_task
from curation.records import to_frame
from tests.builders import a_record, an_id
from validation.review.blinding import find_tells

SYNTHETIC: dict[str, Any] = {"origin": "synthetic", "split": "train", "generator_sha256": "g" * 64, "screens": "{}", "condition": "{}", "seed": 1}


def a_queue(*shapes: tuple[str, int, int]) -> pl.DataFrame:
    """Return rows of one task with these origins, rows and columns."""
    made = [a_record(image_id=an_id(n), rows=r, columns=c, **(SYNTHETIC if origin == "synthetic" else {})) for n, (origin, r, c) in enumerate(shapes)]
    return with_task(to_frame(made))


def test_candidates_of_the_size_and_shape_of_real_images_tell_nothing() -> None:
    """Nor do images of one origin only: there is nothing to compare with."""
    assert find_tells(a_queue(("synthetic", 128, 128), ("acquired", 128, 128), ("acquired", 127, 128))) == ()
    assert find_tells(a_queue(("synthetic", 32, 32))) == ()
    assert find_tells(a_queue(("acquired", 128, 90))) == ()


def test_small_candidates_beside_large_images_are_told_by_sharpness() -> None:
    """32 px that are enlarged to the size of the screen look blurred."""
    [said] = find_tells(a_queue(("synthetic", 32, 32), ("acquired", 128, 128)))
    assert "candidates have 32 px and real images 128" in said
    assert "synthesis.generator.size_px" in said


def test_squares_beside_oblong_images_are_told_by_shape() -> None:
    """An X-ray keeps its proportions, a generator draws squares."""
    [said] = find_tells(a_queue(("synthetic", 256, 256), ("acquired", 256, 200), ("acquired", 180, 256), ("acquired", 256, 256)))
    assert "square and 2 of 3 real images are not" in said
