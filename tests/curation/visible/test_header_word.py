"""What the header says of text in the pixels, and what the pixels answer."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from curation.errors import ImageError
from curation.visible.header_word import clear_text, highest_risk, text_risk_of
from tests.curation.visible.text_builders import a_scene, written


def a_header(**tags: str) -> Dataset:
    """Return a header with a few elements."""
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


RISKS = {
    "said": [{"BurnedInAnnotation": "YES"}, {"BurnedInAnnotation": "YES", "Modality": "CT"}],
    "high": [{"Modality": "US"}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, {"Modality": "CR", "ConversionType": "DF"}],
    "low": [{"Modality": "CT"}, {"Modality": "DMS", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4"}, {"Modality": "US", "BurnedInAnnotation": "NO"}, {}],
}


@pytest.mark.parametrize(("risk", "tags"), [(risk, tags) for risk, headers in RISKS.items() for tags in headers])
def test_class_modality_and_annotation_make_the_risk(risk: str, tags: dict[str, str]) -> None:
    """A denial lowers it, a claim raises it, whatever the kind."""
    assert text_risk_of(a_header(**tags)) == risk


def test_a_volume_is_as_suspect_as_its_worst_file() -> None:
    """One slice that claims text is enough."""
    quiet, claimed = a_header(Modality="CT"), a_header(Modality="CT", BurnedInAnnotation="YES")
    assert highest_risk([quiet, claimed]) == "said"
    assert highest_risk([quiet, a_header(Modality="US")]) == "high"
    assert highest_risk([]) == "low"


def test_claimed_text_is_covered_and_a_claim_without_text_is_believed() -> None:
    """The header is right about something that we cannot see: then nobody may have it."""
    header, scene = a_header(Modality="DX", BurnedInAnnotation="YES"), a_scene()
    cleared = clear_text(header, written(scene, "DOE^JANE 1957")[None])
    assert cleared.masked_px > 0
    for frames, clean_pixels in ((scene[None], True), (written(scene, "DOE^JANE 1957")[None], False)):
        with pytest.raises(ImageError) as error:
            clear_text(header, frames, clean_pixels=clean_pixels)
        assert error.value.code == "BURNED_IN_TEXT"


def test_unclaimed_text_is_refused_when_it_may_not_be_covered() -> None:
    """A header that says NO does not make it true."""
    header, scene = a_header(Modality="CR", BurnedInAnnotation="NO"), a_scene()
    assert clear_text(header, scene[None], clean_pixels=False).masked_px == 0
    with pytest.raises(ImageError) as error:
        clear_text(header, written(scene, "DOE^JANE 1957")[None], clean_pixels=False)
    assert error.value.code == "BURNED_IN_TEXT"


def test_text_in_a_palette_image_is_seen_in_its_colours() -> None:
    """Neighbouring indices, far apart in the palette: in the stored values there is hardly any contrast."""
    scene = np.where(a_scene() > 60, 3, 2).astype(np.uint8)
    palette = np.zeros(256, np.uint16)
    palette[:5] = np.array([0, 0, 20, 90, 255]) * 257
    header = a_header(Modality="US", PhotometricInterpretation="PALETTE COLOR")
    header.BitsStored = 8
    for colour in ("Red", "Green", "Blue"):
        setattr(header, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(header, f"{colour}PaletteColorLookupTableData", palette.tobytes())
    planted = written(scene, "DOE^JANE 1957", value=4)
    cleared = clear_text(header, planted[None])
    assert cleared.masked_px > 0
    assert cleared.frames.dtype == np.uint8
