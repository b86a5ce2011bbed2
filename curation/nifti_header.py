"""What a NIfTI header declares: shape, type of the voxels, spacing and place. What it leaves open or says twice differently is refused, never guessed."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.errors import ImageError

MAX_SPACING_MM = 100.0
MAX_VOLUMES = 10_000
HEADER_BYTES = 540
MAX_OFFSET_BYTES = 1 << 20
_REAL_KINDS = "iuf"
_TIME_UNITS_S = {8: 1.0, 16: 1e-3, 24: 1e-6}

Affine = npt.NDArray[np.float64]


class Shape(NamedTuple):
    """Sizes of the axes, in voxels; `volumes` is 1 for a 3-D file."""

    columns: int
    rows: int
    slices: int
    volumes: int


def parse_header(head: bytes) -> Any:
    """Return the NIfTI header at the start of `head`, as it is written."""
    import nibabel as nib
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    kind = nib.Nifti2Header if head[4:8] in (b"n+2\0", b"ni2\0") else nib.Nifti1Header
    size = kind.template_dtype.itemsize
    if len(head) < size:
        raise ImageError("TRUNCATED", "the file ends inside the header")
    try:
        header = kind.from_fileobj(io.BytesIO(head[:size] + b"\0\0\0\0"), check=False)
    except (WrapStructError, HeaderDataError, ValueError):
        raise ImageError("HEADER", "the header cannot be read") from None
    return header


def is_pair(header: Any) -> bool:
    """Say whether the voxels lie in another file (.img)."""
    return bytes(header["magic"]).startswith(b"ni")


def voxel_offset(header: Any) -> int:
    """Return where in their file the voxels begin.

    Raises:
        ImageError: HEADER.
    """
    offset = float(header["vox_offset"])
    least = 0 if is_pair(header) else int(header["sizeof_hdr"])
    if not least <= offset <= MAX_OFFSET_BYTES:
        raise ImageError("HEADER", "the header says that the voxels begin at an impossible place")
    return int(offset)


def declared_shape(header: Any) -> Shape:
    """Return the sizes of the axes.

    Raises:
        ImageError: SHAPE, VECTOR (several values at a voxel) or TOO_LARGE (too many volumes).
    """
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7 or any(int(size) < 1 for size in header["dim"][1 : ndim + 1]):
        raise ImageError("SHAPE", "the header declares an impossible shape")
    columns, rows, slices, volumes, *further = [*(int(size) for size in header["dim"][1 : ndim + 1]), 1, 1, 1, 1][: max(ndim, 4)]
    if any(size > 1 for size in further):
        raise ImageError("VECTOR", "each voxel holds several values (a vector or a field), which is no image")
    if columns < 2 or rows < 2:
        raise ImageError("SHAPE", "the volume has no area")
    if volumes > MAX_VOLUMES:
        raise ImageError("TOO_LARGE", f"the header declares more than {MAX_VOLUMES} volumes")
    return Shape(columns, rows, slices, volumes)


def seconds_between_volumes(header: Any) -> float | None:
    """Return the time from one volume to the next; None when the fourth axis is not said to be time."""
    unit = _TIME_UNITS_S.get(int(header["xyzt_units"]) & 0x38)
    step = float(header["pixdim"][4])
    return step * unit if unit and np.isfinite(step) and step > 0 else None


def declared_dtype(header: Any) -> np.dtype[Any]:
    """Return the type of the stored voxels.

    Raises:
        ImageError: DTYPE.
    """
    from nibabel.spatialimages import HeaderDataError

    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        raise ImageError("DTYPE", "the header declares an unknown type of voxels") from None
    if dtype.names or dtype.kind not in _REAL_KINDS or dtype.itemsize > 8:
        raise ImageError("DTYPE", "the voxels are complex numbers, colours or of an unknown type")
    return dtype


def read_affine(header: Any) -> Affine:
    """Return the `(4, 4)` voxel index (column, row, slice) to RAS+ mm that the header states.

    Raises:
        ImageError: SPACING, UNITS, ORIENTATION_UNKNOWN (no code is set, or the matrix is singular), or ORIENTATION_CONFLICT (sform and qform put a
            corner more than half a voxel apart, or disagree with the spacing).
    """
    spacing_mm = np.asarray(header["pixdim"][1:4], np.float64)
    if not np.isfinite(spacing_mm).all() or (spacing_mm <= 0).any() or (spacing_mm > MAX_SPACING_MM).any():
        raise ImageError("SPACING", "the voxel spacing is zero, negative or absurd")
    if int(header["xyzt_units"]) & 7 not in (0, 2):
        raise ImageError("UNITS", "the spacing is not in millimetres")
    stated = [affine for affine in (_sform(header), _qform(header, spacing_mm)) if affine is not None]
    if not stated:
        raise ImageError("ORIENTATION_UNKNOWN", "neither sform nor qform says where the voxels lie")
    if not np.allclose(np.linalg.norm(stated[0][:3, :3], axis=0), spacing_mm, rtol=0.02):
        raise ImageError("ORIENTATION_CONFLICT", "the orientation matrix and the voxel spacing disagree")
    if len(stated) == 2 and corner_distance_mm(stated[0], stated[1], declared_shape(header)[:3]) > spacing_mm.min() / 2:
        raise ImageError("ORIENTATION_CONFLICT", "sform and qform put the voxels in different places")
    return stated[0]


def _sform(header: Any) -> Affine | None:
    if int(header["sform_code"]) <= 0:
        return None
    affine = np.vstack([np.asarray([header["srow_x"], header["srow_y"], header["srow_z"]], np.float64), [0, 0, 0, 1]])
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ImageError("ORIENTATION_UNKNOWN", "the orientation matrix (sform) is singular or not a number")
    return affine


def _qform(header: Any, spacing_mm: npt.NDArray[np.float64]) -> Affine | None:
    """Return the affine of the quaternion; it may be longer than 1 by rounding."""
    if int(header["qform_code"]) <= 0:
        return None
    b, c, d = (float(header[f"quatern_{axis}"]) for axis in "bcd")
    length = b * b + c * c + d * d
    offset = np.asarray([header[f"qoffset_{axis}"] for axis in "xyz"], np.float64)
    if not np.isfinite([length, *offset]).all() or length > 1.001:
        raise ImageError("ORIENTATION_UNKNOWN", "the quaternion (qform) is not a rotation")
    a = np.sqrt(max(0.0, 1 - length))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = -1.0 if float(header["pixdim"][0]) < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing_mm * np.array([1, 1, handedness])
    affine[:3, 3] = offset
    return affine


def corner_distance_mm(one: Affine, other: Affine, shape: tuple[int, int, int]) -> float:
    """Return the largest distance, in mm, between the corners of the volume under two affines."""
    corners = np.array([[x, y, z, 1] for x in (0, shape[0] - 1) for y in (0, shape[1] - 1) for z in (0, shape[2] - 1)], np.float64)
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())
