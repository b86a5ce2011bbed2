"""What is asked of a generator, from the gap table."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from curation.records import to_frame
from synthesis.recipe import PlanSettings
from synthesis.requests import Request, plan_requests, rarest_classes, say_fewer_classes
from tests.builders import a_record, an_id
from tests.synthesis.builders import a_gap_table, tiny_generator, tiny_synthesis

NOTHING = to_frame([a_record(image_id=an_id(99))])


def a_table(*cells: tuple[Any, ...], columns: tuple[str, ...] = ("label", "missing", "train_images")) -> pl.DataFrame:
    """Return a gap table; cells that miss nothing are left alone."""
    rows = [a_gap_table().row(0, named=True) | dict(zip(columns, cell, strict=True)) for cell in cells]
    return pl.DataFrame([row | {"action": "synthesize" if row["missing"] else "leave"} for row in rows])


def a_made(number: int, condition: dict[str, str], **changes: Any) -> Any:
    """Return a candidate's row."""
    own = {
        "origin": "synthetic",
        "split": "train",
        "label": condition["label"],
        "condition": json.dumps(condition),
        "generator_sha256": "g" * 64,
        "screens": "{}",
    }
    return a_record(**{"image_id": an_id(number), "seed": number, **own, **changes})


def test_a_share_of_a_round_shows_the_other_classes() -> None:
    """Of 16 candidates a quarter is for the classes without a gap, each the same number."""
    gaps = a_table(("disc", 50, 4), ("stripes", 0, 60), ("rings", 0, 70))
    settings = tiny_synthesis(candidates=16, counterbalance=0.25)
    assert plan_requests(gaps, NOTHING, None, settings) == [Request({"label": "disc"}, 12), Request({"label": "rings"}, 2), Request({"label": "stripes"}, 2)]


def test_more_classes_than_there_are_is_said() -> None:
    """Two of three classes ask for candidates: with 1 or 2 nothing is said, with 3 the recipe's key and the classes are named."""
    gaps = a_table(("disc", 50, 4), ("stripes", 20, 60), ("rings", 0, 70))
    said = [say_fewer_classes(gaps, tiny_synthesis(classes=number)) for number in (1, 2, 3)]
    assert said[:2] == ["", ""]
    assert said[2].startswith("synthesis.classes is 3, but candidates can be made for 2 only (disc, stripes)")


def test_a_round_whose_candidates_wait_leaves_nothing_to_ask_for() -> None:
    """15 is not a multiple of the other classes, so a round of 64 draws 63; the one that is left over is no second round."""
    gaps = a_table(("disc", 500, 4), *((f"class {number}", 0, 60) for number in range(5)))
    settings = tiny_synthesis(candidates=64, counterbalance=0.25)
    first = plan_requests(gaps, NOTHING, None, settings)
    assert sum(request.number for request in first) == 63
    wishes = [request.condition for request in first for _ in range(request.number)]
    assert plan_requests(gaps, to_frame([a_made(number, wish) for number, wish in enumerate(wishes)]), None, settings) == []


def test_without_a_gap_nothing_is_balanced() -> None:
    """And with a small gap every other class gets one image; what is there already is not asked for again."""
    settings = tiny_synthesis(candidates=64, counterbalance=0.25)
    assert plan_requests(a_table(("disc", 0, 80), ("stripes", 0, 60)), NOTHING, None, settings) == []
    gaps = a_table(("disc", 3, 4), ("stripes", 0, 60))
    assert plan_requests(gaps, NOTHING, None, settings) == [Request({"label": "disc"}, 3), Request({"label": "stripes"}, 1)]
    made = to_frame([a_made(1, {"label": "stripes"})])
    assert plan_requests(gaps, made, None, settings) == [Request({"label": "disc"}, 3)]


def test_gaps_of_subgroups_are_asked_for_by_their_condition() -> None:
    """Cells of sex that the generator is told are filled each; candidates that wait count for their own cell."""
    columns = ("label", "sex", "missing", "train_images")
    gaps = a_table(("disc", "F", 3, 2), ("disc", "M", 2, 4), ("stripes", "F", 0, 30), columns=columns)
    settings = tiny_synthesis(candidates=32, generator=tiny_generator(conditions=("sex",)))
    wanted = [Request({"label": "disc", "sex": "F"}, 3), Request({"label": "disc", "sex": "M"}, 2)]
    assert plan_requests(gaps, NOTHING, None, settings) == wanted
    made = to_frame([a_made(number, {"label": "disc", "sex": "F"}) for number in range(2)])
    assert plan_requests(gaps, made, None, settings) == [Request({"label": "disc", "sex": "F"}, 1), wanted[1]]


def test_cells_that_the_generator_cannot_tell_apart_count_together() -> None:
    """The table counts by sex, the generator knows the label only."""
    gaps = a_table(("disc", "F", 3, 2), ("disc", "M", 2, 4), columns=("label", "sex", "missing", "train_images"))
    assert plan_requests(gaps, NOTHING, None, tiny_synthesis(candidates=32)) == [Request({"label": "disc"}, 5)]


def test_a_large_class_with_a_small_cell_is_not_the_rarest() -> None:
    """A class counts with all its cells; and nobody asks for images of which the sex is unknown."""
    columns = ("label", "sex", "missing", "train_images")
    gaps = a_table(("stripes", None, 9, 1), ("stripes", "F", 0, 60), ("stripes", "M", 3, 5), ("disc", "F", 3, 8), ("disc", None, 9, 1), columns=columns)
    settings = tiny_synthesis(candidates=32, generator=tiny_generator(conditions=("sex",)))
    assert rarest_classes(gaps, settings) == ("disc",)
    assert plan_requests(gaps, NOTHING, None, settings) == [Request({"label": "disc", "sex": "F"}, 3)]


def test_the_volume_engine_takes_cells_that_are_left_to_collecting() -> None:
    """The gap table cannot know the engine; two patients are still the least."""
    gaps = pl.concat([a_gap_table("disc", 4, "ct-3d", "collect"), a_gap_table("rings", 4, "ct-3d", "collect").with_columns(train_patients=pl.lit(1, pl.Int64))])
    settings = tiny_synthesis(task="ct-3d", classes=2, candidates=8, generator=tiny_generator(engine="volume"))
    assert plan_requests(gaps, NOTHING, None, settings) == [Request({"label": "disc"}, 4)]
    assert plan_requests(gaps, NOTHING, None, tiny_synthesis(task="ct-3d")) == []


def test_a_class_without_enough_patients_does_not_keep_the_others_from_being_drawn() -> None:
    """It is passed over while another has enough; alone it is named, so that the plan can say what it lacks."""
    columns = ("label", "missing", "train_images", "train_patients")
    gaps = a_table(("disc", 9, 3, 2), ("rings", 5, 12, 10), ("stripes", 0, 60, 50), columns=columns)
    settings = tiny_synthesis(candidates=32, plan=PlanSettings(least_class_patients=10))
    assert rarest_classes(gaps, settings) == ("rings",)
    assert plan_requests(gaps, NOTHING, None, settings) == [Request({"label": "rings"}, 5)]
    assert rarest_classes(gaps.filter(pl.col("label") != "rings"), settings) == ("disc",)
