"""Private elements that may stay when the recipe asks for Retain Safe Private: numbers only, by the name of their owner.

After the sample list of PS3.15 table E.3.10-1 (its text elements left out), and what the makers' conformance statements say of diffusion, tiles and
scaling. The value must be numbers of the kind that is listed; that an element is private is no reason to trust it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation.deidentify import csa, values
from curation.deidentify.little_endian import element, raw_value

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# (group, creator): {last two digits of the element: VR}
SAFE: dict[tuple[int, str], dict[int, str]] = {
    (0x0019, "SIEMENS MR HEADER"): {  # tiles of a mosaic, time, b-value, gradient, position, b-matrix, bandwidth, times of the slices
        0x0A: "US", 0x0B: "DS", 0x0C: "IS", 0x0D: "CS", 0x0E: "FD", 0x13: "IS", 0x14: "IS", 0x15: "FD", 0x16: "DS", 0x17: "DS", 0x18: "IS", 0x27: "FD",
        0x28: "FD", 0x29: "FD",
    },
    (0x0019, "GEMS_ACQU_01"): {0x23: "DS", 0x24: "DS", 0x27: "DS", 0xBB: "DS", 0xBC: "DS", 0xBD: "DS"},  # table, time, rotation, gradient x y z
    (0x0043, "GEMS_PARM_01"): {0x39: "IS"},  # b-value
    (0x0045, "GEMS_HELIOS_01"): {0x01: "SS", 0x02: "FL"},  # rows of the detector
    (0x2001, "Philips Imaging DD 001"): {0x03: "FL", 0x04: "CS", 0x0A: "IS", 0x18: "SL", 0x2D: "SS"},  # b-value, direction, slices
    (0x2005, "Philips MR Imaging DD 001"): {0x0D: "FL", 0x0E: "FL", 0xB0: "FL", 0xB1: "FL", 0xB2: "FL"},  # scale, gradient
    (0x7053, "Philips PET Private Group"): {0x00: "DS", 0x09: "DS"},  # factors of SUV and activity
    (0x00E1, "ELSCINT1"): {0x21: "DS", 0x50: "DS"},  # dose, duration
    (0x01F1, "ELSCINT1"): {0x07: "DS", 0x26: "DS", 0x27: "DS"},  # table, pitch, rotation
    (0x0065, "Image Private Header"): {0x09: "FD", 0x37: "FD", 0x50: "DS"},  # United Imaging: b-value, gradient, tiles
}  # fmt: skip
CODES = {
    "SIEMENS MR HEADER": frozenset({"NONE", "DIRECTIONAL", "BMATRIX", "ISOTROPIC"}),
    "Philips Imaging DD 001": frozenset({"P", "M", "S", "I", "N", "O"}),
}
SAFE[csa.GROUP, csa.OWNER] = {csa.ELEMENT: "OB"}  # rebuilt from its numbers
CREATORS = frozenset(creator for _, creator in SAFE)


def safe_elements(dataset: Dataset) -> dict[int, bytes]:
    """Return the safe private elements of one level, written, each block with its owner's name."""
    found: dict[int, bytes] = {}
    for tag in dataset.keys():  # noqa: SIM118 (iterating a Dataset converts every element)
        if not tag.is_private or tag.element < 0x1000:
            continue
        owner_tag = tag.group << 16 | tag.element >> 8
        creator = _creator(dataset, owner_tag)
        vr = SAFE.get((tag.group, creator), {}).get(tag.element & 0xFF)
        value = _checked(vr, creator, dataset, tag) if vr else None
        if vr and value is not None:
            found[owner_tag] = element(owner_tag, "LO", creator.encode())
            found[int(tag)] = element(int(tag), vr, value)
    return found


def _creator(dataset: Dataset, owner_tag: int) -> str:
    """Return the owner of a block when it is one that we know."""
    if owner_tag not in dataset:
        return ""
    name = raw_value(dataset, owner_tag)[1].strip(values.PADDING).decode("latin-1")
    return name if name in CREATORS else ""


def _checked(vr: str, creator: str, dataset: Dataset, tag: int) -> bytes | None:
    stated, raw = raw_value(dataset, tag)
    if creator == csa.OWNER:
        return csa.rebuilt(raw)
    if stated not in ("", "UN", vr):
        return None
    return values.codes(raw, CODES.get(creator, frozenset())) if vr == "CS" else values.numbers(vr, raw)
