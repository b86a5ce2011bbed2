"""Places that are no elements: preamble, file meta, bytes behind the end, unused bits, overlays, segments of compressed streams, writing in the pixels."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.leaks.objects import SIZE_PX
from benchmarks.leaks.tokens import Garden

TEXT_ROWS, TEXT_COLUMNS = slice(0, 140), slice(0, 640)
"""Where the writing is, with the room that a mask may take around it."""
BURNED_SIZE_PX = (480, 640)


def hide_in_high_bits(dataset: Any, garden: Garden) -> None:
    """Write a token into the four bits above BitsStored, one nibble a pixel."""
    word = garden.word("bits above BitsStored", "pixels").encode()
    nibbles = np.array([nibble for byte in word for nibble in (byte >> 4, byte & 15)], np.uint16)
    pixels = np.frombuffer(dataset.PixelData, np.uint16).copy()
    pixels[: len(nibbles)] |= nibbles << 12
    dataset.PixelData = pixels.tobytes()


def high_bits(content: bytes) -> bytes:
    """Return the bytes that the upper nibbles of 16-bit little-endian pixels spell."""
    nibbles = np.frombuffer(content[: len(content) // 2 * 2], np.uint16) >> 12
    pairs = nibbles[: len(nibbles) // 2 * 2].reshape(-1, 2)
    return bytes(((pairs[:, 0] << 4) | pairs[:, 1]).astype(np.uint8))


def plant_overlay(dataset: Any, garden: Garden) -> None:
    """Add an overlay whose bits spell a token, with label and description."""
    block = garden.word("(6000,3000) OverlayData", "pixels").encode()
    for tag, vr, value in (
        (0x60000010, "US", SIZE_PX), (0x60000011, "US", SIZE_PX), (0x60000040, "CS", "G"), (0x60000050, "SS", [1, 1]), (0x60000100, "US", 1),
        (0x60000102, "US", 0),
        (0x60000022, "LO", garden.word("(6000,0022) OverlayDescription", "element")), (0x60001500, "LO", garden.word("(6000,1500) OverlayLabel", "element")),
        (0x60004000, "LT", garden.word("(6000,4000) OverlayComments", "element")), (0x60003000, "OB", block.ljust(SIZE_PX * SIZE_PX // 8, b"\0")),
        (0x50000022, "LO", garden.word("(5000,0022) CurveDescription", "element")),
        (0x50003000, "OW", garden.word("(5000,3000) CurveData", "element").encode() + b" "),
    ):  # fmt: skip
        dataset.add_new(tag, vr, value)


def plant_private(dataset: Any, garden: Garden) -> None:
    """Add private elements of makers that tools know, and of one that nobody does."""
    csa = b"SV10\4\3\2\1" + struct.pack("<II", 1, 77) + b"PatientName".ljust(64, b"\0")
    for group, creator, vr, make in (
        (0x0029, "SIEMENS CSA HEADER", "OB", lambda w: csa + w.encode()), (0x0009, "GEMS_IDEN_01", "LO", str), (0x0019, "SIEMENS MR HEADER", "IS", None),
        (0x0043, "GEMS_PARM_01", "LO", str), (0x2001, "Philips Imaging DD 001", "LO", str), (0x2005, "Philips MR Imaging DD 001", "LO", str),
        (0x0021, "SIEMENS MR SDI 02", "ST", str), (0x0099, "ACME LOCAL", "UN", lambda w: w.encode()), (0x0051, "SIEMENS MR HEADER", "SH", str),
        (0x0011, None, "LO", str),
    ):  # fmt: skip
        owner = creator or garden.word(f"name of the private block ({group:04X},0010)", "private")
        block, place = dataset.private_block(group, owner, create=True), f"private ({group:04X},xx08) of {creator or 'an unknown maker'}"
        value = garden.number(place, "private") if make is None else make(garden.word(place, "private"))
        block.add_new(0x08, vr, value + b" " * (len(value) % 2) if isinstance(value, bytes) else value)


def plant_meta(dataset: Any, garden: Garden) -> None:
    """Fill the preamble and the optional file meta elements."""
    dataset.preamble = b"MZ" + garden.word("preamble", "meta").encode().ljust(126, b"\0")
    meta = dataset.file_meta
    meta.SendingApplicationEntityTitle = garden.word("(0002,0017) SendingApplicationEntityTitle", "meta")
    meta.ReceivingApplicationEntityTitle = garden.word("(0002,0018) ReceivingApplicationEntityTitle", "meta")
    meta.PrivateInformationCreatorUID = garden.uid("(0002,0100) PrivateInformationCreatorUID", "meta")
    meta.PrivateInformation = garden.word("(0002,0102) PrivateInformation", "meta").encode() + b" "
    meta.ImplementationClassUID = garden.uid("(0002,0012) ImplementationClassUID", "meta")


def plant_odd_values(dataset: Any, garden: Garden) -> None:
    """Put names where tools trust what they find: maker, body part, image type, coded strings, file-set comments, tables."""
    dataset.ImageType = ["ORIGINAL", "PRIMARY", garden.word("(0008,0008) ImageType, third value", "element")]
    for keyword in ("Manufacturer", "ManufacturerModelName", "BodyPartExamined", "PatientPosition", "RescaleType", "BurnedInAnnotation", "VOILUTFunction",
                    "WindowCenterWidthExplanation", "PresentationLUTShape", "RecognizableVisualFeatures", "PatientSex", "Laterality",
                    "ViewPosition"):  # fmt: skip
        setattr(dataset, keyword, garden.word(f"{keyword}", "element"))
    dataset.SpecificCharacterSet = ["ISO 2022 IR 6", "ISO 2022 IR 100"]
    dataset.DataSetTrailingPadding = garden.word("(FFFC,FFFC) DataSetTrailingPadding", "stream").encode() + b" "
    dataset.ICCProfile = garden.word("(0028,2000) ICCProfile", "element").encode().ljust(140, b"\0")
    for keyword in ("SeriesNumber", "InstanceNumber", "AcquisitionNumber", "PatientWeight", "SliceLocation", "TableHeight", "KVP", "EchoTime"):
        setattr(dataset, keyword, garden.number(f"{keyword}: a number that is an identifier", "element"))


def jpeg_segments(stream: bytes, garden: Garden) -> bytes:
    """Insert COM and APPn segments behind SOI, and bytes behind EOI."""
    added = b""
    for marker, name, prefix in ((0xFE, "COM", b""), (0xE1, "APP1 Exif", b"Exif\0\0II*\0"), (0xED, "APP13", b"Photoshop 3.0\0"), (0xE4, "APP4", b"private\0")):
        content = prefix + garden.word(f"JPEG {name} segment", "stream").encode()
        added += bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content
    return stream[:2] + added + stream[2:] + garden.word("bytes after JPEG's EOI", "stream").encode() + b"\0"


def j2k_comment(stream: bytes, garden: Garden) -> bytes:
    """Insert a COM marker behind SIZ of a JPEG 2000 codestream, and bytes behind EOC."""
    length = struct.unpack(">H", stream[4:6])[0]
    content = garden.word("JPEG 2000 COM marker", "stream").encode()
    comment = b"\xff\x64" + struct.pack(">HH", len(content) + 4, 1) + content
    return stream[: 4 + length] + comment + stream[4 + length :] + garden.word("bytes after JPEG 2000's EOC", "stream").encode()


def write_on(pixels: npt.NDArray[Any], text: str, value: float) -> npt.NDArray[Any]:
    """Return `(H, W)` or `(H, W, 3)` pixels with a line of text burned in."""
    import cv2

    marked = np.array(pixels, order="C")
    cv2.putText(marked, text, (30, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (value,) * 3 if marked.ndim == 3 else value, 2, cv2.LINE_AA)
    return marked


def text_is_visible(planted: npt.NDArray[Any], cleaned: npt.NDArray[Any], clean_original: npt.NDArray[Any]) -> bool:
    """Say whether a text that was burned in can still be made out: the correlation of what is left with the glyphs is above 0.2."""
    region = (..., TEXT_ROWS, TEXT_COLUMNS) if planted.ndim == 2 or planted.shape[-1] != 3 else (..., TEXT_ROWS, TEXT_COLUMNS, slice(None))
    glyphs = (planted[region].astype(float) - clean_original[region]).ravel()
    left = cleaned[region].astype(float).ravel()
    if left.std() == 0:
        return False
    return bool(abs(np.corrcoef(glyphs, left)[0, 1]) > 0.2)
