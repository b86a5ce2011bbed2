"""Gantry tilt: refused by default, sheared upright on request, against a phantom that is known everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from curation.dicom import read_series
from curation.dicom_geometry import PlaneGeometry, stack_geometry
from curation.dicom_tilt import upright
from curation.errors import ImageError
from tests.curation.dicom_builders import SIZE, a_series

KEY = b"k" * 32


def brightness(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a linear phantom, which linear interpolation reproduces exactly: value at `(..., 3)` LPS mm."""
    return np.asarray(100 + points @ np.array([3.0, -2.0, 5.0]))


def a_tilted_stack(shift_mm: tuple[float, float], degrees: float = 18.0, slices: int = 6) -> tuple[list[PlaneGeometry], npt.NDArray[np.float32]]:
    """Return planes whose normal is turned about x and that are shifted along rows and columns, and the phantom's values in them."""
    turn = np.radians(degrees)
    along_row, along_column = np.array([1.0, 0, 0]), np.array([0, np.cos(turn), np.sin(turn)])
    normal = np.cross(along_row, along_column)
    planes, pixels = [], []
    column, row = np.meshgrid(np.arange(8), np.arange(10))
    for index in range(slices):
        corner = np.array([-7.0, 3.0, 11.0]) + index * (4.0 * normal + shift_mm[0] * along_row + shift_mm[1] * along_column)
        planes.append(PlaneGeometry(corner, np.concatenate([along_row, along_column]), (0.5, 0.7)))
        pixels.append(brightness(corner + column[..., None] * 0.7 * along_row + row[..., None] * 0.5 * along_column))
    return planes, np.asarray(pixels, np.float32)


@pytest.mark.parametrize("shift_mm", [(0.0, 1.3), (0.0, -1.3), (0.9, 0.0), (-0.55, 2.25), (0.7, 1.0)])
def test_a_sheared_volume_shows_the_phantom_where_it_is(shift_mm: tuple[float, float]) -> None:
    """Every voxel that a slice covers has the phantom's value at the place that the affine gives it; no slice loses a pixel."""
    planes, pixels = a_tilted_stack(shift_mm)
    stack = stack_geometry(planes[::-1], accept_tilt=True)
    assert stack.spacing_mm == pytest.approx((4.0, 0.5, 0.7))
    assert stack.shear_mm == pytest.approx(shift_mm)
    assert stack.tilt_degrees == pytest.approx(np.degrees(np.arctan(np.hypot(*shift_mm) / 4.0)))
    out, affine = upright(pixels, stack, -1e6)
    grid = np.stack(np.meshgrid(*(np.arange(length) for length in out.shape), indexing="ij"), axis=-1)[..., ::-1]
    places = (grid @ affine[:3, :3].T + affine[:3, 3]) * [-1, -1, 1]
    covered = out > -1e4
    np.testing.assert_allclose(out[covered], brightness(places)[covered], atol=0.01)
    assert covered.sum(axis=(1, 2)).min() >= (10 - 1) * (8 - 1)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1)


def test_a_tilt_is_refused_unless_asked_for() -> None:
    """By default nothing is resampled."""
    with pytest.raises(ImageError, match="GANTRY_TILT"):
        stack_geometry(a_tilted_stack((0.0, 1.3))[0])


def test_a_tilt_that_varies_is_refused_always() -> None:
    """No single shear makes it upright."""
    planes, _ = a_tilted_stack((0.0, 1.3))
    planes[-1] = planes[-1]._replace(position=planes[-1].position + np.array([0.0, 0.3, 0.1]))
    with pytest.raises(ImageError, match=r"GANTRY_TILT: .*varies"):
        stack_geometry(planes, accept_tilt=True)


def tilted(folder: Path, **tags: Any) -> list[Path]:
    """Write a CT series whose slices are shifted by 1 mm each, 2 mm apart: 26.57 degrees."""
    changes = {index: {"ImagePositionPatient": [-10, -20 + index, 30 + 2 * index]} for index in range(5)}
    return a_series(folder, changes=changes, **tags)


def test_a_tilted_series_is_sheared_and_says_so(tmp_path: Path) -> None:
    """The note and the angle go into the row; what no slice covers is air."""
    paths = tilted(tmp_path)
    assert {outcome.code for outcome in read_series(paths, KEY).outcomes.values()} == {"GANTRY_TILT"}
    (image,) = read_series(paths, KEY, correct_tilt=True).images
    assert image.pixels.shape == (5, SIZE + 8, SIZE)
    assert image.notes == ("GANTRY_TILT_CORRECTED",)
    assert image.fields["attributes"] == '{"tilt_corrected_degrees": 26.57}'
    assert (image.pixels[0, SIZE:] == -1024).all()
    assert (image.pixels[4, :8] == -1024).all()


def test_only_ct_is_sheared(tmp_path: Path) -> None:
    """In MR, shifted slices are no tilted gantry, and nobody knows what they are."""
    paths = tilted(tmp_path, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    assert {outcome.code for outcome in read_series(paths, KEY, correct_tilt=True).outcomes.values()} == {"GANTRY_TILT"}
