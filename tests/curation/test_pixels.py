"""Pixels to bytes and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from curation.errors import IntegrityError
from curation.pixels import decode, encode_nifti, encode_png, hash_pixels, name_volume, read_affine, read_mark, read_png_mark

gray = arrays.arrays(st.sampled_from([np.uint8, np.uint16]), arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20))
colour = arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))
volume = arrays.arrays(st.sampled_from([np.int16, np.float32]), arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=8))


@given(gray | colour)
def test_png_keeps_every_pixel(pixels: np.ndarray) -> None:
    """Gray of 8 and 16 bit and RGB come back equal, with and without a mark."""
    for mark in ({}, {"Curaloop-Synthetic": "YES"}):
        content = encode_png(pixels, mark)
        assert read_png_mark(content) == mark
        np.testing.assert_array_equal(decode(content, ".png"), pixels)


@given(volume)
def test_nifti_keeps_every_voxel(voxels: np.ndarray) -> None:
    """Volumes come back with their axes in order; NaN is NaN."""
    np.testing.assert_array_equal(decode(encode_nifti(voxels, np.diag([1.0, 2, 3, 1])), ".nii.gz"), voxels)


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 200, 219), (3, 5, 4369), (2, 300, 655)])
def test_nifti_files_are_those_of_nibabel_unpacked_by_any_gzip(shape: tuple[int, int, int]) -> None:
    """Stored or compressed, below, at and above the size of a stored block."""
    import gzip

    import nibabel as nib

    voxels = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    affine = np.array([[-0.7, 0, 0, 10], [0, 0.7, 0, -20.5], [0, 0, 1.25, 3], [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels.transpose(2, 1, 0), affine, dtype=np.int16)
    image.header.set_xyzt_units("mm")
    for compress in (False, True):
        content = encode_nifti(voxels, affine, compress=compress)
        assert gzip.decompress(content) == image.to_bytes()
        np.testing.assert_allclose(read_affine(content), affine)


def test_the_name_of_a_volume_depends_on_values_shape_and_place() -> None:
    """Not on the order of its bytes in memory."""
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    names = {name_volume(volume, [1.0]), name_volume(volume + np.int16(1), [1.0]), name_volume(volume.reshape(3, 2, 4), [1.0]), name_volume(volume, [2.0])}
    assert len(names) == 4
    assert name_volume(np.asfortranarray(volume), [1.0]) == name_volume(volume, [1.0])


def test_nifti_bytes_hold_no_time_and_no_text() -> None:
    """Two encodings are equal to the byte, and the header's free text is empty."""
    import nibabel as nib
    from isal import igzip

    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    content = encode_nifti(voxels, np.eye(4))
    assert content == encode_nifti(voxels, np.eye(4))
    header = nib.Nifti1Image.from_bytes(igzip.decompress(content)).header
    assert [bytes(header[name].tobytes()).strip(b"\0") for name in ("descrip", "aux_file", "db_name", "intent_name")] == [b""] * 4


@pytest.mark.parametrize(
    ("changed", "spacing"),
    [(np.zeros((3, 4), np.uint8), (1.0, 1.0)), (np.zeros((4, 3), np.uint16), (1.0, 1.0)), (np.zeros((4, 3), np.uint8), (1.0, 2.0))],
)
def test_the_hash_knows_shape_type_and_spacing(changed: np.ndarray, spacing: tuple[float, float]) -> None:
    """Equal bytes with another meaning have another hash; the layout in memory does not matter."""
    pixels = np.zeros((4, 3), np.uint8)
    assert hash_pixels(changed, spacing) != hash_pixels(pixels, (1.0, 1.0))
    assert hash_pixels(np.asfortranarray(pixels), (1.0, 1.0)) == hash_pixels(pixels, (1.0, 1.0))


@pytest.mark.parametrize("compress", [False, True])
def test_a_marked_nifti_says_so_and_keeps_every_voxel(compress: bool) -> None:
    """The mark is an extension that nibabel reads too; without one there is none; what is no NIfTI is refused."""
    import gzip

    import nibabel as nib

    voxels, affine = np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.0, 2, 3, 1])
    mark = {"Curaloop-Synthetic": "YES", "seed": "4"}
    content = bytes(encode_nifti(voxels, affine, compress=compress, mark=mark))
    assert read_mark(content, ".nii.gz") == mark
    np.testing.assert_array_equal(decode(content, ".nii.gz"), voxels)
    (extension,) = nib.Nifti1Image.from_bytes(gzip.decompress(content)).header.extensions
    assert "Curaloop-Synthetic" in extension.text
    assert read_mark(bytes(encode_nifti(voxels, affine, compress=compress)), ".nii.gz") == {}
    for broken in (b"no volume", content[:60]):
        with pytest.raises(IntegrityError):
            read_mark(broken, ".nii.gz")
