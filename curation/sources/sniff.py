"""What a file is, by its first bytes; the name is only asked whether it promises something that the bytes do not keep."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Literal

Kind = Literal["dicom", "nifti", "png", "jpeg", "tiff", "other"]

HEAD_BYTES = 1024
"""How much of a file `sniff` needs."""

_PROMISES = {
    "dicom": (".dcm", ".dicom", ".ima"),
    "nifti": (".nii", ".nii.gz", ".hdr", ".hdr.gz"),
    "raster": (".png", ".jpg", ".jpeg", ".tif", ".tiff"),
}
_TAKES: dict[str, tuple[Kind, ...]] = {"dicom": ("dicom",), "nifti": ("nifti",), "raster": ("png", "jpeg", "tiff")}
_FOREIGN = {
    "raster": (
        rb"(?P<GIF>GIF8)|(?P<BMP>BM.{4}\0{4})|(?P<WebP>RIFF.{4}WEBP)|(?P<JPEG_2000>.{4}jP  |\xff\x4f\xff\x51)|(?P<HEIC>.{4}ftyp(?:heic|mif1))"
        rb"|(?P<AVIF>.{4}ftypavif)|(?P<JPEG_XL>.{4}JXL |\xff\x0a)|(?P<Photoshop>8BPS)"
    ),
    "nifti": rb"(?P<NRRD>NRRD0)|(?P<MetaImage>ObjectType)|(?P<MINC>CDF[\x01\x02]|\x89HDF)",
}
"""First bytes of formats that hold images which a source of this kind could mean, and that we do not read."""


def sniff(head: bytes) -> Kind:
    """Return the kind of a file that begins with `head` (1024 bytes, or all of a shorter file)."""
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if is_nifti_header(_unpacked(head)):
        return "nifti"
    return "dicom" if _begins_like_dicom(head) else "other"


def is_packed_dicom(head: bytes) -> bool:
    """Say whether a gzip stream holds a DICOM file."""
    return head.startswith(b"\x1f\x8b") and _unpacked(head)[128:132] == b"DICM"


def _unpacked(head: bytes) -> bytes:
    """Return the first bytes of a gzip stream, or `head` itself."""
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head[:-8], HEAD_BYTES)  # a wrong checksum at the end is the reader's to find
    except zlib.error:
        return b""


def is_nifti_header(head: bytes) -> bool:
    """Say whether the bytes begin with a NIfTI-1 or NIfTI-2 header of either byte order."""
    if len(head) < 348:
        return False
    sizes = {struct.unpack("<i", head[:4])[0], struct.unpack(">i", head[:4])[0]}
    return (348 in sizes and head[344:348] in (b"n+1\0", b"ni1\0")) or (540 in sizes and head[4:8] in (b"n+2\0", b"ni2\0"))


def foreign_format(head: bytes, source_kind: str) -> str | None:
    """Return the name of a format of pictures (volumes for a NIfTI source) that we do not read, so that it is told and not taken for something else."""
    found = re.match(_FOREIGN[source_kind], _unpacked(head), re.DOTALL) if source_kind in _FOREIGN else None
    return str(found.lastgroup).replace("_", " ") if found else None


def is_analyze_header(head: bytes) -> bool:
    """Say whether the bytes begin with a header of Analyze 7.5, which has NIfTI's layout but neither its mark nor an orientation."""
    unpacked = _unpacked(head)
    if len(unpacked) < 348 or is_nifti_header(unpacked):
        return False
    return 348 in struct.unpack("<i", unpacked[:4]) + struct.unpack(">i", unpacked[:4]) and unpacked[38:39] == b"r"


def _begins_like_dicom(head: bytes) -> bool:
    """Say whether a file without preamble begins with an element of group 0002 or 0008; of the latter in either byte order."""
    if len(head) < 16:
        return False
    group, element = struct.unpack("<HH", head[:4])
    explicit = head[4:6] in (b"UL", b"CS", b"UI", b"DA", b"TM", b"SH", b"OB", b"LO")
    implicit = struct.unpack("<I", head[4:8])[0] <= 256
    is_big_endian = explicit and head[:3] == b"\x00\x08\x00" and head[3] <= 0x18
    return is_big_endian or (group == 2 and element <= 0x18 and explicit) or (group == 8 and element <= 0x18 and (explicit or implicit))


def is_taken(kind: Kind, source_kind: str) -> bool:
    """Say whether a source of `source_kind` (dicom, nifti, raster) reads files of this kind."""
    return kind in _TAKES[source_kind]


def promises_image(name: str, source_kind: str) -> bool:
    """Say whether the name of a file promises an image of the source's kind."""
    return name.lower().endswith(_PROMISES[source_kind])
