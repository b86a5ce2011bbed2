"""Pixels of a DICOM data set: decoded without guessing, rescaled, and shown as a radiologist would see them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curation.dicom_reading import guarded
from curation.errors import ImageError
from curation.jpeg_streams import check_jpeg
from curation.pixels import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_PIXEL_BYTES = 4 << 30

# Fastest first, by transfer syntax; pydicom's own order is up to eight times slower.
PLUGINS: dict[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2.5": ("pylibjpeg", "pydicom", "gdcm"),
    "1.2.840.10008.1.2.4.50": ("gdcm", "pillow"),
    "1.2.840.10008.1.2.4.51": ("gdcm", "pillow"),
    "1.2.840.10008.1.2.4.57": ("gdcm",),
    "1.2.840.10008.1.2.4.70": ("gdcm",),
    "1.2.840.10008.1.2.4.80": ("pyjpegls", "gdcm"),
    "1.2.840.10008.1.2.4.81": ("pyjpegls", "gdcm"),
    "1.2.840.10008.1.2.4.90": ("pylibjpeg", "gdcm", "pillow"),
    "1.2.840.10008.1.2.4.91": ("pylibjpeg", "gdcm", "pillow"),
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.202": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),
}


JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
TWELVE_BIT_PLUGINS = ("pylibjpeg",)
"""Lossy JPEG with 12 bits is refused by the other plugins; this one needs pylibjpeg-libjpeg, whose licence keeps it from being a dependency."""


def frames_of(dataset: Dataset) -> int:
    """Return the number of frames; 1 when it is not said."""
    return int(dataset.get("NumberOfFrames") or 1)


def decode_frames(dataset: Dataset) -> Pixels:
    """Return the stored values, `(F, H, W)` or `(F, H, W, 3)`; YBR is converted to RGB, bits above BitsStored are dropped.

    Raises:
        ImageError: SHAPE, BITS, TOO_LARGE, TRUNCATED, NO_DECODER or CORRUPT.
    """
    with guarded():
        _check_layout(dataset)
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax.is_transfer_syntax and not syntax.is_encapsulated:
            _check_length(dataset)
    samples = (3,) if int(dataset.get("SamplesPerPixel") or 1) == 3 else ()
    with guarded("SHAPE", "the decoded pixels do not have the rows and columns of the header"):
        frames = _decode(dataset).reshape(-1, int(dataset.Rows), int(dataset.Columns), *samples)
    frames = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    if len(frames) != frames_of(dataset):
        raise ImageError("SHAPE", f"{len(frames)} frames were found where the header says {frames_of(dataset)}")
    return frames


def _check_layout(dataset: Dataset) -> None:
    """Refuse a pixel description that does not hang together, before any memory is taken."""
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel") or 1)
    frames, allocated, stored = frames_of(dataset), int(dataset.BitsAllocated), int(dataset.BitsStored)
    if min(rows, columns, frames) < 1 or samples not in (1, 3):
        raise ImageError("SHAPE", f"{rows} rows, {columns} columns, {frames} frames, {samples} samples cannot be an image")
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise ImageError("BITS", f"{stored} of {allocated} bits stored are not supported")
    if int(dataset.get("HighBit") or stored - 1) != stored - 1:
        raise ImageError("BITS", "the highest bit is not the last of those stored")
    if rows * columns * samples * frames * allocated // 8 > MAX_PIXEL_BYTES:
        raise ImageError("TOO_LARGE", f"the pixels would take more than {MAX_PIXEL_BYTES >> 30} GiB")
    if "PixelData" not in dataset or not dataset.PixelData:
        raise ImageError("TRUNCATED", "the file ends before its pixels")


def _check_length(dataset: Dataset) -> None:
    """Refuse uncompressed pixels whose number is not what the header says; one byte may pad to an even length."""
    from pydicom.pixels.utils import get_expected_length

    expected, found = get_expected_length(dataset), len(dataset.PixelData)
    if found < expected:
        raise ImageError("TRUNCATED", f"{found} bytes of pixels where {expected} are needed")
    if found > expected + expected % 2:
        raise ImageError("SHAPE", f"{found} bytes of pixels where rows and columns ask for {expected}")


def _decode(dataset: Dataset) -> Pixels:
    """Decode with the fastest plugin that can."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    with guarded("NO_DECODER", f"no decoder for transfer syntax {_safe_uid(syntax)}"):
        decoder = get_decoder(syntax)
    if not syntax.is_encapsulated:
        with guarded("CORRUPT", "the pixels cannot be unpacked"):
            return _unpack(dataset) if _is_plain(dataset) else pixel_array(dataset)
    wanted = TWELVE_BIT_PLUGINS if str(syntax) == JPEG_EXTENDED and int(dataset.BitsStored) > 8 else PLUGINS.get(str(syntax), decoder.available_plugins)
    available = [plugin for plugin in wanted if plugin in decoder.available_plugins]
    if not available:
        raise ImageError(
            "NO_DECODER", f"no installed package decodes transfer syntax {_safe_uid(syntax)}; it needs {' or '.join(decoder.missing_dependencies)}"
        )
    if str(syntax) in JPEG:
        _check_streams(dataset)
    return _decode_with(dataset, available)


def _check_streams(dataset: Dataset) -> None:
    """Refuse JPEG frames that are not whole: on some of them the decoder ends the process.

    Raises:
        ImageError: TRUNCATED, CORRUPT.
    """
    from pydicom.encaps import generate_frames

    with guarded("CORRUPT", "the compressed frames cannot be told apart"):
        for frame in generate_frames(dataset.PixelData, number_of_frames=frames_of(dataset)):
            check_jpeg(frame)


def _is_plain(dataset: Dataset) -> bool:
    """Return whether the bytes are gray values as this machine keeps them."""
    syntax = dataset.file_meta.TransferSyntaxUID
    is_gray = int(dataset.get("SamplesPerPixel") or 1) == 1 and bool(dataset.PhotometricInterpretation)
    return is_gray and bool(syntax.is_little_endian) and sys.byteorder == "little"


def _unpack(dataset: Dataset) -> Pixels:
    """Return uncompressed gray values, a view of the file's bytes where all bits are used; `(F, H, W)`."""
    allocated, unused = int(dataset.BitsAllocated), int(dataset.BitsAllocated) - int(dataset.BitsStored)
    dtype = np.dtype(f"{'i' if int(dataset.PixelRepresentation) else 'u'}{allocated // 8}")
    shape = (frames_of(dataset), int(dataset.Rows), int(dataset.Columns))
    values: Pixels = np.frombuffer(dataset.PixelData, dtype, count=shape[0] * shape[1] * shape[2]).reshape(shape)
    if unused and not _is_within(values, int(dataset.BitsStored)):  # overlays hide above the bits stored; shifting there and back extends the sign
        values = np.left_shift(values, unused)
        np.right_shift(values, unused, out=values)
    return values


def _is_within(values: Pixels, bits: int) -> bool:
    """Return whether all values are ones of that many bits."""
    if values.dtype.kind == "u":
        return int(values.max()) < 1 << bits
    return -(1 << bits - 1) <= int(values.min()) and int(values.max()) < 1 << bits - 1


def _decode_with(dataset: Dataset, plugins: list[str]) -> Pixels:
    """Return the answer of the first plugin that can decode.

    Raises:
        ImageError: CORRUPT, when none can.
    """
    from pydicom.pixels.utils import pixel_array

    for plugin in plugins[:-1]:
        try:
            with guarded():
                return pixel_array(dataset, decoding_plugin=plugin)
        except ImageError:
            continue
    with guarded("CORRUPT", "the compressed pixels cannot be decoded"):
        return pixel_array(dataset, decoding_plugin=plugins[-1])


def _safe_uid(syntax: str) -> str:
    return syntax if all(c in "0123456789." for c in syntax) and len(syntax) <= 64 else "(not a UID)"


def rescaled(stored: Pixels, slope: float, intercept: float) -> npt.NDArray[np.float32]:
    """Return `stored` times slope plus intercept, float32.

    Raises:
        ImageError: RESCALE, when the slope is zero or no number.
    """
    values = np.empty(stored.shape, np.float32)
    rescale_into(values, stored, slope, intercept)
    return values


def rescale_into(values: npt.NDArray[np.float32], stored: Pixels, slope: float, intercept: float) -> None:
    """Write `stored` times slope plus intercept into `values`, without a copy between.

    Raises:
        ImageError: RESCALE, when the slope is zero or no number.
    """
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise ImageError("RESCALE", "the rescale slope is zero, or slope or intercept is no number")
    if slope == 1:
        np.add(stored, np.float32(intercept), out=values, dtype=np.float32, casting="unsafe")
        return
    np.multiply(stored, np.float32(slope), out=values, dtype=np.float32, casting="unsafe")
    np.add(values, np.float32(intercept), out=values)


def rescale_of(dataset: Dataset) -> tuple[float, float]:
    """Return slope and intercept; 1 and 0 when they are not said."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))


def padding_of(dataset: Dataset, dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Return the smallest and largest stored value that only fill the frame (Pixel Padding Value and Range Limit), or None.

    Args:
        dataset: header of the image.
        dtype: type of the stored values; a value written as unsigned for signed pixels is read as they are.
    """
    said = [dataset.get(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if said[0] is None:
        return None
    lowest, modulus = int(np.iinfo(dtype).min), 1 << (8 * dtype.itemsize)
    ends = sorted((int(value) - lowest) % modulus + lowest for value in said if value is not None)
    return ends[0], ends[-1]


def displayed(dataset: Dataset, stored: Pixels) -> Pixels:
    """Return a gray image as it is shown: modality LUT, VOI LUT or window, and MONOCHROME1 turned to MONOCHROME2.

    Args:
        dataset: header of the image.
        stored: `(H, W)` stored values.

    Returns:
        `(H, W)`, the displayed window over the whole range of uint8 (at most 8 bits stored) or uint16.
    """
    share = _window(dataset, _modality_values(dataset, stored))
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        share = 1 - share
    top, dtype = (255, np.uint8) if int(dataset.BitsStored) <= 8 else (65535, np.uint16)
    return np.rint(np.clip(share, 0, 1) * top).astype(dtype)


def _modality_values(dataset: Dataset, stored: Pixels) -> Pixels:
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels.processing import apply_modality_lut

        with guarded("LUT", "the modality LUT cannot be applied"):
            return np.asarray(apply_modality_lut(stored, dataset))
    return rescaled(stored, *rescale_of(dataset))


def _window(dataset: Dataset, values: Pixels) -> npt.NDArray[np.float64]:
    """Return displayed gray from 0 to 1: by the first VOI LUT, else the first window, else from the smallest to the largest value."""
    if dataset.get("VOILUTSequence"):
        return _voi_lut(dataset, values)
    window = _first_window(dataset)
    if window is None:
        low, high = float(values.min()), float(values.max())
        return (values.astype(np.float64) - low) / (high - low) if high > low else np.zeros(values.shape)
    centre, width = window
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values.astype(np.float64) - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT" or width <= 1:
        return (values.astype(np.float64) - centre) / width + 0.5
    return (values.astype(np.float64) - (centre - 0.5)) / (width - 1) + 0.5


def _voi_lut(dataset: Dataset, values: Pixels) -> npt.NDArray[np.float64]:
    from pydicom.pixels.processing import apply_voi

    with guarded("LUT", "the VOI LUT cannot be applied"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        shown = np.asarray(apply_voi(np.rint(values).astype(np.int64), dataset, index=0))
        share: npt.NDArray[np.float64] = shown.astype(np.float64) / (2**bits - 1)
        return share


def _first_window(dataset: Dataset) -> tuple[float, float] | None:
    """Return centre and width of the first window, or None when there is none that makes sense."""
    found = [_first_number(dataset.get(name)) for name in ("WindowCenter", "WindowWidth")]
    if found[0] is None or found[1] is None or found[1] <= 0:
        return None
    return found[0], found[1]


def _first_number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = float(value if isinstance(value, int | float | str) else value[0])
    return number if np.isfinite(number) else None


def coloured(dataset: Dataset, stored: Pixels) -> npt.NDArray[np.uint8]:
    """Return a colour image as RGB.

    Args:
        dataset: header of the image.
        stored: `(H, W, 3)` RGB, or `(H, W)` indices into a palette.
    """
    pixels, bits = stored, int(dataset.BitsStored)
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        with guarded("LUT", "the palette cannot be applied"):
            bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
            pixels = np.asarray(apply_color_lut(stored, dataset))[..., :3]
    scale = 1.0 if bits <= 8 else 255 / (2**bits - 1)
    rgb: npt.NDArray[np.uint8] = np.rint(pixels.astype(np.float64) * scale).astype(np.uint8)
    return rgb
