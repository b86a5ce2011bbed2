"""NIfTI to volumes in known orientation: what the header leaves open or says twice differently is refused, never guessed.

Only voxels, spacing and the affine come out; free text fields, extensions and gzip names stay behind. A file of several volumes (4-D) gives one image a volume.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.nifti_header import (
    HEADER_BYTES,
    Affine,
    Shape,
    declared_dtype,
    declared_shape,
    is_pair,
    parse_header,
    read_affine,
    seconds_between_volumes,
    voxel_offset,
)
from curation.pixels import Pixels

MAX_VOXEL_BYTES = 2 << 30
MAX_TRAILING_BYTES = 1 << 20
TRAILING_BYTES = "TRAILING_BYTES"
"""Note of a file that goes on behind its last voxel; what is there is not taken."""


@dataclass(frozen=True)
class NiftiFile:
    """One NIfTI file, its voxels as they are stored.

    Attributes:
        header: nibabel's, unchecked and unmended.
        raw: `(T, D, H, W)`: volumes, slices, rows, columns.
        affine: `(4, 4)` voxel index (column, row, slice) to RAS+ millimetres.
        notes: codes of what was odd but harmless.
    """

    header: Any
    raw: Pixels
    affine: Affine
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return declared_shape(self.header)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Slices, rows, columns."""
        return tuple(float(step) for step in self.header["pixdim"][3:0:-1])

    @property
    def is_whole(self) -> bool:
        """All stored values are whole numbers."""
        return self.raw.dtype.kind in "iu" or bool(np.array_equal(self.raw, np.rint(self.raw)))


def open_nifti(content: bytes, voxels: bytes | None = None) -> NiftiFile:
    """Return what is in the bytes of a `.nii` or `.nii.gz` file, or of a pair.

    Args:
        content: the whole file, or the `.hdr` of a pair; whether it is packed is seen from its bytes.
        voxels: the `.img` of a pair.

    Raises:
        ImageError: TRUNCATED, CRC, HEADER, PAIR, DTYPE, VECTOR, SHAPE, LENGTH, SPACING, UNITS, ORIENTATION_UNKNOWN, ORIENTATION_CONFLICT, TOO_LARGE or BOMB.
    """
    header = parse_header(_unpack(content, HEADER_BYTES, to_end=False)[0] if _is_packed(content) else content[:HEADER_BYTES])
    if is_pair(header) != (voxels is not None):
        raise ImageError("PAIR", "a pair of header (.hdr) and voxels (.img) is not complete, or the header says that it is none")
    shape, dtype, offset = declared_shape(header), declared_dtype(header), voxel_offset(header)
    need = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if need - offset > MAX_VOXEL_BYTES:
        raise ImageError("TOO_LARGE", "the header declares more than 2 GiB of voxels")
    stored, is_longer = _take(content if voxels is None else voxels, need)
    raw = np.frombuffer(stored, dtype, int(np.prod(shape)), offset).reshape(shape[::-1])
    return NiftiFile(header, raw, read_affine(header), (TRAILING_BYTES,) if is_longer else ())


def read_volumes(
    file: NiftiFile, modality: str, patient: str, b_values: tuple[float, ...] = (), fields: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Acquired | ImageError]:
    """Yield one image a volume, or why it cannot be one. Of several, `attributes` says which volume, its b-value or its time.

    Args:
        file: what was opened.
        modality: DICOM code.
        patient: raw patient identifier.
        b_values: of every volume, in s/mm2; empty when not known.
        fields: columns that all volumes share, already de-identified.

    Raises:
        ImageError: SLOPE, or NOT_FINITE, in the only volume.
    """
    step_s = None if b_values else seconds_between_volumes(file.header)
    for index, raw in enumerate(file.raw):
        attributes: dict[str, Any] = json.loads(fields.get("attributes", "{}")) | ({"volume_index": index} if len(file.raw) > 1 else {})
        if b_values:
            attributes["b_value"] = b_values[index]
        elif len(file.raw) > 1 and step_s:
            attributes["time_s"] = round(index * step_s, 6)
        told = dict(fields) | ({"attributes": json.dumps(attributes, sort_keys=True)} if attributes else {})
        try:
            yield Acquired(_scaled(raw, file.header), modality, patient, file.spacing_mm, file.affine, told, notes=file.notes)
        except ImageError as error:
            if len(file.raw) == 1:
                raise
            yield error


def parse_b_values(content: bytes, volumes: int) -> tuple[float, ...]:
    """Return the b-values in the text of a `.bval` file.

    Raises:
        ImageError: B_VALUES, not one number of at least 0 a volume.
    """
    try:
        found = tuple(float(word) for word in content.decode("ascii").split())
    except ValueError:
        found = ()
    if len(found) != volumes or not all(0 <= value < 1e5 for value in found):
        raise ImageError("B_VALUES", "the file of b-values beside the image does not hold one number a volume")
    return found


def _is_packed(content: bytes) -> bool:
    return content.startswith(b"\x1f\x8b")


def _take(content: bytes, need: int) -> tuple[bytes, bool]:
    """Return at least the first `need` bytes, unpacked, and whether more follow."""
    unpacked, behind = _unpack(content, need, to_end=True) if _is_packed(content) else (content, len(content) - need)
    if len(unpacked) < need:
        raise ImageError("TRUNCATED", "the file ends before the last voxel")
    if behind > MAX_TRAILING_BYTES:
        raise ImageError("LENGTH", "the file holds much more than its header declares")
    return unpacked, behind > 0


def _unpack(content: bytes, need: int, *, to_end: bool) -> tuple[bytes, int]:
    """Return the first `need` bytes of a gzip stream; with `to_end`, go on to the end, so that its checksum is compared, and return how many follow."""
    from isal import igzip, igzip_lib

    behind = 0
    try:
        with igzip.IGzipFile(fileobj=io.BytesIO(content)) as stream:
            unpacked: bytes = stream.read(need)
            if to_end:
                behind = len(stream.read(MAX_TRAILING_BYTES))
                if behind and stream.read(1):
                    raise ImageError("BOMB", "the file unpacks to much more than its header declares")
    except EOFError:
        raise ImageError("TRUNCATED", "the packed file ends early") from None
    except (OSError, zlib.error, igzip_lib.IsalError):  # type: ignore[misc]  # its stub declares an instance, not a class
        raise ImageError("CRC", "the packed file is damaged: its checksum does not match, or it cannot be unpacked") from None
    return unpacked, behind


def _scaled(raw: Pixels, header: Any) -> Pixels:
    """Return the values with slope and intercept applied: int16 when they are so without, else float32."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or (slope != 0 and not np.isfinite(intercept)):
        raise ImageError("SLOPE", "the header's slope or intercept is not a number")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
        if slope == 0 or (slope == 1 and intercept == 0):
            native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
            volume = native if native.dtype == np.int16 else native.astype(np.float32)
        else:
            volume = (raw.astype(np.float64) * slope + intercept).astype(np.float32)
    if volume.dtype.kind == "f" and not np.isfinite(volume).all():
        raise ImageError("NOT_FINITE", "some voxels are not numbers")
    return volume
