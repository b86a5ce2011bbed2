"""Verdicts on record: who may enter a release."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from curation.ledger import append_decision, read_ledger, verify_ledger
from curation.records import to_frame
from tests.builders import a_record, a_synthetic_record, an_id
from validation.lift.judgement import Estimate, Judgement, Verdict, Word
from validation.lift.rulings import admit, check_lift, find_refused, read_rulings, record_judgement
from validation.recipe import LiftSettings

MADE = [an_id(f"synthetic {number}") for number in range(4)]
KEY = ("colour-2d", "melanoma")


def a_judgement(word: Word = "accept", images: int = 4) -> Judgement:
    """Return a judgement about melanoma."""
    numbers = Estimate(0.05, 0.01, 0.09)
    verdicts = tuple(Verdict(label, word, "because", "screened", "mix", 1.0, images, "smote", numbers, Estimate(0.6)) for label in ("melanoma", None))
    return Judgement(verdicts, (), (), (), 1, 1, (), {}, 0.1)


def some_rows(number: int = 4) -> pl.DataFrame:
    """Return one real row and accepted synthetic ones."""
    return to_frame([a_record(), *(a_synthetic_record(image_id=image_id, verdict="accepted", readers=1) for image_id in MADE[:number])])


def test_a_verdict_comes_back_from_the_ledger_as_it_was_given(tmp_path: Path) -> None:
    """With its images; the chain holds, and the newest line counts."""
    ledger = tmp_path / "ledger.jsonl"
    record_judgement(ledger, "colour-2d", a_judgement("reject"), "one", {"melanoma": MADE})
    first = list(read_ledger(ledger))[-1]["hash"]
    append_decision(ledger, "released", what="data-v1", why="every check passed")
    record_judgement(ledger, "colour-2d", a_judgement(images=3), "two", {"melanoma": MADE})
    newest, before = read_rulings(ledger), read_rulings(ledger, until=first)
    assert newest[KEY].word == "accept"
    assert newest[KEY].image_ids == frozenset(sorted(MADE)[:3])
    assert newest["colour-2d", None].inputs == "two"
    assert before[KEY].word == "reject"
    assert verify_ledger(ledger) == 5


@pytest.mark.parametrize(
    ("word", "changes", "admitted"),
    [
        ("accept", {}, 4),
        ("inconclusive", {}, 0),
        ("inconclusive", {"release_inconclusive": True}, 4),
        ("reject", {"release_inconclusive": True}, 0),
        ("reject", {"required": False}, 4),
    ],
)
def test_the_recipe_and_the_verdict_decide_who_enters(tmp_path: Path, word: Word, changes: dict[str, bool], admitted: int) -> None:
    """Real images always do; the reasons of the others are counted."""
    record_judgement(tmp_path / "ledger.jsonl", "colour-2d", a_judgement(word), "x", {"melanoma": MADE})
    kept, withheld = admit(some_rows(), read_rulings(tmp_path / "ledger.jsonl"), LiftSettings(**changes))
    assert kept.filter(origin="synthetic").height == admitted
    assert kept.filter(origin="acquired").height == 1
    assert sum(withheld.values()) == 4 - admitted


def test_images_beyond_the_dose_and_new_ones_stay_out(tmp_path: Path) -> None:
    """The verdict names two images; the others were not judged at that dose."""
    record_judgement(tmp_path / "ledger.jsonl", "colour-2d", a_judgement(images=2), "x", {"melanoma": MADE[:3]})
    refused = find_refused(some_rows(), read_rulings(tmp_path / "ledger.jsonl"), LiftSettings())
    assert len(refused) == 2
    assert all("curaloop lift" in reason for reason in refused.values())


def test_a_verdict_about_images_that_are_gone_lets_nothing_in(tmp_path: Path) -> None:
    """Planted fault: an expert changed a verdict after the court had sat; what is left was never judged by itself."""
    record_judgement(tmp_path / "ledger.jsonl", "colour-2d", a_judgement(), "x", {"melanoma": MADE})
    refused = find_refused(some_rows(3), read_rulings(tmp_path / "ledger.jsonl"), LiftSettings())
    assert set(refused) == set(MADE[:3])
    assert all("curaloop lift` again" in reason for reason in refused.values())


def test_the_gate_fails_on_a_synthetic_image_without_a_winning_verdict(tmp_path: Path) -> None:
    """Planted fault: rows that nobody filtered."""
    ledger = tmp_path / "ledger.jsonl"
    assert not check_lift(some_rows(), {}, LiftSettings()).passed
    record_judgement(ledger, "colour-2d", a_judgement("reject"), "x", {"melanoma": MADE})
    result = check_lift(some_rows(), read_rulings(ledger), LiftSettings(release_inconclusive=True))
    assert not result.passed
    assert MADE[0] in " ".join(result.failures)
    record_judgement(ledger, "colour-2d", a_judgement("accept"), "y", {"melanoma": MADE})
    assert check_lift(some_rows(), read_rulings(ledger), LiftSettings()).passed
