"""The second look finds what a mistake in the first would let through, and nothing else."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.deidentify.harvest import Identifiers, Source, collect, harvest_identifiers
from curation.deidentify.little_endian import element
from curation.deidentify.second_look import refuse_bytes, refuse_leaks
from curation.errors import ImageError
from tests.curation.deidentify.cleaning import clean_bytes
from tests.curation.dicom_builders import a_dataset

PLACE = "study/series/instance.dcm"


def with_hole(original: Dataset, tag: int, vr: str, value: bytes) -> tuple[bytes, ...]:
    """Return the parts of a cleaned file into which a mistake has written one more element, in front of its pixels."""
    header, *pixels = clean_bytes(original)
    return (header + element(tag, vr, value), *pixels)


def test_names_ids_dates_and_places_are_gathered_at_every_depth() -> None:
    """Parts of names too, in both orders, ids without separators, dates in the usual forms."""
    request = Dataset()
    request.RequestingPhysician = "Xaver^Dr Bo"
    found = harvest_identifiers(a_dataset(RequestAttributesSequence=Sequence([request]), OperatorsName="Li^Wu", PatientTelephoneNumbers="030 / 12 34 567"))
    assert {"QUASTENFLOSSER", "WILHELMINE QUASTENFLOSSER", "WILHELMINE", "PID-4711-X", "PID4711X", "KRANKENHAUS HINTERWALD", "XAVER"} <= found.words
    assert {"19570311", "11.03.1957", "1957-03-11", "0301234567"} <= found.numbers
    assert {"11-MAR-1957", "11MAR57"} <= found.words
    assert {"LI", "WU", "BO"} <= found.short


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00081010, "SH", b"QuastenFLOSSER"), (0x00081030, "LO", b"of PID-4711-X"), (0x00081010, "SH", b"PID4711X"), (0x00081010, "SH", b"19570311"),
        (0x00081010, "LO", b"born 11.03.1957"), (0x00080014, "UI", b"1.2.826.0.1.3680043.8.498.2"), (0x00080020, "DA", b"20201224"),
        (0x00101030, "DS", b"19570311"), (0x0008103E, "LO", "M\u00fcller".encode()), (0x00104000, "LT", "Quastenflosser".encode("utf-16-le")),
        (0x00281199, "UL", (19570311).to_bytes(4, "little")), (0x00283006, "OW", b"\1\2WILHELMINE\3\4"),
        (0x00283006, "OW", "Wilhelmine".encode("utf-16-be")), (0x00189073, "FD", struct.pack("<d", 19570311)),
    ],
)  # fmt: skip
def test_a_hole_in_the_allow_list_is_noticed(tag: int, vr: str, value: bytes) -> None:
    """A name in other capitals, an id within a sentence, dates, old UIDs, other character sets, binary numbers, hidden in tables."""
    original = a_dataset()
    identifiers = harvest_identifiers(original)
    refuse_leaks(clean_bytes(original), PLACE, identifiers)
    with pytest.raises(ImageError, match="LEAK") as caught:
        refuse_leaks(with_hole(original, tag, vr, value), PLACE, identifiers)
    assert "uasten" not in str(caught.value)


@pytest.mark.parametrize("name", ["Li^Bo", "Ng"])
def test_short_names_are_found_as_whole_words(name: str) -> None:
    """And only so: two letters are in many words."""
    original = a_dataset(PatientName=name)
    identifiers = harvest_identifiers(original)
    refuse_leaks(clean_bytes(original), PLACE, identifiers)
    with pytest.raises(ImageError, match="LEAK"):
        refuse_leaks(with_hole(original, 0x00081030, "LO", f"scan of {name.split('^')[0]}.".encode()), PLACE, identifiers)


def test_a_hole_inside_a_sequence_is_noticed() -> None:
    """The second look goes as deep as the file."""
    original = a_dataset()
    entry = element(0x0040A160, "UT", b"Wilhelmine")
    item = b"\xfe\xff\x00\xe0" + len(entry).to_bytes(4, "little") + entry
    with pytest.raises(ImageError, match="LEAK"):
        refuse_leaks(with_hole(original, 0x0040A730, "SQ", item), PLACE, harvest_identifiers(original))


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientName": "Patient^Basic", "OperatorsName": "Siemens^Option"}, {"PatientID": "2048", "RepetitionTime": "2048"}, {"PatientName": "Chest^Axial"},
        {"PatientName": "Mono^Chrome"}, {"PatientName": "Roi^Primary"}, {"PatientName": "M^F", "PatientSex": "M"}, {"PatientName": "Abbe^Ada"},
        {"PatientID": "1"}, {"PatientID": "CT", "AccessionNumber": "0"}, {"PatientName": "Original^Yes", "StudyID": "1"}, {"PatientName": "Dicom^Curaloop"},
        {"PatientName": "Standard^Kernel", "ConvolutionKernel": "STANDARD"}, {"PatientBirthDate": "", "PatientID": "0000"}, {"PatientID": "2.25"},
        {"PatientName": "Removed^Modified^Retain"}, {"OtherPatientIDs": ["1", "2", "3"]}, {"StationName": "HFS"}, {"PatientName": "^"}, {"PatientName": "^^^^"},
    ],
)  # fmt: skip
def test_nobody_is_refused_for_an_ordinary_name(tags: dict[str, Any]) -> None:
    """Words of the vocabulary, hexadecimal names, short ids and single letters do not stop an image."""
    original = a_dataset(**tags)
    refuse_leaks(clean_bytes(original), PLACE, harvest_identifiers(original))


def test_what_cannot_be_read_again_counts_as_found() -> None:
    """It fails closed: cut, without its mark, with something in the preamble."""
    header, *pixels = clean_bytes(a_dataset())
    for damaged in (header[:-3], b"MZ" + header[2:], header[:128] + b"MCID" + header[132:]):
        with pytest.raises(ImageError, match="LEAK"):
            refuse_leaks((damaged, *pixels), PLACE, Identifiers())


def test_names_of_files_are_searched_too() -> None:
    """A folder called like the patient would be a leak."""
    original = a_dataset()
    with pytest.raises(ImageError, match="LEAK"):
        refuse_leaks(clean_bytes(original), "quastenflosser/series/1.dcm", harvest_identifiers(original))


def test_pixels_are_searched_for_long_words_only() -> None:
    """A name hidden in the values is found; noise that spells a short one is not a reason."""
    identifiers = collect([Source("Quastenflosser^Wilhelmine", "name"), Source("NOOK^LM", "name"), Source("19570311", "date")])
    noise = bytes(range(256)) * 8
    refuse_bytes((noise, b"NOOK" * 100, b"19570311" * 4), PLACE, identifiers)
    for hidden in (b"quastenFLOSSER", "Wilhelmine".encode("utf-16-le"), "Wilhelmine".encode("utf-16-be")):
        with pytest.raises(ImageError, match="LEAK"):
            refuse_bytes((noise + hidden + noise,), PLACE, identifiers)


def test_names_in_another_character_set_are_gathered() -> None:
    """In the set that the file names, and as the bytes lie there, for a file that names a wrong one."""
    original = a_dataset(SpecificCharacterSet="ISO_IR 100", PatientName="M\u00fcller-L\u00fcdenscheidt^J\u00f6rg")
    stream = io.BytesIO()
    original.save_as(stream, enforce_file_format=True)
    found = harvest_identifiers(dcmread(io.BytesIO(stream.getvalue())))
    assert {"M\u00dcLLER-L\u00dcDENSCHEIDT", "MUELLER-LUEDENSCHEIDT", "JOERG", "J\u00d6RG"} <= found.words
