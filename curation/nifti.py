"""NIfTI to a volume in known orientation: what the header leaves open or says twice differently is refused, never guessed.

Only voxels, spacing and the affine come out; free text fields, extensions and gzip names stay behind.
"""

from __future__ import annotations

import io
import re
import zlib
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.pixels import Pixels

MAX_VOXEL_BYTES = 2 << 30
MAX_SPACING_MM = 100.0
_HEADER_BYTES = 540
_REAL_KINDS = "iuf"
_LABEL_WORDS = re.compile(r"^(labels?|seg|dseg|segmentation|masks?|brainmask)$")

Affine = npt.NDArray[np.float64]


def read_nifti(content: bytes, path: str, modality: str, patient: str) -> Acquired:
    """Return the volume in the bytes of a `.nii` or `.nii.gz` file.

    Args:
        content: the whole file; whether it is packed is seen from its bytes.
        path: relative path, only asked whether it names a label map.
        modality: DICOM code.
        patient: raw patient identifier.

    Raises:
        ImageError: TRUNCATED, CRC, HEADER, PAIR, DTYPE, FOUR_D, SHAPE, SPACING, UNITS, ORIENTATION_UNKNOWN, ORIENTATION_CONFLICT, SLOPE,
            NOT_FINITE, LABEL_MAP, TOO_LARGE or BOMB.
    """
    header, voxels = _split(content)
    raw = _raw_voxels(header, voxels)
    affine = read_affine(header)
    if is_label_map(path) and _is_whole(raw):
        raise ImageError("LABEL_MAP", "a label map is not an image")
    volume = _scaled(raw, header)
    spacing_mm = tuple(float(step) for step in header["pixdim"][3:0:-1])
    return Acquired(volume, modality, patient, spacing_mm, affine)


def is_label_map(path: str) -> bool:
    """Say whether a relative path names a label map: a BIDS derivative, or a word like `seg`, `mask`, `label` in the file's name."""
    parts = PurePosixPath(path)
    words = re.split(r"[_.\-\s]", parts.name.lower())
    return "derivatives" in parts.parts[:-1] or any(_LABEL_WORDS.match(word) for word in words)


def _is_whole(raw: Pixels) -> bool:
    return raw.dtype.kind in "iu" or bool(np.array_equal(raw, np.rint(raw)))


def _split(content: bytes) -> tuple[Any, bytes]:
    """Return the header (nibabel, unchecked and unmended) and the voxel bytes."""
    packed = content.startswith(b"\x1f\x8b")
    header = parse_header(_unpack(content, _HEADER_BYTES, to_end=False) if packed else content[:_HEADER_BYTES])
    need = _needed_bytes(header)
    unpacked = _unpack(content, need, to_end=True) if packed else content
    if len(unpacked) < need:
        raise ImageError("TRUNCATED", "the file ends before the last voxel")
    return header, unpacked[int(header["vox_offset"]) : need]


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
    if bytes(header["magic"]).startswith(b"ni"):
        raise ImageError("PAIR", "the voxels lie in another file (.img); convert the pair to one .nii file")
    return header


def _needed_bytes(header: Any) -> int:
    """Return how many bytes header and voxels have together, after checking what they declare."""
    shape = _declared_shape(header)
    dtype = _declared_dtype(header)
    offset = float(header["vox_offset"])
    voxel_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if voxel_bytes > MAX_VOXEL_BYTES:
        raise ImageError("TOO_LARGE", "the header declares more than 2 GiB of voxels")
    if not int(header["sizeof_hdr"]) <= offset <= 1 << 20:
        raise ImageError("HEADER", "the header says that the voxels begin at an impossible place")
    return int(offset) + voxel_bytes


def _declared_shape(header: Any) -> tuple[int, int, int]:
    """Return columns, rows, slices."""
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7 or any(int(size) < 1 for size in header["dim"][1 : ndim + 1]):
        raise ImageError("SHAPE", "the header declares an impossible shape")
    sizes = [int(size) for size in header["dim"][1 : ndim + 1]]
    if any(size > 1 for size in sizes[3:]):
        raise ImageError("FOUR_D", "the file holds several volumes, and it is not said which one is the image")
    columns, rows, slices = [*sizes, 1, 1][:3]
    if columns < 2 or rows < 2:
        raise ImageError("SHAPE", "the volume has no area")
    return columns, rows, slices


def _declared_dtype(header: Any) -> np.dtype[Any]:
    from nibabel.spatialimages import HeaderDataError

    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        raise ImageError("DTYPE", "the header declares an unknown type of voxels") from None
    if dtype.names or dtype.kind not in _REAL_KINDS or dtype.itemsize > 8:
        raise ImageError("DTYPE", "the voxels are complex numbers, colours or of an unknown type")
    return dtype


def _unpack(content: bytes, need: int, *, to_end: bool) -> bytes:
    """Return the first `need` bytes of a gzip stream; with `to_end`, go on to the end, so that its checksum is compared."""
    from isal import igzip, igzip_lib

    try:
        with igzip.IGzipFile(fileobj=io.BytesIO(content)) as stream:
            unpacked: bytes = stream.read(need)
            if to_end and stream.read(1 << 20) and stream.read(1):
                raise ImageError("BOMB", "the file unpacks to much more than its header declares")
    except EOFError:
        raise ImageError("TRUNCATED", "the packed file ends early") from None
    except (OSError, zlib.error, igzip_lib.IsalError):  # type: ignore[misc]  # its stub declares an instance, not a class
        raise ImageError("CRC", "the packed file is damaged: its checksum does not match, or it cannot be unpacked") from None
    return unpacked


def _raw_voxels(header: Any, voxels: bytes) -> Pixels:
    """Return `(D, H, W)` in the stored type."""
    columns, rows, slices = _declared_shape(header)
    return np.frombuffer(voxels, _declared_dtype(header)).reshape(slices, rows, columns)


def _scaled(raw: Pixels, header: Any) -> Pixels:
    """Return the values with slope and intercept applied: int16 when they are so without, else float32."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or (slope != 0 and not np.isfinite(intercept)):
        raise ImageError("SLOPE", "the header's slope or intercept is not a number")
    if slope == 0 or (slope == 1 and intercept == 0):
        native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        volume = native if native.dtype == np.int16 else native.astype(np.float32)
    else:
        volume = (raw.astype(np.float64) * slope + intercept).astype(np.float32)
    if volume.dtype.kind == "f" and not np.isfinite(volume).all():
        raise ImageError("NOT_FINITE", "some voxels are not numbers")
    return volume


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
    if len(stated) == 2 and _corner_distance(stated[0], stated[1], _declared_shape(header)) > spacing_mm.min() / 2:
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


def _corner_distance(one: Affine, other: Affine, shape: tuple[int, int, int]) -> float:
    """Return the largest distance, in mm, between the corners of the volume under two affines."""
    corners = np.array([[x, y, z, 1] for x in (0, shape[0] - 1) for y in (0, shape[1] - 1) for z in (0, shape[2] - 1)], np.float64)
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())
