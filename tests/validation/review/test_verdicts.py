"""What the readers' answers mean for a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.ledger import read_ledger, verify_ledger
from curation.project import Project
from tests.builders import LABELS, a_manifest, a_record, a_synthetic_record, an_id
from tests.validation.review.builders import a_fact
from validation.review.verdicts import apply_verdicts, gather_opinions, record_verdict_decisions

REAL = pl.DataFrame([a_record(image_id=an_id(0)).model_dump()], schema=a_manifest(1).schema)
MADE = pl.DataFrame([a_synthetic_record(image_id=an_id(0)).model_dump()], schema=REAL.schema)


def judge(rows: pl.DataFrame, *facts: dict[str, Any], readers_per_task: int = 1) -> dict[str, Any]:
    """Return the first row after the verdicts."""
    return apply_verdicts(rows, list(facts), readers_per_task).row(0, named=True)


@pytest.mark.parametrize(
    ("answer", "verdict", "label"),
    [({}, "confirmed", "nevus"), ({"label": "melanoma"}, "relabelled", "melanoma"), ({"usable": False, "reasons": ["artefact"]}, "rejected", "nevus")],
)
def test_one_reader_judges_a_real_image(answer: dict[str, Any], verdict: str, label: str) -> None:
    """The same label confirms, another relabels, an unusable image is rejected and keeps its label."""
    row = judge(REAL, a_fact(**answer))
    assert (row["verdict"], row["label"], row["readers"], row["agreement"]) == (verdict, label, 1, 1.0)
    assert row["label_source"] == ("source" if verdict == "rejected" else "expert")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [({"label": "melanoma"}, "accepted"), ({"label": "nevus"}, "rejected"), ({"label": "melanoma", "usable": False, "reasons": ["not plausible"]}, "rejected")],
)
def test_a_synthetic_image_needs_a_usable_image_of_the_wanted_class(answer: dict[str, Any], verdict: str) -> None:
    """Accepted only when usable and of the class that it was asked to show; its label never changes."""
    row = judge(MADE, a_fact(**answer))
    assert (row["verdict"], row["label"], row["label_source"]) == (verdict, "melanoma", "condition")


def test_a_majority_makes_a_consensus() -> None:
    """Two of three readers decide, the agreement is their share."""
    facts = [a_fact(annotation_id=n, reader=f"r{n}", label=label) for n, label in enumerate(["melanoma", "melanoma", "keratosis"])]
    row = judge(REAL, *facts, readers_per_task=3)
    assert (row["label"], row["label_source"], row["readers"], round(row["agreement"], 3)) == ("melanoma", "consensus", 3, 0.667)
    assert row["label_confidence"] == row["agreement"]


def test_too_few_readers_change_nothing() -> None:
    """With two readers a task, one answer waits."""
    assert apply_verdicts(REAL, [a_fact(label="melanoma")], 2).equals(REAL)


def test_a_tie_is_a_disagreement_and_not_a_verdict() -> None:
    """Split readers set the route only."""
    row = judge(REAL, a_fact(label="melanoma"), a_fact(annotation_id=2, reader="r2"))
    assert (row["verdict"], row["label"], row["route"]) == (None, "nevus", "disagreement")


def test_the_newest_answer_of_a_reader_counts() -> None:
    """A changed mind replaces the answer, a cancelled one takes it back."""
    late = {"annotation_id": 1, "updated_at": "2026-01-03T00:00:00.000000Z"}
    assert judge(REAL, a_fact(label="melanoma"), a_fact(label="keratosis", **late))["label"] == "keratosis"
    assert gather_opinions([a_fact(), a_fact(cancelled=True, **late)]) == {}


FACTS = st.lists(
    st.builds(
        lambda number, image, reader, label, usable, minute: a_fact(
            annotation_id=number, image_id=an_id(image), reader=reader, label=label, usable=usable, updated_at=f"2026-01-01T00:{minute:02}:00.000000Z"
        ),
        st.integers(1, 30), st.integers(0, 3), st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(LABELS), st.booleans(), st.integers(0, 59),
    ),
    max_size=12, unique_by=lambda fact: (fact["annotation_id"], fact["updated_at"]),
)  # fmt: skip


def a_cohort() -> pl.DataFrame:
    """Return four rows that came as a nevus, the last one synthetic."""
    made = a_synthetic_record(image_id=an_id(3), label="nevus")
    return pl.concat([a_manifest(3, labels=("nevus",)), pl.DataFrame([made.model_dump()], schema=REAL.schema)])


@given(FACTS, st.randoms(use_true_random=False))
def test_the_order_of_the_answers_does_not_matter(facts: list[dict[str, Any]], dice: Any) -> None:
    """Shuffled facts give the same rows."""
    shuffled = facts[:]
    dice.shuffle(shuffled)
    assert apply_verdicts(a_cohort(), facts).equals(apply_verdicts(a_cohort(), shuffled))


@given(FACTS)
def test_applying_twice_changes_nothing_more(facts: list[dict[str, Any]]) -> None:
    """Idempotent."""
    once = apply_verdicts(a_cohort(), facts)
    assert apply_verdicts(once, facts).equals(once)


@given(FACTS, st.integers(0, 12))
def test_a_pull_in_between_does_not_matter(facts: list[dict[str, Any]], cut: int) -> None:
    """First some facts, then all of them, gives what all of them give at once; only an image that nobody judges any more may differ in its route."""
    facts = sorted(facts, key=lambda fact: (fact["updated_at"], fact["annotation_id"]))
    halfway = apply_verdicts(a_cohort(), facts[:cut])
    assert apply_verdicts(halfway, facts).equals(apply_verdicts(a_cohort(), facts))


def test_each_decision_is_in_the_ledger_exactly_once(tmp_path: Path) -> None:
    """A second run, and a run that was killed before the manifest was written, add no line; a changed mind adds one."""
    project = Project(tmp_path)
    facts = [a_fact(label="melanoma")]
    after = apply_verdicts(REAL, facts)
    assert record_verdict_decisions(project, REAL, after) == 1
    assert record_verdict_decisions(project, REAL, after) == 0
    assert record_verdict_decisions(project, after, apply_verdicts(after, facts)) == 0
    changed = apply_verdicts(after, [*facts, a_fact(updated_at="2026-01-05T00:00:00.000000Z", usable=False)])
    assert record_verdict_decisions(project, after, changed) == 1
    assert [line["action"] for line in read_ledger(project.ledger)] == ["relabelled", "rejected"]
    assert verify_ledger(project.ledger) == 2


def test_what_a_screen_refused_is_no_decision_of_the_readers(tmp_path: Path) -> None:
    """A candidate that the screens rejected adds no line."""
    refused = MADE.with_columns(verdict=pl.lit("rejected"))
    assert record_verdict_decisions(Project(tmp_path), refused, apply_verdicts(refused, [])) == 0


LATER = "2026-01-05T00:00:00.000000Z"


@pytest.mark.parametrize(("rows", "judged"), [(REAL, "relabelled"), (MADE, "accepted")])
def test_an_answer_that_is_taken_back_leaves_the_image_as_it_was(rows: pl.DataFrame, judged: str, tmp_path: Path) -> None:
    """Label, verdict and readers are those of before, and the ledger says so once."""
    project, facts = Project(tmp_path), [a_fact(label="melanoma")]
    after = apply_verdicts(rows, facts)
    assert after["verdict"][0] == judged
    record_verdict_decisions(project, rows, after)
    undone = apply_verdicts(after, [*facts, a_fact(label="melanoma", cancelled=True, updated_at=LATER)])
    assert undone.equals(rows)
    assert record_verdict_decisions(project, after, undone) == 1
    assert record_verdict_decisions(project, after, undone) == 0
    assert [line["action"] for line in read_ledger(project.ledger)] == [judged, "withdrawn"]


def test_an_answer_given_after_another_was_deleted_counts() -> None:
    """A reader deletes one annotation and makes a new one: the new one stands, although the deletion was noticed later."""
    deleted = a_fact(label="melanoma", cancelled=True, updated_at=LATER)
    again = a_fact(annotation_id=2, label="keratosis", updated_at="2026-01-03T00:00:00.000000Z")
    assert judge(REAL, a_fact(label="melanoma"), again, deleted)["label"] == "keratosis"
