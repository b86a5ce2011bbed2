"""Every file that pydicom and pydicom-data install gets the right answer, as `pydicom_files.csv` has it: each line was judged by a person.

Columns of the table:
    file: below pydicom's `data` folder, or `pydicom-data/` and the name. Nothing is ever downloaded.
    outcome, code: what becomes of the file, when its header says that no text is burned in.
    text: what its header says of that, when nobody has looked at the pixels: `no`, or `unsaid` where such pictures often show a name.
    pixels: `same` as pydicom's own decoding to the bit, `none` there, `ours` where pydicom refuses, or the code that we refuse them with.
    why: one sentence.
Files of `dicomdirtests` are read series by series, all others alone, for many are copies of each other in other transfer syntaxes.
"""

from __future__ import annotations

import csv
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import ImplicitVRLittleEndian

from curation.dicom import read_header, read_series
from curation.dicom_instances import Outcome, refusal_of
from curation.dicom_kinds import ROUTED
from curation.dicom_pixels import decode_frames
from curation.dicom_reading import guarded, open_dataset
from curation.errors import ImageError
from curation.outcomes import check_kind
from curation.pixels import hash_pixels
from curation.sources.sniff import HEAD_BYTES
from tests.curation.dicom_builders import a_dataset, save

KEY = b"k" * 32
TABLE = Path(__file__).with_name("pydicom_files.csv")
INSTALLED = Path(pydicom.__file__).parent / "data"
FOLDERS = ("test_files", "charset_files", "palettes")


class Row(NamedTuple):
    """One line of the table."""

    file: str
    outcome: str
    code: str
    text: str
    pixels: str
    why: str


def further_folder() -> Path | None:
    """Return the folder of pydicom-data, which registers itself as `data_store`."""
    found = find_spec("data_store")
    return Path(found.submodule_search_locations[0]) / "data" if found and found.submodule_search_locations else None


def files_here() -> dict[str, Path]:
    """Return the installed files by their name in the table."""
    found = {str(path.relative_to(INSTALLED)): path for folder in FOLDERS for path in (INSTALLED / folder).rglob("*") if path.is_file()}
    further = further_folder()
    return found | ({f"pydicom-data/{path.name}": path for path in further.iterdir() if path.is_file()} if further else {})


def read_table() -> dict[str, Row]:
    """Return the lines by file; those of pydicom-data only where it is installed."""
    with TABLE.open(newline="") as stream:
        rows = [Row(**line) for line in csv.DictReader(stream)]
    return {row.file: row for row in rows if further_folder() or not row.file.startswith("pydicom-data/")}


FILES = files_here()
EXPECTED = read_table()


def series_of(name: str) -> list[Path]:
    """Return what is read together with a file."""
    path = FILES[name]
    if "dicomdirtests" not in name:
        return [path]
    return sorted(other for other in path.parent.iterdir() if other.is_file() and series_uid_of(other) == series_uid_of(path))


def series_uid_of(path: Path) -> str:
    """Return the raw series UID; what has none is alone."""
    try:
        return read_header(path).series_uid
    except ImageError:
        return path.name


def answer_of(path: Path, together: list[Path]) -> tuple[Outcome, bool]:
    """Return what becomes of a file, as ingest asks it, and whether its header leaves open that text is burned in."""
    try:
        check_kind(path.name, path.read_bytes()[:HEAD_BYTES], "dicom")
        read_header(path)
    except ImageError as error:
        return refusal_of(error), False
    result = read_series(together, KEY)
    outcome = result.outcomes[path]
    return outcome, outcome.code == "BURNED_IN_TEXT" or any(result.images[index].text_risk != "low" for index in outcome.images)


def without_text(path: Path, folder: Path) -> Path:
    """Return a copy whose header says that no text is burned in."""
    with guarded():
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:  # one file has no meta information
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        list(dataset.iterall())  # elements of a file that mixes implicit and explicit VR are converted first
        dataset.BurnedInAnnotation = "NO"
        dataset.save_as(folder / path.name)
    return folder / path.name


def test_the_table_names_every_installed_file() -> None:
    """A new version of pydicom brings files that somebody must judge; each line says why, and a quarantine has a code."""
    assert set(EXPECTED) == set(FILES)
    assert all(row.why for row in EXPECTED.values())
    assert all((row.outcome == "kept") == (row.code == "") for row in EXPECTED.values())
    assert all((row.outcome == "skipped") == (row.code in ROUTED) for row in EXPECTED.values())


def test_pydicom_data_are_judged_too() -> None:
    """They are a package of their own."""
    if further_folder() is None:
        pytest.skip("pydicom-data is not installed")
    assert sum(row.file.startswith("pydicom-data/") for row in EXPECTED.values()) == 68


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_file_gets_its_answer(tmp_path: Path, name: str) -> None:
    """Kept, routed, or quarantined with its code."""
    expected = EXPECTED[name]
    outcome, is_asked = answer_of(FILES[name], series_of(name))
    assert is_asked == (expected.text == "unsaid")
    if is_asked:
        copy = without_text(FILES[name], tmp_path)
        outcome, is_asked = answer_of(copy, [copy])
        assert not is_asked
    assert (outcome.outcome, outcome.code) == (expected.outcome, expected.code), outcome.reason
    assert outcome.outcome == "kept" or outcome.reason


def their_frames(path: Path) -> Any:
    """Return what pydicom decodes by itself, or None when it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(path, force=True).pixel_array
        except (AttributeError, RuntimeError, ValueError, NotImplementedError):
            return None


def our_frames(path: Path) -> Any:
    """Return what we decode, the code of the refusal, or None when there are no pixels."""
    try:
        dataset = open_dataset(path)
        return decode_frames(dataset) if "PixelData" in dataset else None
    except ImageError as error:
        return error.code


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_pixels_are_those_that_pydicom_decodes(name: str) -> None:
    """To the bit, whatever becomes of the file; where only one of us decodes them, the table says so."""
    theirs, ours, expected = their_frames(FILES[name]), our_frames(FILES[name]), EXPECTED[name].pixels
    if ours is None or isinstance(ours, str):
        assert expected == ours or (expected == "none" and theirs is None)
        return
    assert expected == ("ours" if theirs is None else "same")
    if theirs is not None:
        assert hash_pixels(ours.reshape(theirs.shape)) == hash_pixels(theirs.astype(ours.dtype))
        np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)


FILMS = sorted(name for name, row in EXPECTED.items() if row.code == "MULTIFRAME" and "emri" not in name)


@pytest.mark.parametrize("name", FILMS)
def test_a_film_is_kept_when_the_source_asks_for_frames(tmp_path: Path, name: str) -> None:
    """Each frame as an image, or the middle one; not those whose bits are refused."""
    path = without_text(FILES[name], tmp_path)
    theirs = their_frames(path)
    all_frames, middle = (read_series([path], KEY, frames=frames) for frames in ("all", "middle"))  # type: ignore[arg-type]
    if EXPECTED[name].pixels == "BITS":
        assert all_frames.outcomes[path].code == "BITS"
        return
    assert (len(all_frames.images), len(middle.images)) == (len(theirs), 1)
    np.testing.assert_array_equal(middle.images[0].pixels, all_frames.images[len(theirs) // 2].pixels)
    if theirs.ndim == 4 and theirs.dtype == np.uint8:
        np.testing.assert_array_equal([image.pixels for image in all_frames.images], theirs)


SHOWN = [name for name in sorted(EXPECTED) if EXPECTED[name].outcome == "kept" and any(part in name for part in ("lut_", "RG3", "/CR", "JPGLossless"))]


@pytest.mark.parametrize("name", SHOWN)
def test_gray_pictures_are_shown_as_pydicom_shows_them(tmp_path: Path, name: str) -> None:
    """Modality LUT, VOI LUT, window and MONOCHROME1, to one gray level of the output."""
    path = without_text(FILES[name], tmp_path)
    dataset = pydicom.dcmread(path)
    values = apply_modality_lut(dataset.pixel_array, dataset)
    if "VOILUTSequence" in dataset:
        low, high = 0.0, 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
        shown = apply_voi(np.rint(values).astype(np.int64), dataset)
    elif "WindowWidth" in dataset:
        stored = (
            (0, 2 ** int(dataset.BitsStored) - 1) if dataset.PixelRepresentation == 0 else (-(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1)
        )
        low, high = (float(end) * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0)) for end in stored)
        shown = apply_windowing(values, dataset)
    else:
        low, high, shown = float(values.min()), float(values.max()), values
    share = (np.asarray(shown, np.float64) - low) / (high - low)
    share = 1 - share if dataset.PhotometricInterpretation == "MONOCHROME1" else share
    (image,) = read_series([path], KEY).images
    top = 255 if image.pixels.dtype == np.uint8 else 65535
    assert np.abs(image.pixels.astype(np.float64) - np.clip(share, 0, 1) * top).max() <= 1


def test_a_real_segmentation_marks_the_voxels_that_pydicom_decodes(tmp_path: Path) -> None:
    """The liver of pydicom's SEG, on a CT series made with the UIDs and places that it names."""
    further = further_folder()
    if further is None:
        pytest.skip("pydicom-data is not installed")
    seg = pydicom.dcmread(further / "liver.dcm")
    groups = seg.PerFrameFunctionalGroupsSequence
    shared, referenced = seg.SharedFunctionalGroupsSequence[0], seg.ReferencedSeriesSequence[0]
    paths = []
    for number, group in enumerate(groups):
        uid = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        stored = np.random.default_rng(number).integers(0, 4096, (512, 512), dtype=np.uint16)
        stored[0, 0] = 0
        place = {
            "ImagePositionPatient": group.PlanePositionSequence[0].ImagePositionPatient, "PixelSpacing": shared.PixelMeasuresSequence[0].PixelSpacing,
            "ImageOrientationPatient": shared.PlaneOrientationSequence[0].ImageOrientationPatient,
        }  # fmt: skip
        owner = {"PatientID": seg.PatientID, "StudyInstanceUID": seg.StudyInstanceUID, "SeriesInstanceUID": referenced.SeriesInstanceUID}
        tags = {**place, **owner, "SOPInstanceUID": uid, "Rows": 512, "Columns": 512, "InstanceNumber": number, "PixelData": stored.tobytes()}
        paths.append(save(a_dataset(**tags), tmp_path / f"{number}.dcm"))
    result = read_series([*paths, further / "liver.dcm"], KEY)
    (volume,) = result.images
    assert {outcome.outcome for outcome in result.outcomes.values()} == {"kept"}
    heights = [float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in groups]
    np.testing.assert_array_equal(volume.label_map, seg.pixel_array[np.argsort(heights)])
    assert volume.label_values == {1: "Liver"}


def test_a_real_structure_set_encloses_the_area_of_its_contours(tmp_path: Path) -> None:
    """The patient of pydicom's RTSTRUCT, on a CT series with slices where it was contoured; points of its isocentres enclose nothing."""
    path = INSTALLED / "test_files" / "rtstruct.dcm"
    structures = pydicom.dcmread(path, force=True)
    key = read_header(path)
    contours = [np.asarray(contour.ContourData, float).reshape(-1, 3) for contour in structures.ROIContourSequence[0].ContourSequence]
    heights = sorted({contour[0, 2] for contour in contours})
    step = min(np.diff(heights))
    levels = np.arange(heights[0], heights[-1] + step / 2, step)
    owner = {"PatientID": structures.PatientID, "StudyInstanceUID": key.study_uid, "SeriesInstanceUID": key.series_uid}
    paths = []
    for number, height in enumerate(levels):
        stored = np.random.default_rng(number).integers(0, 4096, (200, 250), dtype=np.uint16)
        stored[0, 0] = 0
        place = {"ImagePositionPatient": [-249.0, -199.0, float(height)], "PixelSpacing": [2.0, 2.0]}
        size = {"Rows": 200, "Columns": 250, "PixelData": stored.tobytes(), "InstanceNumber": number, "SOPInstanceUID": f"1.2.3.{number}"}
        paths.append(save(a_dataset(**owner, **place, **size), tmp_path / f"{number}.dcm"))
    result = read_series([*paths, path], KEY)
    assert result.outcomes[path].outcome == "kept", result.outcomes[path]
    (volume,) = result.images
    assert volume.label_map is not None
    for contour in contours:
        x, y = contour[:, 0], contour[:, 1]
        area_mm2 = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
        level = round((contour[0, 2] - levels[0]) / step)
        assert 4 * (volume.label_map[level] == 1).sum() == pytest.approx(area_mm2, rel=0.02)
