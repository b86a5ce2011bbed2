"""NIfTI to a volume in known orientation."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.nifti import NiftiFile, open_nifti, parse_b_values, read_volumes
from curation.nifti_labels import join_label_maps, read_label_map
from tests.curation_builders import a_nifti, a_volume

AFFINE = np.array([[0.0, 2, 0, -10], [-2, 0, 0, 20], [0, 0, 3, 5], [0, 0, 0, 1]])


def read_one(content: bytes, modality: str = "MR") -> Acquired:
    """Return the only volume of a file."""
    (found,) = read_volumes(open_nifti(content), modality, "patient")
    assert isinstance(found, Acquired)
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_voxels_spacing_and_affine_come_out(packed: bool) -> None:
    """Axes are slices, rows, columns; the affine takes columns, rows, slices."""
    found = read_one(a_nifti(affine=AFFINE, packed=packed))
    np.testing.assert_array_equal(found.pixels, a_volume().transpose(2, 1, 0))
    assert found.pixels.dtype == np.int16
    assert found.spacing_mm == (3.0, 2.0, 2.0)
    assert found.affine is not None
    np.testing.assert_allclose(found.affine, AFFINE)


def test_slope_and_intercept_are_applied() -> None:
    """0.5 x + 10, as float32."""
    found = read_one(a_nifti(scl_slope=0.5, scl_inter=10), "CT")
    np.testing.assert_allclose(found.pixels, a_volume().transpose(2, 1, 0) * 0.5 + 10)


def code_of(content: bytes) -> str:
    """Return the code with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        read_one(content)
    return caught.value.code


def a_rgb() -> Any:
    """Return voxels of colours."""
    return np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])


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
        (a_nifti(np.zeros((4, 4, 4, 1, 3), np.int16)), "VECTOR"),
        (a_nifti(a_rgb()), "DTYPE"),
        (a_nifti(dim=[4, 4, 4, 4, 20000, 1, 1, 1]), "TOO_LARGE"),
        (a_nifti(datatype=0), "DTYPE"),
        (a_nifti(dim=[3, 0, 5, 4, 1, 1, 1, 1]), "SHAPE"),
        (a_nifti(dim=[3, 300, 300, 300, 1, 1, 1, 1]), "TRUNCATED"),
        (a_nifti(pixdim=[1, np.nan, 2, 3, 1, 1, 1, 1]), "SPACING"),
        (a_nifti() + bytes(2 << 20), "LENGTH"),
        (gzip.compress(a_nifti() + bytes(2 << 20)), "BOMB"),
        (a_nifti(packed=True) + b"more than a few bytes of junk", "CRC"),
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
    assert read_one(a_nifti(qform=near)).affine is not None


def test_each_volume_of_a_4_d_file_is_an_image_that_knows_its_place() -> None:
    """Slope and order hold; time comes from the header when it has a unit, b-values from the file beside it."""
    voxels = np.arange(6 * 5 * 4 * 3, dtype=np.int16).reshape(6, 5, 4, 3)
    file = open_nifti(a_nifti(voxels, scl_slope=2, xyzt_units=2 | 16, pixdim=[1, 2, 2, 3, 1500, 1, 1, 1]))
    volumes = [volume for volume in read_volumes(file, "MR", "p") if not isinstance(volume, ImageError)]
    for index, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume.pixels, voxels[..., index].transpose(2, 1, 0) * 2)
    assert [volume.fields["attributes"] for volume in volumes] == [f'{{"time_s": {time}, "volume_index": {n}}}' for n, time in enumerate((0.0, 1.5, 3.0))]
    weighted = list(read_volumes(file, "MR", "p", parse_b_values(b"0 1000  2000\n", 3)))
    assert [volume.fields["attributes"] for volume in weighted if not isinstance(volume, ImageError)][2] == '{"b_value": 2000.0, "volume_index": 2}'


def test_one_volume_that_is_damaged_does_not_take_the_others_with_it() -> None:
    """It is told apart, and the rest goes on."""
    voxels = np.ones((4, 4, 4, 3), np.float32)
    voxels[0, 0, 0, 1] = np.inf
    found = list(read_volumes(open_nifti(a_nifti(voxels)), "MR", "p"))
    assert [isinstance(volume, ImageError) for volume in found] == [False, True, False]


@pytest.mark.parametrize("content", [b"0 1000", b"0 1000 x", b"0 -1 3", b"0 1 nan", b"\xff\xfe", b""])
def test_b_values_that_are_not_one_number_a_volume_are_refused(content: bytes) -> None:
    """They are never cut or filled."""
    with pytest.raises(ImageError) as caught:
        parse_b_values(content, 3)
    assert caught.value.code == "B_VALUES"


def test_a_pair_of_header_and_voxels_is_one_image() -> None:
    """The header says `ni1`; voxels begin at byte 0 of the other file."""
    whole = a_nifti(magic=b"ni1", vox_offset=0)
    file = open_nifti(whole[:348], whole[352:])
    np.testing.assert_array_equal(file.raw[0], a_volume().transpose(2, 1, 0))
    for header, voxels in ((whole[:348], whole[352:-2]), (a_nifti(), whole[352:])):
        with pytest.raises(ImageError) as caught:
            open_nifti(header, voxels)
        assert caught.value.code in ("TRUNCATED", "PAIR")


def test_bytes_behind_the_last_voxel_are_left_and_noted() -> None:
    """A few are harmless, and what is in them never comes along."""
    for content in (a_nifti() + b"Jane Doe", gzip.compress(a_nifti() + b"Jane Doe")):
        assert read_one(content).notes == ("TRAILING_BYTES",)


def test_values_that_do_not_fit_a_float_are_refused() -> None:
    """No infinity comes out of finite numbers."""
    assert code_of(a_nifti(a_volume(dtype=np.float64) * 1e300)) == "NOT_FINITE"


def a_label_map(values: Any = None, **header: Any) -> NiftiFile:
    """Return a label map on the grid of `a_nifti()`."""
    drawn = np.zeros((6, 5, 4), np.uint8)
    drawn[1:3, 1:3, 1:3], drawn[4, 4, 3] = 1, 7
    return open_nifti(a_nifti(drawn if values is None else values, **header))


def test_a_label_map_has_the_names_that_are_known() -> None:
    """From the recipe, else the number; a mask is what its name says."""
    image = open_nifti(a_nifti())
    found = read_label_map(a_label_map(), image, "brain", {"7": "spleen"})
    assert found.names == {1: "structure-1", 7: "spleen"}
    assert found.values.dtype == np.uint8
    np.testing.assert_array_equal(found.values[1:3, 1:3, 1:3], 1)
    mask = a_label_map(np.ones((6, 5, 4), np.float32))
    assert read_label_map(mask, image, "brain", {}).names == {1: "brain"}
    large = a_label_map(np.full((6, 5, 4), 1000, np.int32))
    assert read_label_map(large, image, None, {}).values.dtype == np.uint16


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (a_label_map(scl_slope=0.25), "SLOPE"),
        (a_label_map(scl_slope=1, scl_inter=3), "SLOPE"),
        (a_label_map(np.zeros((6, 5, 5), np.uint8)), "LABEL_MISMATCH"),
        (a_label_map(np.zeros((6, 5, 4, 2), np.uint8)), "LABEL_MISMATCH"),
        (a_label_map(affine=np.array([[2.0, 0, 0, 1], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])), "LABEL_MISMATCH"),
        (a_label_map(np.full((6, 5, 4), 0.5, np.float32)), "LABEL_VALUES"),
        (a_label_map(np.full((6, 5, 4), -1, np.int16)), "LABEL_VALUES"),
        (a_label_map(np.full((6, 5, 4), 70000, np.int32)), "LABEL_VALUES"),
        (a_label_map(np.full((6, 5, 4), np.nan, np.float32)), "LABEL_VALUES"),
    ],
)
def test_a_label_map_that_is_not_exactly_on_its_image_is_refused(file: NiftiFile, code: str) -> None:
    """Another shape, place, scale, or values that are no labels."""
    with pytest.raises(ImageError) as caught:
        read_label_map(file, open_nifti(a_nifti()), None, {})
    assert caught.value.code == code


def test_label_maps_of_one_image_become_one() -> None:
    """The values of the second follow those of the first; where they overlap, the smaller structure is on top."""
    image = open_nifti(a_nifti())
    other = np.zeros((6, 5, 4), np.uint8)
    other[0, 0, 0] = 2
    first = read_label_map(a_label_map(), image, None, {})
    both = join_label_maps(first, read_label_map(a_label_map(other), image, None, {}))
    assert (both.values[0, 0, 0], both.names, both.has_overlap) == (9, {1: "structure-1", 7: "structure-7", 9: "structure-9"}, False)
    organ = read_label_map(a_label_map(np.ones((6, 5, 4), np.uint8)), image, None, {})
    for pair in ((first, organ), (organ, first)):
        overlapping = join_label_maps(*pair)
        assert overlapping.has_overlap
        assert sorted(np.bincount(overlapping.values.ravel())[1:].tolist(), reverse=True)[:3] == [111, 8, 1]


@pytest.mark.real_data
def test_real_volumes_agree_with_nibabel() -> None:
    """The same values and the same affine for every file of the real data set."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "nifti"
    if not folder.is_dir():
        pytest.skip("real data is not here")
    import nibabel as nib

    paths = sorted(folder.rglob("*.nii.gz"))
    assert len(paths) == 5
    for path in paths:
        expected: Any = nib.load(path)  # type: ignore[attr-defined]
        (found,) = read_volumes(open_nifti(path.read_bytes()), "MR", "p")
        assert not isinstance(found, ImageError)
        np.testing.assert_array_equal(found.pixels, np.asarray(expected.dataobj, np.float32).transpose(2, 1, 0))
        assert found.affine is not None
        np.testing.assert_allclose(found.affine, expected.affine, atol=1e-6)
