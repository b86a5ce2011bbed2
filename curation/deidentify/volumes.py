"""A NIfTI file to a new one: voxels and geometry, in a header that is made anew; no text, no extension, no packed file name, no bytes behind the voxels."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.acquired import Acquired
from curation.deidentify.harvest import Identifiers, Source, collect
from curation.deidentify.objects import NewFile
from curation.deidentify.options import DeidentifySettings
from curation.deidentify.second_look import refuse_bytes
from curation.errors import ImageError
from curation.nifti import open_nifti
from curation.nifti_header import is_pair, parse_header
from curation.pseudonyms import pseudonym

if TYPE_CHECKING:
    from curation.nifti import NiftiFile

TEXT_FIELDS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")
GEOMETRY_FIELDS = (
    "scl_slope", "scl_inter", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z",
)  # fmt: skip
LABEL_INTENT = 1002
AIR_HU = -500
LARGEST_SIZE = 32767
HEADER_BYTES = 540
PAIRS = {".hdr": ".img", ".hdr.gz": ".img.gz"}


def clean_nifti(path: Path, key: bytes, settings: DeidentifySettings) -> NewFile:
    """Return a `.nii.gz` file of the voxels of a `.nii`, a `.nii.gz` or the `.hdr` of a pair.

    Raises:
        ImageError: LEAK, or why the file cannot be read.
    """
    from isal import igzip

    content = path.read_bytes()
    file = open_nifti(content, voxels_beside(path, content))
    refuse_face(file, settings)
    header = new_header(file)
    voxels = np.ascontiguousarray(file.raw, file.raw.dtype.newbyteorder("<")).tobytes()
    plain = header + voxels
    name = pseudonym(key, "name", hashlib.sha256(plain).hexdigest())
    place = f"nifti/{name}.nii.gz"
    refuse_bytes((header, voxels), place, identifiers_of(path, file.header))
    return NewFile(place, (igzip.compress(plain, compresslevel=1, mtime=0),))


def refuse_face(file: NiftiFile, settings: DeidentifySettings) -> None:
    """Refuse a head volume with thin slices, unless the settings accept it; a file without a modality is a CT when it has values of air.

    Raises:
        ImageError: FACE_RISK.
    """
    from curation.visible.faces import check_face

    volume = file.raw[0]
    if volume.shape[0] > 1 and volume.dtype.itemsize > 1:
        modality = "CT" if float(volume.min()) <= AIR_HU else "MR"
        check_face(Acquired(volume, modality, "", file.spacing_mm, file.affine), accept=settings.accept_face_risk)


def voxels_beside(path: Path, content: bytes) -> bytes | None:
    """Return the bytes of the `.img` that belongs to a `.hdr`, or None for a file that is whole by itself."""
    head = _unpacked(content) if content.startswith(b"\x1f\x8b") else content
    if not is_pair(parse_header(head[:HEADER_BYTES])):
        return None
    lower = path.name.lower()
    for header_end, voxel_end in PAIRS.items():
        beside = path.with_name(path.name[: -len(header_end)] + voxel_end)
        if lower.endswith(header_end) and beside.is_file() and not beside.is_symlink():
            return beside.read_bytes()
    raise ImageError("PAIR", "the voxels (.img) of a header (.hdr) are not beside it")


def is_voxels_of_pair(path: Path) -> bool:
    """Say whether a file is the `.img` of a header that lies beside it."""
    lower = path.name.lower()
    ends = ((voxel_end, header_end) for header_end, voxel_end in PAIRS.items())
    return any(lower.endswith(end) and path.with_name(path.name[: -len(end)] + other).is_file() for end, other in ends)


def _unpacked(content: bytes) -> bytes:
    import zlib

    try:
        return zlib.decompressobj(wbits=31).decompress(content, HEADER_BYTES)
    except zlib.error:
        raise ImageError("CRC", "the packed file cannot be unpacked") from None


def new_header(file: NiftiFile) -> bytes:
    """Return a header of 352 bytes (or 544, for an axis longer than 32767) that says where the voxels lie and nothing else."""
    import nibabel as nib

    old, shape = file.header, tuple(int(size) for size in file.raw.shape[::-1])
    shape = shape if shape[3] > 1 else shape[:3]
    header: Any = nib.Nifti1Header() if max(shape) <= LARGEST_SIZE else nib.Nifti2Header()
    header.set_data_shape(shape)
    header.set_data_dtype(file.raw.dtype.newbyteorder("<"))
    steps = np.asarray(old["pixdim"][: len(shape) + 1], np.float64)
    header["pixdim"][: len(steps)] = np.where(np.isfinite(steps), steps, 0)
    for name in GEOMETRY_FIELDS:
        value = np.asarray(old[name], np.float64)
        header[name] = np.where(np.isfinite(value), value, 0)
    header["xyzt_units"] = int(old["xyzt_units"]) & 0x3F
    header["intent_code"] = LABEL_INTENT if int(old["intent_code"]) == LABEL_INTENT else 0
    header["vox_offset"] = int(header["sizeof_hdr"]) + 4
    return bytes(header.binaryblock) + b"\0\0\0\0"


def identifiers_of(path: Path, header: Any) -> Identifiers:
    """Return what the texts of a header and the name of the file may say about somebody."""
    texts = [bytes(header[name]).split(b"\0")[0].decode("latin-1") for name in TEXT_FIELDS if name in header.keys()]  # noqa: SIM118 (a header is no dict)
    return collect(Source(word, "id") for text in (*texts, *path.parts[-3:]) for word in re.split(r"\s+", text) if word)
