"""The card of a version."""

from typing import Any

from curation.datacard import write_card
from tests.builders import a_manifest


def test_the_card_says_what_was_not_looked_for() -> None:
    """Faces in head volumes and burned-in text are nobody's finding in this version; who passes images on must know."""
    counts = {"images": 4, "acquired": 4, "patients": 2, "synthetic": 0, "labelled": 4}
    release: dict[str, Any] = {"version": "data-v1", "parent": None, "created_at": "now", "recipe_sha256": "r", "code_commit": "c", "ledger_head": "h"}
    card = write_card(a_manifest(4), release | {"dataset": {"name": "n", "description": "", "licence": "l"}, "counts": counts})
    assert "Not looked for: text that is burned into pixels" in card
    assert "faces" in card
