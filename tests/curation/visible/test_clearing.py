"""What happens to an image before its row is made."""

from __future__ import annotations

import numpy as np
import pytest

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.visible.candidates import find_candidates
from curation.visible.clearing import TEXT_MASKED, clear_image
from curation.visible.faces import FACE_ACCEPTED
from tests.curation.visible.text_builders import a_head, a_scene, written


def test_an_image_without_text_is_the_same_object() -> None:
    """Nothing is copied, nothing is noted."""
    image = Acquired(a_scene(), "CR", "p")
    assert clear_image(image) is image


def test_a_covered_image_says_so() -> None:
    """The row gets the number of pixels and a note; other fields and notes stay."""
    image = Acquired(written(a_scene(), "DOE^JANE 1957"), "CR", "p", fields={"sex": "F"}, notes=("EIGHT_BITS",))
    cleared = clear_image(image)
    assert cleared.notes == ("EIGHT_BITS", TEXT_MASKED)
    assert cleared.fields["sex"] == "F"
    assert cleared.fields["masked_px"] >= (cleared.pixels != image.pixels).sum() > 0


def test_slices_of_a_volume_are_looked_at_one_by_one() -> None:
    """Only the slice with text changes."""
    pixels = np.stack([a_scene(seed) for seed in range(3)]).astype(np.float32) * 4 - 300
    pixels[2] = written(pixels[2], "DOE^JANE 1957", value=800)
    image = Acquired(pixels, "MR", "p", (5.0, 1.0, 1.0), np.diag([1.0, 1.0, 5.0, 1.0]))
    cleared = clear_image(image)
    assert [bool((cleared.pixels[n] != pixels[n]).any()) for n in range(3)] == [False, False, True]


def test_a_picture_from_a_screen_is_read_whole() -> None:
    """Faint letters are beneath the cheap look; a DICOM file with its own word on it is as suspect as that word."""
    noise = np.random.default_rng(3).normal(30, 2, (240, 320))
    faint = written(noise.astype(np.uint8), "DOE^JANE 1957", (20, 60), 70, 0.9)
    assert not find_candidates(faint)
    assert clear_image(Acquired(faint, "US", "p")).fields["masked_px"] > 0
    assert "masked_px" not in clear_image(Acquired(faint, "US", "p", fields={"series_uid": "2.25.1"})).fields


@pytest.mark.parametrize(("wanted", "risk"), [("refuse", "low"), ("refuse", "said"), ("header", "said"), ("header", "high")])
def test_the_recipe_may_refuse_instead(wanted: str, risk: str) -> None:
    """Found text is refused, or, when only the header is asked, what it says or does not exclude."""
    image = Acquired(written(a_scene(), "DOE^JANE 1957"), "US", "p", text_risk=risk)  # type: ignore[arg-type]
    with pytest.raises(ImageError) as error:
        clear_image(image, wanted)  # type: ignore[arg-type]
    assert error.value.code == "BURNED_IN_TEXT"


def test_a_header_that_says_nothing_is_enough_when_only_it_is_asked() -> None:
    """Fast, and on the user's own risk."""
    image = Acquired(written(a_scene(), "DOE^JANE 1957"), "CR", "p")
    assert clear_image(image, "header") is image


def test_a_head_is_refused_unless_accepted() -> None:
    """An accepted one says so."""
    head = a_head(3.0, body_part="HEAD")
    with pytest.raises(ImageError) as error:
        clear_image(head)
    assert error.value.code == "FACE_RISK"
    assert clear_image(head, accept_face_risk=True).notes == (FACE_ACCEPTED,)
