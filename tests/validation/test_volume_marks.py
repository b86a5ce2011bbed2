"""Synthetic volumes say in their own file that they are synthetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.pixels import encode_nifti
from curation.records import to_frame
from tests.builders import a_record, an_id
from validation.invariants import check_marks

MARKED, UNMARKED, BROKEN = (an_id(number) for number in range(3))
FILES = {
    MARKED: bytes(encode_nifti(np.zeros((2, 3, 4), np.int16), np.eye(4), mark={"Curaloop-Synthetic": "YES"})),
    UNMARKED: bytes(encode_nifti(np.zeros((2, 3, 4), np.int16), np.eye(4))),
    BROKEN: b"no volume",
}


def test_a_volume_without_its_mark_stops_a_release() -> None:
    """Of three files one is marked, one is not, one cannot be read: the check names the two."""
    volume: dict[str, Any] = {"origin": "synthetic", "ndim": 3, "suffix": ".nii.gz", "dtype": "int16", "value_unit": "HU"}
    rows = to_frame([a_record(image_id=image_id, **volume) for image_id in FILES])
    found = check_marks(rows, lambda row: FILES[row["image_id"]])
    assert not found.passed
    assert sorted(found.failures) == sorted(
        [f"synthetic image {BROKEN} cannot be read (IntegrityError)", f"synthetic image {UNMARKED} does not carry its mark"]
    )
    assert check_marks(rows.filter(rows["image_id"] == MARKED), lambda row: FILES[row["image_id"]]).passed
