"""The JSON beside a BIDS image."""

import json

import pytest

from curation.errors import ImageError
from curation.sources.sidecar import read_sidecar

KEY = b"k" * 32


def test_device_and_site_come_out_by_the_rules_of_a_header() -> None:
    """Makers and body parts from lists, model and site as pseudonyms, nothing else."""
    said = {
        "Manufacturer": "SIEMENS Healthineers", "ManufacturersModelName": "Prisma_fit", "InstitutionName": "Klinikum Nord", "BodyPartExamined": "spine",
        "MagneticFieldStrength": 3, "PatientName": "Jane Doe", "InstitutionAddress": "Long Street 12", "DeviceSerialNumber": "167006",
    }  # fmt: skip
    found = read_sidecar(json.dumps(said).encode(), KEY)
    assert sorted(found) == ["attributes", "body_part", "manufacturer", "model_name", "site"]
    assert (found["manufacturer"], found["body_part"], found["attributes"]) == ("Siemens", "SPINE", '{"magnetic_field_t": 3.0}')
    assert not any(word in json.dumps(found) for word in ("Prisma", "Nord", "Doe", "Street", "167006"))


def test_what_is_on_no_list_is_dropped() -> None:
    """Odd values are no error."""
    said = {"Manufacturer": "Jane's garage", "BodyPartExamined": ["x"], "MagneticFieldStrength": True, "InstitutionName": None}
    assert read_sidecar(json.dumps(said).encode(), KEY) == {}


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 100_000, b'{"a": "' + b"x" * (5 << 20) + b'"}']
)
def test_what_is_no_strict_json_is_refused(content: bytes) -> None:
    """Keys twice, NaN, depth and size."""
    with pytest.raises(ImageError) as caught:
        read_sidecar(content, KEY)
    assert caught.value.code == "SIDECAR_DAMAGED"
