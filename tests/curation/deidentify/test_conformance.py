"""What the engine does with every element of PS3.15 table E.1-1 is what the table, and our own claim, say."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.datadict import DicomDictionary, dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from curation.deidentify.conformance import BASIC_ONLY, EVERYTHING, Requirement, conformance_table, requirements
from curation.deidentify.options import DeidentifySettings
from curation.deidentify.rules import Action, action_on
from tests.curation.deidentify.cleaning import clean_dataset
from tests.curation.dicom_builders import a_dataset

TOKEN = "ZQJXKV"
PLANTED: dict[str, Any] = {
    "AE": TOKEN, "AS": "044Y", "CS": TOKEN, "DA": "19880704", "DS": "1.25", "DT": "19880704112233.5", "FD": 1.25, "FL": 1.25, "IS": "37", "LO": TOKEN,
    "LT": TOKEN, "OB": TOKEN.encode(), "OW": TOKEN.encode(), "PN": f"{TOKEN}^{TOKEN}", "SH": TOKEN, "SL": 37, "SS": 37, "ST": TOKEN, "TM": "112233",
    "UC": TOKEN, "UI": "1.9.87.65", "UL": 37, "UN": TOKEN.encode(), "UR": TOKEN, "US": 37, "UT": TOKEN, "SV": 37, "UV": 37, "OF": b"\0\0\xa0\x3f",
    "OD": b"\0" * 8, "OL": b"\0" * 4,
}  # fmt: skip
KNOWN = {"PatientSex": "M", "PatientAge": "044Y", "PatientSize": 1.25, "PatientWeight": 1.25}
EXACT = [row for row in requirements() if row.number is not None]
ALL_SETTINGS = {"basic": BASIC_ONLY, "everything": EVERYTHING}


def plant(row: Requirement) -> tuple[Dataset, Any]:
    """Return a data set with the element, holding a value that could identify, and that value."""
    assert row.number is not None
    tag = Tag(row.number)
    dataset = a_dataset(StudyTime="101112")
    if not dictionary_has_tag(tag):  # newer than pydicom's dictionary
        dataset.add_new(tag, "LO", TOKEN)
        return dataset, TOKEN
    vr = dictionary_VR(tag).split(" or ")[0]
    entry = Dataset()
    entry.PatientComments, entry.ReferencedSOPInstanceUID = TOKEN, "1.9.87.65"
    value = Sequence([entry]) if vr == "SQ" else KNOWN.get(keyword_for_tag(tag), PLANTED[vr])
    dataset.add_new(tag, vr, value)
    return dataset, value


def observe(clean: Dataset, row: Requirement, planted: Any) -> Action:
    """Return what became of the element."""
    assert row.number is not None
    if row.number not in clean:
        return "removed"
    found = clean[row.number]
    if found.VR == "SQ":
        return "cleaned"
    if found.value in ("", None):
        return "emptied"
    if str(found.value) == str(planted):
        return "kept"
    return "replaced" if found.VR in ("UI", "PN") or found.keyword in ("PatientID", "ROIName") else "cleaned"


@pytest.mark.parametrize("settings", ALL_SETTINGS.values(), ids=ALL_SETTINGS.keys())
def test_the_engine_does_with_each_element_what_the_table_asks_for(settings: DeidentifySettings) -> None:
    """653 elements, each planted alone; no value that names somebody comes out."""
    assert len(EXACT) == 653
    for row in EXACT:
        dataset, planted = plant(row)
        clean = clean_dataset(dataset, **settings.model_dump())
        seen = observe(clean, row, planted)
        claimed = action_on(row.number or 0, settings)
        assert row.permits(seen, settings), (row, seen)
        assert seen == claimed or seen == "removed" or {seen, claimed} == {"kept", "cleaned"}, (row, seen, claimed)
        assert TOKEN not in str(clean), row


def test_our_claim_permits_every_row() -> None:
    """The page that is made from the claim promises nothing that the table forbids."""
    for row in EXACT:
        for settings in ALL_SETTINGS.values():
            assert row.permits(action_on(row.number or 0, settings), settings), row


def test_groups_of_elements_go_whole() -> None:
    """Curves, overlays and private elements."""
    dataset = a_dataset()
    for group in (0x5000, 0x5002, 0x501E, 0x6000, 0x6002, 0x601E):
        dataset.add_new(Tag(group, 0x3000), "OW", TOKEN.encode())
        dataset.add_new(Tag(group, 0x4000), "LT", TOKEN)
        dataset.add_new(Tag(group, 0x0022), "LO", TOKEN)
    block = dataset.private_block(0x0099, TOKEN, create=True)
    block.add_new(0x01, "LO", TOKEN)
    clean = clean_dataset(dataset, retain_safe_private=True)
    assert not [tag for tag in clean.keys() if tag.group in range(0x5000, 0x6020) or tag.is_private]  # noqa: SIM118
    assert TOKEN not in str(clean)


def test_an_element_that_the_standard_does_not_know_goes_too() -> None:
    """Even groups, not in any dictionary."""
    dataset = a_dataset()
    assert 0x00189998 not in DicomDictionary
    dataset.add_new(0x00189998, "LO", TOKEN)
    assert 0x00189998 not in clean_dataset(dataset)


def test_the_page_has_a_line_for_each_row() -> None:
    """657 rows, and a head."""
    assert len(conformance_table().splitlines()) == len(requirements()) + 2 == 659
