"""What readers said of a synthetic image becomes one verdict with its reasons."""

from __future__ import annotations

from typing import Any

from curation.records import to_frame
from tests.builders import a_record, a_synthetic_record, an_id
from validation.review.rejections import expert_verdicts

IMAGE, REAL = an_id("synthetic 0"), an_id(0)


def a_fact(reader: str, *, usable: bool = True, label: str = "melanoma", reasons: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """Return one answer about the synthetic image."""
    fact = {"annotation_id": hash(reader) % 1000, "updated_at": f"2026-01-0{len(reader)}", "image_id": IMAGE, "reader": reader, "label_issued": None}
    return fact | {"usable": usable, "label": label, "reasons": list(reasons), "cancelled": False} | changes


def verdicts(*facts: dict[str, Any], readers_per_task: int = 1) -> Any:
    """Return the verdicts on one synthetic and one real row."""
    return expert_verdicts(to_frame([a_synthetic_record(), a_record()]), list(facts), readers_per_task)


def test_an_accepted_image_has_no_reasons() -> None:
    """Not even those of a minority."""
    (one,) = verdicts(a_fact("a"), a_fact("bb"), a_fact("ccc", usable=False, reasons=("artefact",)))
    assert (one.image_id, one.rejected, one.reasons, one.reviewed_at) == (IMAGE, False, (), "2026-01-03")


def test_a_rejected_image_has_the_reasons_of_all_who_reject_it() -> None:
    """Another class than the wanted one is a reason by itself."""
    (one,) = verdicts(a_fact("a", usable=False, reasons=("artefact",)), a_fact("bb", usable=False, reasons=("not plausible",)))
    assert (one.rejected, one.reasons) == (True, ("artefact", "not plausible"))
    (other,) = verdicts(a_fact("a", label="nevus"))
    assert (other.rejected, other.reasons) == (True, ("wrong class",))


def test_ties_missing_readers_answers_taken_back_and_real_images_give_none() -> None:
    """Nothing is learned from what is not decided."""
    assert verdicts(a_fact("a"), a_fact("bb", usable=False)) == ()
    assert verdicts(a_fact("a"), readers_per_task=2) == ()
    assert verdicts(a_fact("a", cancelled=True)) == ()
    assert verdicts(a_fact("a", image_id=REAL, usable=False)) == ()
