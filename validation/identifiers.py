"""Patterns of raw identifiers, and where a stored file can hide one.

What is found is named by where it stands and by its kind, never by its value.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

import polars as pl

_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_YEAR = r"(?:19|20)\d{2}"
PATTERNS: dict[str, re.Pattern[str]] = {
    "a DICOM UID that was not remapped": re.compile(r"(?<![\d.])(?!2\.25\.)[0-2](?:\.(?:0|[1-9]\d*)){5,}(?![\d.])"),
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "a date": re.compile(
        rf"(?<![\d.-])(?:{_YEAR}[-/.]{_MONTH}[-/.]{_DAY}|{_DAY}[-/.]{_MONTH}[-/.]{_YEAR}|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?!\d)"
    ),
    "an absolute path": re.compile(r"(?<![\w:/.<])/[\w.-]+/[\w./-]+|\b[A-Za-z]:\\\w|\\\\\w+\\|file://"),
}  # fmt: skip

_HASH = re.compile(r"(?<![0-9A-Za-z])(?=[0-9]*[a-f])(?:[0-9a-f]{20}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})(?![0-9A-Za-z])")  # ours: they may look dated
DATED = frozenset({"acquired_on", "reviewed_at"})
HASHED = frozenset({"image_id", "recipe_sha256", "pixels_sha256", "label_map_sha256", "generator_sha256", "training_manifest_sha256", "shard"})


def kinds_in(text: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Return the kinds of raw identifiers that `text` holds; matches in `allowed` (e.g. the day of the release) do not count."""
    text = _HASH.sub("#", text)
    return [kind for kind, pattern in PATTERNS.items() if any(match[0] not in allowed for match in pattern.finditer(text))]


def identifiers_in_rows(rows: pl.DataFrame) -> Iterator[str]:
    """Yield one sentence for every column and kind of identifier, naming the first rows."""
    columns = [name for name, dtype in rows.schema.items() if name not in DATED | HASHED and dtype in (pl.String, pl.List(pl.String))]
    for name in columns:
        values = rows.select("image_id", value=pl.col(name).list.join(" ") if rows.schema[name] == pl.List(pl.String) else pl.col(name)).drop_nulls()
        found: dict[str, list[str]] = {}
        suspects = {value: kinds for value in values["value"].unique(maintain_order=True) if (kinds := kinds_in(value))}
        for image_id, value in values.filter(pl.col("value").is_in(list(suspects))).iter_rows():
            for kind in suspects[value]:
                found.setdefault(kind, []).append(image_id)
        for kind, ids in found.items():
            yield f"column {name} holds {kind} in images {', '.join(ids[:5])}" + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")


def hidden_text(content: bytes, suffix: str) -> list[str]:
    """Return the places of a stored file that hold more than pixels and geometry: PNG chunks, NIfTI header fields, bytes after the end."""
    return _hidden_in_nifti(content) if suffix == ".nii.gz" else _hidden_in_png(content)


_PIXEL_CHUNKS = frozenset({"IHDR", "IDAT", "IEND", "PLTE", "tRNS"})


def _hidden_in_png(content: bytes) -> list[str]:
    found, position = [], 8
    while position + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[position : position + 8])
        position += 12 + length
        kind = name.decode("latin-1")
        if kind not in _PIXEL_CHUNKS:
            found.append(f"PNG chunk {kind}")
        if kind == "IEND":
            break
    return found + (["bytes after the end of the PNG"] if position != len(content) else [])


_TEXT_FIELDS = {"data_type": (4, 14), "db_name": (14, 32), "descrip": (148, 228), "aux_file": (228, 252), "intent_name": (328, 344)}
_HEADER_BYTES = 352


def _hidden_in_nifti(content: bytes) -> list[str]:
    """Read the header of a single-file NIfTI-1 without inflating the voxels; gzip must not name a file either."""
    try:
        header = zlib.decompressobj(wbits=31).decompress(content, _HEADER_BYTES)
    except zlib.error:
        return ["stream that is not gzip"]
    if len(header) < _HEADER_BYTES:
        return ["header that is cut short"]
    found = [f"NIfTI field {name}" for name, (start, end) in _TEXT_FIELDS.items() if header[start:end].strip(b"\0 ")]
    if header[348:349] != b"\0" or struct.unpack("<f", header[108:112])[0] > _HEADER_BYTES:
        found.append("NIfTI extension")
    if content[3] & 0b11100:
        found.append("gzip file name or comment")
    return found
