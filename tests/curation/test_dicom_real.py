"""Reading DICOM files that others made: those that pydicom ships, and real series."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.dicom import read_header, read_series
from curation.errors import ImageError
from tests.curation.dicom_codes import KEY, PYDICOM_FILES

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
real_data = pytest.mark.real_data


def test_every_file_that_pydicom_ships_gets_an_answer() -> None:
    """Broken and odd ones too: an outcome with a code, never another exception, and no lost file."""
    series: dict[str, list[Path]] = {}
    refused = 0
    files = sorted(path for path in PYDICOM_FILES.rglob("*") if path.is_file())
    for path in files:
        try:
            series.setdefault(read_header(path).series_uid, []).append(path)
        except ImageError as error:
            refused += bool(error.code and error.reason)
    results = [read_series(paths, KEY) for paths in series.values()]
    outcomes = [outcome for result in results for outcome in result.outcomes.values()]
    assert len(outcomes) + refused == len(files)
    assert sum(len(result.images) for result in results) >= 4
    assert all(outcome.outcome == "kept" or (outcome.code and outcome.reason) for outcome in outcomes)


@real_data
def test_seven_transfer_syntaxes_decode_to_the_same_pixels() -> None:
    """Real files, one slice in seven lossless syntaxes."""
    from curation.dicom_pixels import decode_frames
    from curation.dicom_reading import open_dataset

    folder = SHARED / "mr-siemens-7-syntaxes"
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder}")
    datasets = [open_dataset(path) for path in sorted(folder.glob("*.dcm"))]
    assert len({str(dataset.file_meta.TransferSyntaxUID) for dataset in datasets}) == 7
    assert len({decode_frames(dataset).tobytes() for dataset in datasets}) == 1


@real_data
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("ct-ge-head-tilt", {("quarantined", "GANTRY_TILT")}), ("ct-ge-small", {("quarantined", "VALUE_RANGE")}), ("ct-philips-phantom-tilt", {("kept", "")}),
        ("mr-ge-fmri", {("kept", "")}), ("mr-siemens-mosaic", {("kept", "")}), ("mr-enhanced", {("kept", "")}),
        ("mr-siemens-7-syntaxes", {("kept", ""), ("duplicate", "SAME_PIXELS")}),
    ],
)  # fmt: skip
def test_real_series_are_judged_by_what_they_are(folder: str, expected: set[tuple[str, str]]) -> None:
    """Tilt and a T1 image that calls itself CT are refused; whole volumes, functional MR and mosaics are kept."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"real data are not here: {SHARED / folder}")
    series: dict[str, list[Path]] = {}
    refused: set[str] = set()
    for path in sorted(path for path in (SHARED / folder).rglob("*") if path.is_file()):
        try:
            series.setdefault(read_header(path).series_uid, []).append(path)
        except ImageError as error:
            refused.add(error.code)
    assert refused <= {"DIRECTORY", "NOT_DICOM"}
    found = {(outcome.outcome, outcome.code) for paths in series.values() for outcome in read_series(paths, KEY).outcomes.values()}
    assert found == expected
