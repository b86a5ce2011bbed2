"""The codes that a DICOM file or series is refused with, as tests ask for them."""

from __future__ import annotations

from pathlib import Path

import pydicom

from curation.dicom import read_series

KEY = b"k" * 32
PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def codes_of(paths: list[Path]) -> set[str]:
    """Return the codes of all files of a series; every file must have exactly one outcome."""
    result = read_series(paths, KEY)
    assert set(result.outcomes) == set(paths)
    return {outcome.code for outcome in result.outcomes.values()}
