"""Damage: bits turned over, ends cut off, lengths falsified, blocks twice or missing, halves exchanged."""

from __future__ import annotations

import random
import re

BLOCK_BYTES = 512
HEADER_BYTES = 2048
LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF)
EXPLICIT = re.compile(rb"AE|AS|AT|CS|DA|DS|FD|FL|IS|LO|LT|OB|OW|PN|SH|SQ|SS|ST|TM|UI|UL|UN|US|UT")
LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def flip(content: bytes, rng: random.Random) -> bytes:
    """Turn 1 to 8 bits over, most of them near the beginning, where headers are."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        place = rng.randrange(min(len(changed), HEADER_BYTES) if rng.random() < 0.6 else len(changed))
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    """Keep some blocks of 512 bytes, or all but the last few bytes."""
    if len(content) <= BLOCK_BYTES or rng.random() < 0.2:
        return content[: -rng.randrange(1, min(40, len(content)))]
    return content[: BLOCK_BYTES * rng.randrange((len(content) - 1) // BLOCK_BYTES + 1)]


def falsify_length(content: bytes, rng: random.Random) -> bytes:
    """Write another number where a DICOM element has its length, or anywhere when there is no such place."""
    changed = bytearray(content)
    places = [match.start() for match in EXPLICIT.finditer(content, 0, HEADER_BYTES * 4)]
    if places and rng.random() < 0.8:
        start = rng.choice(places)
        place, width = (start + 4, 4) if content[start : start + 2] in LONG_VRS else (start + 2, 2)
    else:
        place, width = rng.randrange(min(len(content), HEADER_BYTES)), rng.choice((1, 2, 4))
    old = int.from_bytes(content[place : place + width], "little")
    new = rng.choice((*LENGTHS, old + 1, old - 1, old + 2, old - 2, old * 2, old // 2)) % (1 << 8 * width)
    changed[place : place + width] = new.to_bytes(width, "little")
    return bytes(changed[: len(content)])


def double_block(content: bytes, rng: random.Random) -> bytes:
    """Write a block twice, behind itself or elsewhere."""
    start, size = rng.randrange(len(content)), rng.choice((2, 16, 128, BLOCK_BYTES, 4096))
    place = start if rng.random() < 0.5 else rng.randrange(len(content))
    return content[:place] + content[start : start + size] + content[place:]


def delete_block(content: bytes, rng: random.Random) -> bytes:
    """Leave a block out."""
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice((1, 2, 8, 16, 128, BLOCK_BYTES, 4096)) :]


def swap_halves(content: bytes, rng: random.Random) -> bytes:
    """Exchange the halves of the file, or of what follows the first kilobyte or so."""
    start = rng.choice((0, 132, rng.randrange(len(content)))) % len(content)
    middle = (start + len(content)) // 2
    return content[:start] + content[middle:] + content[start:middle]


MUTATIONS = (flip, flip, flip, cut, falsify_length, falsify_length, double_block, delete_block, swap_halves)
"""Those that find most come more often."""
