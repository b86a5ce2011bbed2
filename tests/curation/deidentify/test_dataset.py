"""What the allow-list copies, and in which form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.deidentify import allowed
from curation.deidentify.dataset import clean_level, cleaning_of
from curation.deidentify.little_endian import element, level, values_of
from curation.deidentify.options import DeidentifySettings
from curation.pseudonyms import pseudonym, pseudonymous_uid
from tests.curation.deidentify.cleaning import KEY, clean_dataset
from tests.curation.dicom_builders import ROOT, a_dataset, a_dicom


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PixelSpacing", [0.5, 0.25], [0.5, 0.25]), ("EchoTime", "12.5", 12.5), ("SeriesNumber", "7", 7), ("SeriesNumber", "1957031", None),
        ("ImageType", ["DERIVED", "SECONDARY", "QUASTENFLOSSER"], ["DERIVED", "SECONDARY"]), ("BodyPartExamined", "KNEE", "KNEE"),
        ("BodyPartExamined", "WILHELMINE", None), ("PatientPosition", "HFS", "HFS"), ("SyntheticData", "YES", "YES"),
        ("StudyDescription", "anything", None), ("KVP", "777000123", None),
        ("PatientWeight", "7770001", None), ("PatientSize", "1.7", 1.7),
        ("FrameReferenceTime", "3600000.5", 3600000.5), ("FrameReferenceTime", "777000123", None),
        ("Manufacturer", "SIEMENS Healthineers Quastenflosser", "Siemens"), ("OperatorsName", "Xaver", None), ("ContentDate", "20209999", None),
    ],
)  # fmt: skip
def test_elements_are_copied_only_as_what_they_should_be(keyword: str, value: Any, expected: Any) -> None:
    """Numbers as numbers, codes from their list, text never."""
    clean = clean_dataset(a_dataset(**{keyword: value}))
    assert clean.get(keyword) == expected


def test_a_number_under_a_wrong_representation_is_dropped() -> None:
    """Text that calls itself SliceThickness is no thickness."""
    dataset = a_dataset()
    dataset.add_new(0x00180050, "LO", "3.5")
    assert "SliceThickness" not in clean_dataset(dataset)


def test_entries_of_sequences_follow_the_same_rule() -> None:
    """Nested text goes, nested numbers and UIDs stay; a sequence that is not listed goes whole."""
    entry, lut = Dataset(), Dataset()
    entry.ReferencedSOPInstanceUID, entry.PatientComments = f"{ROOT}.77", "Quastenflosser"
    lut.WindowCenter, lut.WindowWidth, lut.WindowCenterWidthExplanation = 40, 400, "Quastenflosser"
    dataset = a_dataset(SourceImageSequence=Sequence([entry]), FrameVOILUTSequence=Sequence([lut]), RequestAttributesSequence=Sequence([entry]))
    clean = clean_dataset(dataset)
    assert "RequestAttributesSequence" not in clean
    assert clean.SourceImageSequence[0].to_json_dict().keys() == {"00081155"}
    assert clean.SourceImageSequence[0].ReferencedSOPInstanceUID == pseudonymous_uid(KEY, f"{ROOT}.77")
    assert (clean.FrameVOILUTSequence[0].WindowWidth, "WindowCenterWidthExplanation" in clean.FrameVOILUTSequence[0]) == (400, False)


def test_the_patient_is_a_pseudonym_and_the_name_too() -> None:
    """Of the key and the raw id; a patient without id is known by the study."""
    clean = clean_dataset(a_dataset())
    assert clean.PatientID == clean.PatientName == pseudonym(KEY, "patient", "PID-4711-X")
    assert clean_dataset(a_dataset(PatientID=None)).PatientID == pseudonym(KEY, "patient", f"study {ROOT}.2")


def test_colour_is_written_as_rgb_pixel_by_pixel() -> None:
    """Planes one after the other are woven together."""
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    dataset = a_dataset(
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=1,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=rgb.transpose(2, 0, 1).tobytes(),
    )
    clean = clean_dataset(dataset)
    assert (clean.PlanarConfiguration, clean.PhotometricInterpretation) == (0, "RGB")
    assert clean.PixelData == rgb.tobytes()


def test_every_keyword_of_the_allow_list_is_in_the_standard_and_no_text() -> None:
    """A typing error would silently drop an element; a text element would be a leak."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    kinds = {
        allowed.NUMBERS: {"DS", "IS", "US", "SS", "UL", "SL", "FD", "FL", "US or SS"}, allowed.UIDS: {"UI"}, allowed.CLASS_UIDS: {"UI"},
        frozenset(allowed.DATES): {"DA"}, allowed.TIMES: {"TM"}, allowed.MOMENTS: {"DT"}, allowed.POINTERS: {"AT"}, allowed.SEQUENCES | allowed.CODED: {"SQ"},
        allowed.TABLES: {"OW", "US or OW"}, frozenset(allowed.CODES): {"CS", "LO", "SH"}, allowed.LABELS: {"LO"},
    }  # fmt: skip
    for keywords, vrs in kinds.items():
        for keyword in keywords:
            tag = tag_for_keyword(keyword)
            assert tag is not None, keyword
            assert dictionary_VR(tag) in vrs, keyword


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00280010, "UN", b"ZQXJWVKPTB"), (0x00280120, "US", b"ZQXJWVKPTB"), (0x00281101, "UN", b"ZQXJWV"), (0x00189309, "FD", b"ZQXJWVKP"),
        (0x00209157, "UL", b"ZQXJ, WVKPTB"), (0x00189309, "FD", b"\0\0\0\0\0\0\xf8\x7f"), (0x00200032, "DS", b"1\\2\\3\\4"), (0x00180050, "DS", b"1.5 ZQXJ"),
        (0x00180050, "DS", b"nan"), (0x00201041, "DS", b"1e999"), (0x00200011, "IS", b"1.5"),
    ],
)  # fmt: skip
def test_text_that_calls_itself_a_number_is_dropped(tmp_path: Path, tag: int, vr: str, value: bytes) -> None:
    """Under a binary representation, under none, as more values than the element has, and what is no number at all."""
    path = a_dicom(tmp_path)
    content = path.read_bytes()
    begin = content.index(b"\x08\x00\x08\x00CS")
    end = content.rindex(b"\xe0\x7f\x10\x00")
    elements = {found.tag: element(found.tag, found.vr, found.content) for found in values_of(content[begin:end])}
    path.write_bytes(content[:begin] + level(elements | {tag: element(tag, vr, value)}) + content[end:])
    dataset = dcmread(path)
    clean = clean_level(dataset, cleaning_of(dataset, KEY, DeidentifySettings()))
    assert tag not in clean
    assert b"ZQXJ" not in level(clean)
