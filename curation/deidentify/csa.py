"""Siemens' CSA image header, rebuilt: only the few numbers without which a mosaic or a diffusion image means nothing, each checked, in a new header.

The original holds hundreds of texts, names of protocols and of people among them; nothing of it is copied but numbers of the names listed here.
"""

from __future__ import annotations

import struct

import numpy as np

from curation.deidentify.values import MAX_MEASURE

OWNER, GROUP, ELEMENT = "SIEMENS CSA HEADER", 0x0029, 0x10
NUMBERS = {
    "NumberOfImagesInMosaic": ("US", 6), "SliceNormalVector": ("FD", 4), "MosaicRefAcqTimes": ("FD", 4), "PhaseEncodingDirectionPositive": ("IS", 6),
    "BandwidthPerPixelPhaseEncode": ("FD", 4), "B_value": ("IS", 6), "DiffusionGradientDirection": ("FD", 4), "B_matrix": ("FD", 4),
    "ProtocolSliceNumber": ("IS", 6), "SliceMeasurementDuration": ("DS", 3),
}  # fmt: skip
"""Name: VR and Siemens' code of it."""
MAX_VALUES = 1024


def rebuilt(raw: bytes) -> bytes | None:
    """Return a new header with the listed numbers of an old one; None when it has none, or cannot be read."""
    from nibabel.nicom import csareader

    try:
        tags = csareader.read(raw)["tags"]
    except (csareader.CSAReadError, AssertionError, ValueError, IndexError, struct.error, UnicodeDecodeError):
        return None
    found = {name: _checked(tags[name].get("items", ())) for name in NUMBERS if name in tags}
    kept = {name: values for name, values in found.items() if values}
    return _written(kept) if kept else None


def _checked(items: object) -> list[float]:
    """Return the values when all are numbers that a measure can be."""
    numbers = [item for item in items if isinstance(item, int | float)] if isinstance(items, list | tuple) else []
    is_sane = 0 < len(numbers) <= MAX_VALUES and bool((np.abs(np.asarray(numbers, np.float64)) <= MAX_MEASURE).all())
    return [float(number) for number in numbers] if is_sane else []


def _written(tags: dict[str, list[float]]) -> bytes:
    """Return the bytes of a header of Siemens' second format."""
    content = b"SV10\4\3\2\1" + struct.pack("<2I", len(tags), 77)
    for name, numbers in tags.items():
        vr, code = NUMBERS[name]
        content += struct.pack("<64si4s3i", name.encode(), len(numbers), vr.encode(), code, len(numbers), 77)
        for number in numbers:
            text = (f"{number:.0f}" if vr in ("US", "IS") else f"{number:.8f}").encode() + b"\0"
            content += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return content
