"""NIfTI to a volume in known orientation."""

from typing import Any

import numpy as np
import pytest

from curation.errors import ImageError
from curation.nifti import is_label_map, read_nifti
from tests.curation_builders import a_nifti, a_volume

AFFINE = np.array([[0.0, 2, 0, -10], [-2, 0, 0, 20], [0, 0, 3, 5], [0, 0, 0, 1]])


@pytest.mark.parametrize("packed", [False, True])
def test_voxels_spacing_and_affine_come_out(packed: bool) -> None:
    """Axes are slices, rows, columns; the affine takes columns, rows, slices."""
    found = read_nifti(a_nifti(affine=AFFINE, packed=packed), "a.nii", "MR", "p")
    np.testing.assert_array_equal(found.pixels, a_volume().transpose(2, 1, 0))
    assert found.pixels.dtype == np.int16
    assert found.spacing_mm == (3.0, 2.0, 2.0)
    assert found.affine is not None
    np.testing.assert_allclose(found.affine, AFFINE)


def test_slope_and_intercept_are_applied() -> None:
    """0.5 x + 10, as float32."""
    found = read_nifti(a_nifti(scl_slope=0.5, scl_inter=10), "a.nii", "CT", "p")
    np.testing.assert_allclose(found.pixels, a_volume().transpose(2, 1, 0) * 0.5 + 10)


def code_of(content: bytes, path: str = "scan.nii") -> str:
    """Return the code with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        read_nifti(content, path, "MR", "patient")
    return caught.value.code


def with_nan() -> Any:
    """Return voxels of which one is not a number."""
    voxels = a_volume(dtype=np.float32)
    voxels[1, 1, 1] = np.nan
    return voxels


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (a_nifti(with_nan()), "NOT_FINITE"),
        (a_nifti(pixdim=[1, 0, 2, 3, 1, 1, 1, 1]), "SPACING"),
        (a_nifti(pixdim=[1, -2, 2, 3, 1, 1, 1, 1]), "SPACING"),
        (a_nifti(srow_x=[0, 0, 0, 0], srow_y=[0, 0, 0, 0], srow_z=[0, 0, 0, 0]), "ORIENTATION_UNKNOWN"),
        (a_nifti(srow_x=[np.nan, 0, 0, 0]), "ORIENTATION_UNKNOWN"),
        (a_nifti(sform_code=0, qform_code=0), "ORIENTATION_UNKNOWN"),
        (a_nifti(qform=AFFINE), "ORIENTATION_CONFLICT"),
        (a_nifti(pixdim=[1, 5, 5, 5, 1, 1, 1, 1]), "ORIENTATION_CONFLICT"),
        (a_nifti(np.zeros((4, 4, 4, 2), np.int16)), "FOUR_D"),
        (a_nifti(a_volume(dtype=np.complex64)), "DTYPE"),
        (a_nifti(scl_slope=np.nan), "SLOPE"),
        (a_nifti(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]), "TOO_LARGE"),
        (a_nifti(vox_offset=1e9), "HEADER"),
        (a_nifti(magic=b"ni1"), "PAIR"),
        (a_nifti(xyzt_units=1), "UNITS"),
        (a_nifti()[:-10], "TRUNCATED"),
        (a_nifti(packed=True)[:-30], "TRUNCATED"),
        (a_nifti(packed=True)[:-8] + b"\0\0\0\0" + a_nifti(packed=True)[-4:], "CRC"),
    ],
)
def test_what_is_damaged_or_ambiguous_is_refused(content: bytes, code: str) -> None:
    """Nothing is mended, nothing is guessed."""
    assert code_of(content) == code


def test_a_quaternion_that_differs_by_rounding_is_no_conflict() -> None:
    """Less than half a voxel at the corners is the same place."""
    near = np.diag([2.0, 2, 3, 1])
    near[0, 3] = 0.4
    assert read_nifti(a_nifti(qform=near), "a.nii", "MR", "p").affine is not None


def test_label_maps_are_no_images() -> None:
    """A derivative or a name with seg, label or mask, when all values are whole numbers."""
    assert code_of(a_nifti(), "sub-01_seg-manual.nii") == "LABEL_MAP"
    assert is_label_map("derivatives/labels/sub-01/x.nii.gz")
    assert not is_label_map("sub-segura/anat/sub-segura_T1w.nii.gz")
