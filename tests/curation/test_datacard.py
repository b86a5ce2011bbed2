"""The card of a version."""

from typing import Any

from curation.datacard import write_card
from tests.builders import a_manifest


def test_the_card_says_what_was_done_about_text_and_faces() -> None:
    """And what may still be seen: faint text, faces of heads that the recipe accepts. Who passes images on must know."""
    counts = {"images": 4, "acquired": 4, "patients": 2, "synthetic": 0, "labelled": 4}
    release: dict[str, Any] = {"version": "data-v1", "parent": None, "created_at": "now", "recipe_sha256": "r", "code_commit": "c", "ledger_head": "h"}
    card = write_card(a_manifest(4), release | {"dataset": {"name": "n", "description": "", "licence": "l"}, "counts": counts})
    assert "Text in the pixels was covered in 0 images" in card
    assert "faint or handwritten text" in card
    assert "No face was removed" in card
