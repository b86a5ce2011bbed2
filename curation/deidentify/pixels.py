"""The pixels of a DICOM object as new bytes: as many values as rows, columns and frames ask for, no bit more, nothing between or behind them.

Uncompressed gray values are copied without being decoded. Every compressed form is decoded and written uncompressed: streams carry comments
and application segments, and a second lossy compression would change the image. A film that was compressed with loss says so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.deidentify.dataset import Level
from curation.deidentify.identity import put
from curation.deidentify.little_endian import LONG_VRS
from curation.dicom_fields import text_of
from curation.dicom_pixels import decode_frames, frames_of
from curation.errors import ImageError
from curation.pixels import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PIXEL_DATA = 0x7FE00010
NATIVE_SYNTAXES = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81, 91, 203))
GRAY = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
MAX_PIXEL_BYTES = 0xFFFFFFFE
Masking = Callable[[Pixels], Pixels]
"""Takes `(F, H, W)` or `(F, H, W, 3)` stored values and returns them, with what may name the patient covered; the same array when there is nothing."""


def as_they_are(frames: Pixels) -> Pixels:
    """Cover nothing."""
    return frames


def write_pixels(clean: Level, dataset: Dataset, hide: Masking = as_they_are) -> bytes | memoryview:
    """Write the description of the pixels into `clean` and return their bytes.

    Args:
        clean: elements of the new object.
        dataset: the original, with its pixels.
        hide: covers text in the stored values.

    Raises:
        ImageError: the pixels are missing, cut short, not described, or cannot be decoded.
    """
    if int(dataset.get("BitsAllocated") or 0) == 1:
        return _bits(clean, dataset, hide)
    content = _copied(clean, dataset, hide)
    if content is None:
        content = _decoded(clean, dataset, hide(decode_frames(dataset)))
    if str(dataset.file_meta.TransferSyntaxUID) in LOSSY_SYNTAXES:
        put(clean, "LossyImageCompression", "01")
    return content


def pixel_header(content: bytes | memoryview, allocated: int) -> bytes:
    """Return the head of the element that holds the pixels; an odd length is padded behind them."""
    if len(content) > MAX_PIXEL_BYTES:
        raise ImageError("TOO_LARGE", "the pixels would take more than 4 GiB")
    vr = "OW" if allocated > 8 else "OB"
    assert vr in LONG_VRS
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, vr.encode(), 0, len(content) + len(content) % 2)


def _describe(clean: Level, *, samples: int, photometric: str, planar: int | None, bits: tuple[int, int], is_signed: bool) -> None:
    """Write the elements that say how the values lie; `bits` are allocated and stored."""
    put(clean, "SamplesPerPixel", samples)
    put(clean, "PhotometricInterpretation", photometric)
    if planar is not None:
        put(clean, "PlanarConfiguration", planar)
    allocated, stored = bits
    for keyword, value in (("BitsAllocated", allocated), ("BitsStored", stored), ("HighBit", stored - 1), ("PixelRepresentation", int(is_signed))):
        put(clean, keyword, value)


def _copied(clean: Level, dataset: Dataset, hide: Masking) -> bytes | memoryview | None:
    """Return uncompressed values as they lie in the file, unused bits cleared; None when they have to be decoded."""
    photometric, samples = text_of(dataset, "PhotometricInterpretation"), int(dataset.get("SamplesPerPixel") or 1)
    allocated, stored = int(dataset.get("BitsAllocated") or 0), int(dataset.get("BitsStored") or 0)
    if str(dataset.file_meta.TransferSyntaxUID) not in NATIVE_SYNTAXES or photometric not in GRAY or samples != 1 or allocated not in (8, 16):
        return None
    if not 1 <= stored <= allocated:
        raise ImageError("BITS", f"{stored} of {allocated} bits stored are not supported")
    expected = int(dataset.Rows) * int(dataset.Columns) * frames_of(dataset) * allocated // 8
    raw: Any = dataset.get_item(PIXEL_DATA)
    content = raw.value or b"" if raw is not None else b""
    _check_length(len(content), expected, frames_of(dataset))
    is_signed = int(dataset.get("PixelRepresentation") or 0) == 1
    high = int(dataset.get("HighBit") if dataset.get("HighBit") is not None else stored - 1)
    _describe(clean, samples=1, photometric=photometric, planar=None, bits=(allocated, stored), is_signed=is_signed)
    stored_values = np.frombuffer(content, f"<{'i' if is_signed else 'u'}{allocated // 8}", expected * 8 // allocated)
    values = stored_values if stored == allocated else _trimmed(stored_values, allocated, stored, high)
    frames = values.reshape(-1, int(dataset.Rows), int(dataset.Columns))
    hidden = hide(frames)
    return memoryview(content)[:expected] if hidden is frames and stored == allocated else np.ascontiguousarray(hidden).tobytes()


def _check_length(found: int, expected: int, frames: int) -> None:
    """Refuse a number of bytes that rows, columns and frames do not ask for; less than a frame behind the pixels is padding, and is dropped.

    Raises:
        ImageError: TRUNCATED or SHAPE.
    """
    if not expected:
        raise ImageError("SHAPE", "an image without rows, columns or frames")
    if found < expected:
        raise ImageError("TRUNCATED", f"{found} bytes of pixels where {expected} are needed")
    if found - expected > max(expected // frames, 1):
        raise ImageError("SHAPE", f"{found} bytes of pixels where rows, columns and frames ask for {expected}")


def _trimmed(values: Pixels, allocated: int, stored: int, high: int) -> Pixels:
    """Return values whose unused bits are zero, or copies of the sign; values that lie higher come down to the lowest bit."""
    if not stored - 1 <= high < allocated:
        raise ImageError("BITS", "the highest bit does not fit the bits stored")
    left = np.left_shift(values, allocated - 1 - high)
    return np.asarray(np.right_shift(left, allocated - stored))


def _decoded(clean: Level, dataset: Dataset, frames: Pixels) -> bytes:
    """Return decoded values, gray or RGB pixel by pixel."""
    stored, allocated = int(dataset.BitsStored), frames.dtype.itemsize * 8
    is_colour = frames.ndim == 4
    photometric = "RGB" if is_colour else text_of(dataset, "PhotometricInterpretation")
    _describe(
        clean,
        samples=3 if is_colour else 1,
        photometric=photometric if photometric in GRAY or is_colour else "MONOCHROME2",
        planar=0 if is_colour else None,
        bits=(allocated, stored),
        is_signed=frames.dtype.kind == "i",
    )
    values = frames if stored >= allocated else _trimmed(frames, allocated, stored, stored - 1)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


def _bits(clean: Level, dataset: Dataset, hide: Masking) -> bytes:
    """Return values of one bit, eight to a byte; the bits behind the last value are zero."""
    if str(dataset.file_meta.TransferSyntaxUID) not in NATIVE_SYNTAXES:
        raise ImageError("NO_DECODER", "binary pixels in a compressed or big-endian form")
    count = int(dataset.Rows) * int(dataset.Columns) * frames_of(dataset)
    content = bytes(dataset.PixelData or b"")
    expected = (count + 7) // 8
    _check_length(len(content), expected, frames_of(dataset))
    _describe(clean, samples=1, photometric="MONOCHROME2", planar=None, bits=(1, 1), is_signed=False)
    if hide is not as_they_are:
        shown = np.unpackbits(np.frombuffer(content, np.uint8), count=count, bitorder="little").reshape(-1, int(dataset.Rows), int(dataset.Columns)) * 255
        content = np.packbits(hide(shown) > 127, bitorder="little").tobytes()
    last = content[expected - 1] & ((1 << (count - 8 * (expected - 1))) - 1)
    return content[: expected - 1] + bytes([last])
