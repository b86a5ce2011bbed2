"""The router: what the experts see next."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import an_id
from tests.validation.review.builders import KEY, a_mixed_manifest
from validation.recipe import ReviewSettings
from validation.review.issued import case_of
from validation.review.queue import build_queue, passed_screens


def stored(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as if their files lay in a shard."""
    return rows.with_columns(shard=pl.lit("s.tar"), offset=pl.lit(512), size_bytes=pl.lit(9))


ROWS = stored(a_mixed_manifest())
UNCERTAINTY = pl.DataFrame({"image_id": [an_id(n) for n in range(20)], "uncertainty": [n / 20 for n in range(20)]})


def test_every_kind_of_image_gets_its_place() -> None:
    """Conflicts, unlabelled, synthetic, uncertain and audited images are in one queue, with falling priorities."""
    queue = build_queue(ROWS, UNCERTAINTY, ReviewSettings(budget=20, audit_share=0.2), KEY)
    counts = dict(queue["route"].value_counts().iter_rows())
    assert counts == {"label_conflict": 2, "unlabelled": 4, "synthetic": 4, "uncertain": 6, "audit": 4}
    assert queue["priority"].is_sorted(descending=True)
    assert 0 < queue["priority"].min() < queue["priority"].max() == 1
    assert queue["case_id"].to_list() == [case_of(KEY, image_id) for image_id in queue["image_id"]]


def test_the_most_uncertain_images_come_first_in_their_lane() -> None:
    """Without an audit, uncertain images are ordered by uncertainty."""
    queue = build_queue(ROWS, UNCERTAINTY, ReviewSettings(budget=100, audit_share=0), KEY)
    lane = queue.filter(pl.col("route") == "uncertain")["image_id"].to_list()
    assert lane == [an_id(n) for n in reversed(range(20))]


def test_a_suspicious_label_beats_a_sure_model() -> None:
    """The larger of uncertainty and label issue decides, and the reason says which."""
    rows = ROWS.with_columns(label_issue_score=pl.when(pl.col("image_id") == an_id(3)).then(0.01))
    queue = build_queue(rows, UNCERTAINTY, ReviewSettings(audit_share=0), KEY).filter(pl.col("route") == "uncertain")
    assert queue["image_id"][0] == an_id(3)
    assert queue["route_reason"][0] == "label is right with probability 0.01"


def test_the_order_does_not_tell_which_images_are_synthetic() -> None:
    """Real and synthetic images are spread over the queue without a rhythm that a reader could learn: two keys, two orders."""
    made = pl.concat([ROWS.filter(pl.col("origin") == "synthetic").head(1).with_columns(image_id=pl.lit(an_id(100 + n))) for n in range(20)])
    real = pl.concat([ROWS.filter(pl.col("image_id") == an_id(0)).with_columns(image_id=pl.lit(an_id(200 + n))) for n in range(20)])
    rows = pl.concat([made, real]).with_columns(group_id=pl.col("image_id"))
    orders = []
    for key in (KEY, b"another key" * 3):
        queue = build_queue(rows, None, ReviewSettings(budget=40, audit_share=0.5), key)
        orders.append("".join("s" if route == "synthetic" else "r" for route in queue["route"]))
        assert orders[-1].count("s") == 20
        assert 5 <= orders[-1][:20].count("s") <= 15
    assert orders[0] != orders[1]
    assert all("ss" in order and "rr" in order for order in orders)


def test_what_went_out_and_is_with_no_reader_is_asked_first() -> None:
    """Whatever the places of the images that were lost: room for them brings back them and no other."""
    settings = ReviewSettings(budget=8, audit_share=0.0)
    sent = build_queue(ROWS, UNCERTAINTY, settings, KEY)["image_id"].to_list()
    for lost in (sent[:3], sent[2:7], sent[5:]):
        again = build_queue(ROWS, UNCERTAINTY, settings, KEY, set(sent) - set(lost), len(lost), lost=lost)
        assert set(again["image_id"]) == set(lost)


@given(st.permutations(range(ROWS.height)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    """The same rows give the same queue."""
    settings = ReviewSettings(budget=15)
    assert build_queue(ROWS[order], UNCERTAINTY, settings, KEY).equals(build_queue(ROWS, UNCERTAINTY, settings, KEY))


@given(st.integers(0, 40), st.integers(0, 10), st.sets(st.sampled_from(ROWS["image_id"].to_list())))
def test_the_queue_keeps_within_its_room_and_never_asks_twice(room: int, audits: int, taken: set[str]) -> None:
    """At most `room` images, none of them taken, none twice."""
    queue = build_queue(ROWS, UNCERTAINTY, ReviewSettings(), KEY, taken, room, audits)
    assert queue.height <= room
    assert not set(queue["image_id"]) & taken
    assert queue["image_id"].n_unique() == queue.height


def test_what_has_a_verdict_or_failed_a_screen_is_not_asked() -> None:
    """Judged images, refused candidates, dropped duplicates and holdout images stay out."""
    rows = ROWS.with_columns(
        verdict=pl.when(pl.col("image_id") == an_id(20)).then(pl.lit("relabelled")),
        screens=pl.when(pl.col("origin") == "synthetic").then(pl.lit('{"memorization": {"passed": false}}')),
        duplicate_group=pl.when(pl.col("image_id") == an_id(21)).then(pl.lit(an_id(0))),
        split=pl.when(pl.col("split") == "train").then(pl.lit("holdout")),
    )
    queue = build_queue(rows, UNCERTAINTY, ReviewSettings(), KEY)
    assert set(queue["image_id"]) == {an_id(n) for n in (22, 23, 24, 25)}


@pytest.mark.parametrize(
    ("screens", "passed"),
    [(None, True), ("{}", True), ('{"a": {"passed": true}}', True), ('{"a": {"passed": true}, "b": {"passed": false}}', False), ('{"passed": false}', False)],
)
def test_one_failed_screen_is_enough(screens: str | None, passed: bool) -> None:
    """A candidate passes when no screen refused it."""
    assert passed_screens(screens) is passed
