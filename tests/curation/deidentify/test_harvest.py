"""The second look finds what a mistake in the first would let through."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.deidentify.dataset import clean_dataset, encode_dataset
from curation.deidentify.harvest import harvest_identifiers, refuse_leaks
from curation.errors import ImageError
from tests.curation.dicom_builders import a_dataset

KEY = b"k" * 32


def test_names_ids_dates_and_places_are_gathered_at_every_depth() -> None:
    """Parts of names too; short words and values that come from a list are left out."""
    request = Dataset()
    request.RequestingPhysician = "Xaver^Dr Bo"
    found = harvest_identifiers(a_dataset(RequestAttributesSequence=Sequence([request]), OperatorsName="CHEST^Li"))
    assert {"QUASTENFLOSSER", "WILHELMINE", "PID-4711-X", "19570311", "KRANKENHAUS HINTERWALD", "XAVER"} <= found
    assert not found & {"LI", "BO", "CHEST"}


@pytest.mark.parametrize(
    "planted",
    [
        {"StationName": "QuastenFLOSSER"}, {"StudyDescription": "of PID-4711-X"}, {"StationName": "19570311"},
        {"InstanceCreatorUID": "1.2.826.0.1.3680043.8.498.2"},
    ],
)  # fmt: skip
def test_a_hole_in_the_allow_list_is_noticed(planted: dict[str, str]) -> None:
    """A name in other capitals, an id inside a sentence, a birth date, an old UID."""
    dataset = a_dataset()
    clean = clean_dataset(dataset, KEY)
    refuse_leaks(encode_dataset(clean), harvest_identifiers(dataset))
    for keyword, value in planted.items():
        setattr(clean, keyword, value)
    with pytest.raises(ImageError, match="LEAK") as caught:
        refuse_leaks(encode_dataset(clean), harvest_identifiers(dataset))
    assert not any(value in str(caught.value) for value in planted.values())


def test_a_hole_inside_a_sequence_is_noticed() -> None:
    """The second look goes as deep as the file."""
    dataset, entry = a_dataset(), Dataset()
    clean = clean_dataset(dataset, KEY)
    entry.TextValue = "Wilhelmine"
    clean.ContentSequence = Sequence([entry])
    with pytest.raises(ImageError, match="LEAK"):
        refuse_leaks(encode_dataset(clean), harvest_identifiers(dataset))


def test_a_patient_called_patient_can_be_cleaned() -> None:
    """Our own sentences and the names of makers are no leak."""
    dataset = a_dataset(PatientName="Patient^Basic", OperatorsName="Siemens^Option", PatientID="2048", RepetitionTime="2048")
    refuse_leaks(encode_dataset(clean_dataset(dataset, KEY)), harvest_identifiers(dataset))
