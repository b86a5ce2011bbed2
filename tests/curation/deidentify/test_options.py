"""Each option keeps what its name says and nothing more, and the file says which were on."""

from __future__ import annotations

import struct
import warnings
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.deidentify.calendar import Calendar, parse_time
from curation.deidentify.devices import known_model
from curation.deidentify.options import METHOD_CODES
from tests.curation.deidentify.cleaning import KEY, clean_bytes, clean_dataset
from tests.curation.dicom_builders import ROOT, a_dataset

TEXTS = [keyword for vr, _, _, _, keyword in DicomDictionary.values() if keyword and vr in ("LO", "SH", "ST", "LT", "UT", "UC", "PN", "CS", "AE", "UR")]
WORDS = st.text("BCDFGHJKLMNPQRSTVWXZ", min_size=9, max_size=14)


def codes_of(clean: Dataset) -> set[str]:
    """Return the codes of what was done."""
    return {code.CodeValue for code in clean.DeidentificationMethodCodeSequence}


@pytest.mark.parametrize(
    ("option", "code", "keyword", "value"),
    [
        ("retain_longitudinal_modified_dates", "113107", "SeriesDate", "20201225"), ("retain_patient_characteristics", "113108", "PatientAge", "063Y"),
        ("retain_patient_characteristics", "113108", "PatientWeight", "71.5"), ("retain_device_identity", "113109", "DeviceSerialNumber", "4711"),
    ],
)  # fmt: skip
def test_an_option_that_is_off_takes_its_elements_and_its_code_away(option: str, code: str, keyword: str, value: Any) -> None:
    """And brings them back when it is on."""
    on, off = (clean_dataset(a_dataset(**{keyword: value}), **{option: state}) for state in (True, False))
    assert (keyword in on, code in codes_of(on)) == (True, True)
    assert (keyword in off, code in codes_of(off)) == (False, False)
    assert codes_of(on) <= {known.value for known in METHOD_CODES}


def test_without_dates_the_file_says_that_they_are_gone() -> None:
    """REMOVED, and no date but the empty one that every study has."""
    clean = clean_dataset(a_dataset(), retain_longitudinal_modified_dates=False)
    assert clean.LongitudinalTemporalInformationModified == "REMOVED"
    assert [element.keyword for element in clean if element.VR in ("DA", "TM", "DT") and element.value] == []


def test_codes_of_the_standard_stay_with_the_words_of_the_standard() -> None:
    """What somebody typed beside the code goes; a code that nobody knows goes whole; without the option all go."""
    known, unknown = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "10200004", "SCT", "Wilhelmines Leber"
    unknown.CodeValue, unknown.CodingSchemeDesignator, unknown.CodeMeaning = "QUASTE", "99KHW", "Quastenflosser"
    original = a_dataset(AnatomicRegionSequence=Sequence([known, unknown]))
    (kept,) = clean_dataset(original).AnatomicRegionSequence
    assert (kept.CodeValue, kept.CodingSchemeDesignator, kept.CodeMeaning) == ("10200004", "SCT", "Liver")
    assert "AnatomicRegionSequence" not in clean_dataset(original, clean_descriptors=False)


def test_safe_private_numbers_stay_when_asked_for() -> None:
    """A b-value, its gradient and the tiles of a mosaic with the owner's name; text in the same block, numbers of others and wrong kinds go."""
    original = a_dataset(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    block = original.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", 36)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x0D, "CS", "DIRECTIONAL")
    block.add_new(0x0E, "FD", [0.5, 0.5, 0.7])
    block.add_new(0x08, "LO", "Quastenflosser")
    block.add_new(0x27, "LO", "Quastenflosser")
    block.add_new(0x16, "DS", "777000123")
    other = original.private_block(0x0021, "QUASTENFLOSSER", create=True)
    other.add_new(0x0C, "IS", "1000")
    assert not [tag for tag in clean_dataset(original).keys() if tag.is_private]  # noqa: SIM118
    clean = clean_dataset(original, retain_safe_private=True)
    kept = clean.private_block(0x0019, "SIEMENS MR HEADER")
    assert [kept[number].value for number in (0x0A, 0x0C, 0x0D)] == [36, 1000, "DIRECTIONAL"]
    assert len([tag for tag in clean.keys() if tag.is_private]) == 5  # noqa: SIM118
    assert "113111" in codes_of(clean)


def a_csa_header(**tags: list[str]) -> bytes:
    """Return a CSA header of the second format with texts as values."""
    content = b"SV10\4\3\2\1" + struct.pack("<2I", len(tags), 77)
    for name, items in tags.items():
        vr = b"LO" if name == "PatientHint" else b"FD"
        content += struct.pack("<64si4s3i", name.encode(), len(items), vr, 4, len(items), 77)
        for item in items:
            text = item.encode() + b"\0"
            content += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return content


def test_the_csa_header_of_a_mosaic_is_rebuilt_from_its_numbers() -> None:
    """Direction and number of tiles stay; texts, huge numbers and what lies between go; without the option all of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its DICOM part experimental
        from nibabel.nicom.csareader import read

    old = a_csa_header(SliceNormalVector=["0.0", "0.6", "0.8"], PatientHint=["Quastenflosser"], NumberOfImagesInMosaic=["36"], B_value=["777000123"])
    original = a_dataset()
    original.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", old)
    assert 0x00291010 not in clean_dataset(original)
    new = clean_dataset(original, retain_safe_private=True)[0x00291010].value
    tags = read(new)["tags"]
    assert {name: tag["items"] for name, tag in tags.items()} == {"SliceNormalVector": [0.0, 0.6, 0.8], "NumberOfImagesInMosaic": [36]}
    assert b"777" not in new
    assert b"uasten" not in new
    original[0x00291010].value = b"SV10 Quastenflosser"
    assert 0x00291010 not in clean_dataset(original, retain_safe_private=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SOMATOM Definition AS+", "SOMATOM DEFINITION AS"), ("Skyra", "SKYRA"), ("Ingenia 3.0T", "INGENIA 3 0T"), ("LightSpeed VCT", "LIGHTSPEED VCT"),
        ("Skyra of Dr Quaste", None), ("Wilhelmine", None), ("", None), ("1234", None), ("Skyra 12345", None), ("S", None),
    ],
)  # fmt: skip
def test_a_model_stays_when_each_word_is_a_model_word(text: str, expected: str | None) -> None:
    """No sentence, no person, no long number passes."""
    assert known_model(text) == expected


def test_the_model_is_a_pseudonym_unless_asked_for() -> None:
    """Equal models have equal pseudonyms."""
    original = a_dataset(ManufacturerModelName="Skyra")
    assert clean_dataset(original).ManufacturerModelName.startswith("model-")
    assert clean_dataset(original, retain_device_identity=True).ManufacturerModelName == "SKYRA"


def test_intervals_are_kept_to_the_microsecond() -> None:
    """Within a study, over midnight, and between the studies of a patient; the hour of the visit is gone."""
    calendar = Calendar(KEY, "P1", datetime(2020, 12, 24, 22, 50, 0))
    times = [("20201224", "225000"), ("20201224", "233000.25"), ("20201225", "001500.000001")]
    moved = [datetime.strptime(f"{calendar.day(day, at)}{_clock(calendar.clock(at, day))}", "%Y%m%d%H%M%S.%f") for day, at in times]
    assert (moved[1] - moved[0]).total_seconds() == 40 * 60 + 0.25
    assert (moved[2] - moved[0]).total_seconds() == pytest.approx(85 * 60 + 1e-6, abs=1e-7)
    assert 12 <= moved[0].hour <= 12
    assert calendar.moment("20201225001500.000001") == f"{moved[2]:%Y%m%d%H%M%S.%f}"
    first, second = (clean_dataset(a_dataset(StudyDate=day, StudyTime=at)) for day, at in (("20200101", "080000"), ("20200111", "220000")))
    assert np.datetime64(_iso(second.StudyDate)) - np.datetime64(_iso(first.StudyDate)) == np.timedelta64(10, "D")


@pytest.mark.parametrize("text", ["", "24", "2560", "noon", "101112.1234567", "1011 12"])
def test_no_clock_shows_these(text: str) -> None:
    """They are dropped."""
    assert parse_time(text) is None


@pytest.mark.parametrize(("age", "expected"), [("089Y", "089Y"), ("090Y", "090Y"), ("103Y", "090Y"), ("011M", "011M"), ("QUAS", None)])
def test_ages_over_89_are_capped(age: str, expected: str | None) -> None:
    """The birth date is gone too."""
    clean = clean_dataset(a_dataset(PatientAge=age, PatientBirthDate=""))
    assert clean.get("PatientAge") == expected


def test_nothing_survives_of_a_birth_date_but_the_age() -> None:
    """A hundred years before the study are ninety."""
    assert clean_dataset(a_dataset(PatientAge=None, PatientBirthDate="19000101")).PatientAge == "090Y"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=WORDS, keywords=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6, unique=True), depth=st.integers(0, 3))
def test_no_text_planted_anywhere_survives(word: str, keywords: list[str], depth: int) -> None:
    """Any word in any text element at any depth."""
    needed = {"SOPClassUID", "Modality", "PhotometricInterpretation", "BurnedInAnnotation", "RecognizableVisualFeatures", "CoordinateSystemAxisCode"}
    level = Dataset()
    for keyword in set(keywords) - needed:
        setattr(level, keyword, word)
    for _ in range(depth):
        outer = Dataset()
        outer.SharedFunctionalGroupsSequence = Sequence([level])
        level = outer
    original = a_dataset()
    original.update(level)
    original.SOPInstanceUID = f"{ROOT}.{len(word)}"
    header = clean_bytes(original)[0].upper()
    assert word.encode() not in header
    assert word.encode("utf-16-le") not in header


def _clock(text: str | None) -> str:
    assert text is not None
    return text if "." in text else f"{text}.0"


def _iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"
