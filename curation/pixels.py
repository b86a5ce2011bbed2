"""Pixels at rest: arrays to file bytes and back, and the hash that names them.

2-D: PNG, `(H, W)` uint8 or uint16, or `(H, W, 3)` uint8 RGB. 3-D: NIfTI-1 `.nii.gz`, `(D, H, W)` int16 or float32, axes
slices, rows, columns. No text chunk, no free header field, no time is written, so the bytes hold pixels and geometry only.
Synthetic images alone say more: a PNG in text chunks, a NIfTI in a header extension.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.errors import IntegrityError

Pixels = npt.NDArray[Any]

STORED_BYTES = 0xFFFF
"""Most bytes of a deflate block that is not compressed."""
SYNTHETIC_MARK = "Curaloop-Synthetic"
"""Key of the PNG text chunk, or of the NIfTI extension, that every synthetic image carries."""
NIFTI_COMMENT = 6
"""Code of the NIfTI header extension that holds plain text."""


def hash_pixels(pixels: Pixels, spacing_mm: tuple[float, ...] | list[float] | None = None) -> str:
    """Return the SHA-256 of shape, dtype, spacing (rounded to 1e-4 mm) and values, independent of any compression."""
    header = f"{pixels.shape}|{pixels.dtype.newbyteorder('<').str}|{[round(s, 4) for s in spacing_mm or ()]}"
    digest = hashlib.sha256(header.encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def name_volume(pixels: Pixels, geometry: list[float]) -> str:
    """Return 32 hex digits of the BLAKE3 of shape, dtype, geometry and values: four times as fast as SHA-256 on the 100 MB of a CT."""
    from blake3 import blake3

    digest = blake3(f"{pixels.shape}|{pixels.dtype.newbyteorder('<').str}|{geometry}".encode())
    digest.update(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:32]


def encode_png(pixels: Pixels, mark: dict[str, str] | None = None) -> bytes:
    """Return `pixels`, `(H, W)` uint8/uint16 or `(H, W, 3)` uint8 RGB, as PNG bytes.

    Args:
        pixels: the image.
        mark: text chunks; only synthetic images carry one.
    """
    from isal import isal_zlib

    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or pixels.size == 0:
        raise ValueError(f"cannot write {pixels.shape} {pixels.dtype} as PNG")
    depth, colour_type = 8 * pixels.dtype.itemsize, 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour_type, 0, 0, 0)
    packed = isal_zlib.compress(_filter_lines(pixels).data, 1)
    content = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    return _insert_text(content, mark) if mark else content


def _filter_lines(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Return the bytes of each line minus those of the line above, behind the number of that filter (PNG, filter type 2, Up)."""
    lines = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(pixels.shape[0], -1)
    filtered = np.empty((lines.shape[0], lines.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    return filtered


def _chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG: length, name, content, checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _insert_text(png: bytes, mark: dict[str, str]) -> bytes:
    """Return the PNG with one tEXt chunk a key, right after the header chunk."""
    chunks = b"".join(_chunk(b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1")) for key, value in sorted(mark.items()))
    end_of_header = 8 + 25
    return png[:end_of_header] + chunks + png[end_of_header:]


def encode_nifti(volume: Pixels, affine: npt.NDArray[np.float64], *, compress: bool = False, mark: dict[str, str] | None = None) -> bytes | memoryview:
    """Return a `(D, H, W)` volume as `.nii.gz` bytes.

    Voxels of a scanner are mostly noise: gzip takes longer to halve them than everything else that is done to them, so they are stored in a gzip file
    that does not compress.

    Args:
        volume: int16 or float32, axes slices, rows, columns; a label map: uint8 or uint16.
        affine: `(4, 4)`, voxel indices in the file's order (columns, rows, slices) to RAS+ millimetres.
        compress: for label maps, which shrink a hundred times.
        mark: becomes a header extension; only synthetic volumes carry one.
    """
    from isal import igzip

    head = _nifti_header(volume, affine, mark)
    voxels = np.ascontiguousarray(volume, volume.dtype.newbyteorder("<"))
    if not compress:
        return _stored_gzip(head, voxels.reshape(-1).view(np.uint8))
    compressed: bytes = igzip.compress(head + voxels.tobytes(), compresslevel=1, mtime=0)
    return compressed


def _nifti_header(volume: Pixels, affine: npt.NDArray[np.float64], mark: dict[str, str] | None) -> bytes:
    """Return the bytes before the voxels: type, shape, geometry, no text but a synthetic volume's mark. 352 bytes without one."""
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(volume.dtype)
    header.set_data_shape(volume.shape[::-1])
    image = nib.Nifti1Image(np.broadcast_to(np.zeros((), volume.dtype), volume.shape[::-1]), affine, header)
    image.header.set_xyzt_units("mm")
    extension = io.BytesIO()
    if mark:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(NIFTI_COMMENT, json.dumps(mark, sort_keys=True).encode()))
        image.header.extensions.write_to(extension, byteswap=False)
    image.header["descrip"], image.header["vox_offset"] = b"", 352 + extension.tell()
    image.header.set_slope_inter(1, 0)
    return bytes(image.header.binaryblock) + bytes([bool(mark), 0, 0, 0]) + extension.getvalue()


def _stored_gzip(head: bytes, body: npt.NDArray[np.uint8]) -> memoryview:
    """Return head and body as a gzip file of stored blocks (RFC 1951, 3.2.4): no name, no time."""
    from isal import isal_zlib

    rest = body.size % STORED_BYTES
    whole = body[: body.size - rest].reshape(-1, STORED_BYTES)
    start = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + _stored_block(len(head)) + head
    end = _stored_block(rest, is_last=True) + body[body.size - rest :].tobytes()
    end += struct.pack("<II", isal_zlib.crc32(body.data, isal_zlib.crc32(head)), (len(head) + body.size) & 0xFFFFFFFF)
    block = _stored_block(STORED_BYTES)
    out = np.empty(len(start) + whole.size + len(whole) * len(block) + len(end), np.uint8)
    out[: len(start)], out[-len(end) :] = np.frombuffer(start, np.uint8), np.frombuffer(end, np.uint8)
    middle = out[len(start) : -len(end)].reshape(len(whole), STORED_BYTES + len(block))
    middle[:, : len(block)], middle[:, len(block) :] = np.frombuffer(block, np.uint8), whole
    return out.data


def _stored_block(size: int, *, is_last: bool = False) -> bytes:
    return struct.pack("<BHH", is_last, size, size ^ 0xFFFF)


def decode(content: bytes | memoryview, suffix: str) -> Pixels:
    """Return the pixels of a stored file: `(H, W)`, `(H, W, 3)` RGB or `(D, H, W)`.

    Raises:
        IntegrityError: the bytes are not what the suffix says.
    """
    if suffix == ".nii.gz":
        return _decode_nifti(content)
    import cv2

    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise IntegrityError("stored image", "bytes are not a PNG")
    return np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels


def _decode_nifti(content: bytes | memoryview) -> Pixels:
    import nibabel as nib
    from isal import igzip

    image = nib.Nifti1Image.from_bytes(igzip.decompress(content))
    return np.ascontiguousarray(np.asanyarray(image.dataobj).transpose(2, 1, 0))


def read_affine(content: bytes | memoryview) -> npt.NDArray[np.float64]:
    """Return the `(4, 4)` affine of a stored `.nii.gz`: voxel indices (columns, rows, slices) to RAS+ millimetres."""
    import nibabel as nib
    from isal import igzip

    return np.asarray(nib.Nifti1Image.from_bytes(igzip.decompress(content)).affine, dtype=np.float64)


def read_png_mark(content: bytes) -> dict[str, str]:
    """Return the text chunks of a PNG."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return {str(key): str(value) for key, value in image.info.items() if isinstance(value, str)}


def read_mark(content: bytes, suffix: str) -> dict[str, str]:
    """Return what a stored file says of itself: the text chunks of a PNG, the mark of a `.nii.gz`; empty when it says nothing.

    Raises:
        IntegrityError: the bytes are not what the suffix says.
    """
    return _read_nifti_mark(content) if suffix == ".nii.gz" else read_png_mark(content)


def _read_nifti_mark(content: bytes) -> dict[str, str]:
    """Return the keys and values of all header extensions that are JSON objects. The voxels are not read."""
    from isal import igzip, igzip_lib
    from nibabel import Nifti1Header
    from nibabel.spatialimages import HeaderDataError

    try:
        with igzip.IGzipFile(fileobj=io.BytesIO(content)) as stream:
            header = Nifti1Header.from_fileobj(stream)
    except (OSError, EOFError, zlib.error, igzip_lib.IsalError, HeaderDataError) as error:  # type: ignore[misc]  # a class, its stub says no
        raise IntegrityError("stored volume", "bytes are not a NIfTI") from error
    mark: dict[str, str] = {}
    for extension in header.extensions:
        try:
            found = json.loads(extension.text) if extension.get_code() == NIFTI_COMMENT else {}
        except (json.JSONDecodeError, UnicodeDecodeError):
            continue
        mark |= {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    return mark
