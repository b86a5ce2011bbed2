"""Bad NIfTI files: groups 48 to 66."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.bad_inputs.cases import KEPT, KEPT_ALL, Case, quarantined
from tests.curation_builders import a_nifti, a_volume

AFFINE = np.array([[0.0, 2, 0, -10], [-2, 0, 0, 20], [0, 0, 3, 5], [0, 0, 0, 1]])


def _file(content: bytes, name: str = "one.nii") -> Any:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)

    return make


def _with(value: float) -> npt.NDArray[np.float32]:
    voxels = a_volume(dtype=np.float32)
    voxels[1, 1, 1] = value
    return voxels


def _colour() -> npt.NDArray[Any]:
    return np.zeros((4, 4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))


def _image_and_map(map_voxels: npt.NDArray[Any], affine: npt.NDArray[np.float64] | None = None, **header: Any) -> Any:
    """Return a maker of an image with a label map by its BIDS name."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "sub-01_T1w.nii").write_bytes(a_nifti(a_volume() + 1000))
        (folder / "sub-01_T1w_dseg.nii").write_bytes(a_nifti(map_voxels, affine, **header))

    return make


def _wrong_crc() -> bytes:
    packed = a_nifti(packed=True)
    return packed[:-8] + b"\0\0\0\0" + packed[-4:]


LABELS = np.ones((6, 5, 4), np.uint8)
KEPT_WITHOUT_MAP = frozenset({KEPT, ("quarantined", "LABEL_MISMATCH")})
CASES = tuple(
    Case(group, name, "nifti", make, answers, "MR")
    for group, name, make, answers in (
        (48, "a voxel that is not a number", _file(a_nifti(_with(np.nan))), quarantined("NOT_FINITE")),
        (48, "an infinite voxel", _file(a_nifti(_with(np.inf))), quarantined("NOT_FINITE")),
        (49, "pixdim of zero", _file(a_nifti(pixdim=[1, 0, 2, 3, 1, 1, 1, 1])), quarantined("SPACING")),
        (49, "a negative pixdim", _file(a_nifti(pixdim=[1, -2, 2, 3, 1, 1, 1, 1])), quarantined("SPACING")),
        (50, "an sform of zeros", _file(a_nifti(srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4)), quarantined("ORIENTATION_UNKNOWN")),
        (51, "an sform that is not a number", _file(a_nifti(srow_x=[np.nan, 0, 0, 0])), quarantined("ORIENTATION_UNKNOWN")),
        (51, "a singular sform", _file(a_nifti(srow_y=[2, 0, 0, 0])), quarantined("ORIENTATION_UNKNOWN")),
        (52, "qform and sform disagree", _file(a_nifti(qform=AFFINE)), quarantined("ORIENTATION_CONFLICT")),
        (53, "neither form has a code", _file(a_nifti(sform_code=0, qform_code=0)), quarantined("ORIENTATION_UNKNOWN")),
        (54, "a quaternion that is a little too long", _file(a_nifti(sform_code=0, quatern_b=0.0, quatern_c=0.0, quatern_d=1.0000001)), KEPT_ALL),
        (55, "four dimensions", _file(a_nifti(np.stack([a_volume(), a_volume() + 7], -1))), KEPT_ALL),
        (56, "the last voxels are missing", _file(a_nifti()[:-10]), quarantined("TRUNCATED")),
        (57, "a packed file that ends early", _file(a_nifti(packed=True)[:-30], "one.nii.gz"), quarantined("TRUNCATED")),
        (58, "a wrong checksum", _file(_wrong_crc(), "one.nii.gz"), quarantined("CRC")),
        (59, "30000 x 30000 x 30000 declared", _file(a_nifti(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])), quarantined("TOO_LARGE")),
        (60, "a wrong magic", _file(a_nifti(magic=b"nix")), quarantined("BAD_MAGIC")),
        (60, "data type 0", _file(a_nifti(datatype=0)), quarantined("DTYPE")),
        (60, "voxels that begin behind the file", _file(a_nifti(vox_offset=1e9)), quarantined("HEADER")),
        (61, "a slope that is not a number", _file(a_nifti(scl_slope=np.nan)), quarantined("SLOPE")),
        (62, "complex voxels", _file(a_nifti(a_volume(dtype=np.complex64))), quarantined("DTYPE")),
        (62, "coloured voxels", _file(a_nifti(_colour())), quarantined("DTYPE")),
        (63, "a label map with a slope", _image_and_map(LABELS, scl_slope=0.25, scl_inter=0.0), frozenset({KEPT, ("quarantined", "SLOPE")})),
        (64, "a label map of another shape", _image_and_map(LABELS[:-1]), KEPT_WITHOUT_MAP),
        (64, "a label map at another place", _image_and_map(LABELS, AFFINE), KEPT_WITHOUT_MAP),
        (65, "gzip that is called .nii", _file(a_nifti(packed=True)), KEPT_ALL),
        (65, "plain that is called .nii.gz", _file(a_nifti(), "one.nii.gz"), KEPT_ALL),
        (66, "a header without voxels", _file(a_nifti(magic=b"ni1")[:348], "one.hdr"), quarantined("PAIR")),
        (66, "a bomb in gzip", _file(gzip.compress(a_nifti() + b"\0" * (64 << 20)), "one.nii.gz"), quarantined("BOMB")),
    )
)
