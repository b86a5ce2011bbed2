"""Bad files get their answer, whatever else is in the source: groups 1 to 80 of the catalogue, each made here."""

from pathlib import Path

import pytest

from tests.bad_inputs import dicom_files, nifti_files, raster_files
from tests.bad_inputs.answering import answers_of
from tests.bad_inputs.cases import Case

CASES = (*dicom_files.CASES, *nifti_files.CASES, *raster_files.CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_bad_file_gets_its_answer(case: Case, tmp_path: Path) -> None:
    """And the sound files beside it are kept."""
    assert answers_of(case, tmp_path) == case.answers
