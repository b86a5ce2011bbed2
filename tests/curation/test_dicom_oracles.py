"""Real series against dcm2niix, an independent converter: the same voxels at the same place, or a reason why not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from curation.acquired import Acquired
from curation.dicom import SeriesResult, read_header, read_series
from curation.errors import ImageError

pytestmark = pytest.mark.real_data

KEY = b"k" * 32
SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
AFFINE_MM = 1e-3

ACCEPTED = {
    "ct-philips-phantom-tilt": 1,  # the phantom is tilted, the gantry is not: tilt 0 in the header, and slices one above the other
    "mr-enhanced": 6,  # Siemens XA: four time points; Philips: magnitude and field map
    "mr-ge-fmri": 20,  # two series of ten time points
    "mr-siemens-7-syntaxes": 1,  # nine files of one image: one is kept
    "mr-siemens-mosaic": 8,  # four series of two mosaics
}
"""How many volumes each folder gives."""

REFUSED = {
    "ct-ge-head-tilt": ("GANTRY_TILT", "tilted by 18.5 degrees; and 14 slices at 4.22 mm are followed by 14 at 7.38 mm, which no NIfTI can say"),
    "ct-ge-small": ("VALUE_RANGE", "a T1 image of the head that calls itself CT: values from 0 to 696, no air; dcm2niix converts it without looking"),
}
"""Folders that dcm2niix converts and we do not: the code, and why."""


class Converted(NamedTuple):
    """One volume in RAS+ order: `(X, Y, Z)` values and the affine."""

    values: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]


def canonical(values: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> Converted:
    """Return a volume with its axes turned to run right, anterior, superior."""
    import nibabel as nib

    image = nib.as_closest_canonical(nib.Nifti1Image(np.asarray(values, np.float32), affine))
    return Converted(np.asarray(image.dataobj), image.affine)


def ours(image: Acquired) -> Converted:
    """Return one of our volumes as `Converted`."""
    assert image.affine is not None
    return canonical(image.pixels.transpose(2, 1, 0), image.affine)


def theirs(folder: Path, work: Path) -> dict[str, list[Converted]]:
    """Return what dcm2niix makes of a folder: volumes by file name; 4-D files are taken apart."""
    import nibabel as nib

    work.mkdir()
    command = [str(Path(sys.executable).with_name("dcm2niix")), "-b", "n", "-z", "n", "-p", "n", "-f", "%j_%s_%e", "-o", str(work), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    found: dict[str, list[Converted]] = {}
    for path in sorted(work.glob("*.nii")):
        image: Any = nib.load(path)
        values = np.asarray(image.dataobj)
        parts = values[..., None] if values.ndim == 3 else values
        found[path.stem] = [canonical(parts[..., number], image.affine) for number in range(parts.shape[3])]
    return found


def read_folder(folder: Path, **options: Any) -> list[SeriesResult]:
    """Return the results of all series in a folder."""
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder}")
    series: dict[str, list[Path]] = {}
    codes: set[str] = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            series.setdefault(read_header(path).series_uid, []).append(path)
        except ImageError as error:
            codes.add(error.code)
    assert codes <= {"DIRECTORY", "NOT_DICOM"}
    return [read_series(paths, KEY, **options) for paths in series.values()]


def assert_same(one: Converted, other: Converted) -> None:
    """Check that two volumes have the same values at the same places."""
    assert is_same(one, other)
    corners = np.array(np.meshgrid(*([0, length - 1] for length in one.values.shape), [1])).reshape(4, -1)
    np.testing.assert_allclose(one.affine @ corners, other.affine @ corners, atol=AFFINE_MM)
    np.testing.assert_allclose(one.affine, other.affine, atol=AFFINE_MM)


def is_same(one: Converted, other: Converted) -> bool:
    """Say whether values are equal; where there is a slope, up to the last bit of float32."""
    return one.values.shape == other.values.shape and np.allclose(one.values, other.values, rtol=3e-7, atol=1e-4)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_series_agree_with_dcm2niix(tmp_path: Path, name: str) -> None:
    """Each of our volumes is one of theirs, each of theirs is one of ours, and the places agree to a micrometre."""
    images = [ours(image) for result in read_folder(SHARED / name) for image in result.images]
    assert len(images) == ACCEPTED[name]
    others = [volume for volumes in theirs(SHARED / name, tmp_path / "nii").values() for volume in volumes]
    for image in images:
        matches = [other for other in others if is_same(image, other)]
        assert matches
        for match in matches:
            assert_same(image, match)
    assert all(any(is_same(image, other) for image in images) for other in others)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_series_say_why(name: str) -> None:
    """No volume comes of them, and every file has the code."""
    for result in read_folder(SHARED / name):
        assert result.images == []
        assert {outcome.code for outcome in result.outcomes.values()} == {REFUSED[name][0]}


def test_every_real_folder_is_in_a_table() -> None:
    """A new folder must be judged."""
    if SHARED.is_dir():
        assert {path.name for path in SHARED.iterdir() if path.is_dir()} == {*ACCEPTED, *REFUSED}


def test_time_points_keep_their_order() -> None:
    """The parts of a 4-D series are numbered as they were acquired; dcm2niix orders them alike."""
    for result in read_folder(SHARED / "mr-ge-fmri"):
        assert len(result.images) == 10
        for number, image in enumerate(result.images, 1):
            assert f'"part": {number}, "parts": 10' in image.fields["attributes"]


def test_a_tilt_corrected_on_request_still_needs_even_slices() -> None:
    """The real head CT changes its slice distance half way: shearing cannot heal that."""
    for result in read_folder(SHARED / "ct-ge-head-tilt", correct_tilt=True):
        assert {outcome.code for outcome in result.outcomes.values()} == {"UNEVEN_SPACING"}


@pytest.mark.parametrize("block", ["lower", "upper"])
def test_a_sheared_head_agrees_with_dcm2niix(tmp_path: Path, block: str) -> None:
    """Each half of the tilted head CT is even by itself: sheared upright, it is what dcm2niix's own shear makes of it, up to rounding to integers."""
    if not (SHARED / "ct-ge-head-tilt").is_dir():
        pytest.skip("real data are not here")
    for path in sorted((SHARED / "ct-ge-head-tilt").glob("*.dcm"))[slice(0, 14) if block == "lower" else slice(14, 28)]:
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "in")
    (result,) = read_folder(tmp_path / "in", correct_tilt=True)
    (image,) = result.images
    assert image.notes == ("GANTRY_TILT_CORRECTED",)
    assert image.fields["attributes"] == '{"tilt_corrected_degrees": 18.5}'
    (other,) = next(volumes for name, volumes in theirs(tmp_path / "in", tmp_path / "nii").items() if "Tilt" in name)
    sheared = ours(image)
    assert sheared.values.shape == other.values.shape
    np.testing.assert_allclose(sheared.affine, other.affine, atol=AFFINE_MM)
    outside = (sheared.values <= -1000) | (other.values <= -1000)  # what only fills the frame is -1500 for them, and air for us
    near = outside[:, :-2] | outside[:, 1:-1] | outside[:, 2:]
    apart = np.abs(sheared.values - other.values)[:, 1:-1][~near]
    assert apart.size > 0.5 * sheared.values.size
    assert apart.max() < 0.51
