"""What is left: every byte, value, name, unused bit and log line of what a tool wrote, searched for the tokens that were planted."""

from __future__ import annotations

import gzip
import hashlib
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.leaks.streams import TEXT_COLUMNS, TEXT_ROWS, high_bits, text_is_visible
from benchmarks.leaks.tokens import Plant, find_tokens

OLDEST_YEARS = 89


@dataclass(frozen=True)
class Findings:
    """What one tool did.

    Attributes:
        leaks: plants whose token was found, or whose writing can still be read.
        planted: how many there were to find.
        images: planted DICOM images.
        written: outputs that are whole, with the pixels of an input.
        refused: input images that have no output.
        broken: outputs that cannot be read, or hold other pixels than any input.
        damaged: pictures without writing whose pixels were changed.
        references: references from SEG, RTSTRUCT and images to planted objects, and how many still point at an object of the output.
    """

    leaks: tuple[Plant, ...]
    planted: int
    images: int
    written: int
    refused: tuple[str, ...]
    broken: tuple[str, ...]
    damaged: int
    references: tuple[int, int]


def search(planted: Path, output: Path, log: str, plants: list[Plant]) -> Findings:
    """Compare what a tool wrote into `output` with what was planted."""
    by_token: dict[str, list[Plant]] = {}
    for plant in plants:
        by_token.setdefault(plant.token, []).append(plant)
    found = find_tokens(log.encode("utf-8", "replace"))
    files = sorted(path for path in output.rglob("*") if path.is_file())
    for path in files:
        found |= find_tokens(str(path.relative_to(output)).encode()) | set().union(*(find_tokens(part) for part in _parts(path)))
    leaks = {id(plant): plant for token in found for plant in by_token.get(token, ())}
    inputs, outputs = _pictures(planted), _pictures(output)
    writing = _readable_writing(planted, outputs)
    leaks |= {id(plant): plant for plant in plants if plant.kind == "burned-in" and plant.file in writing}
    keys = {picture.key for picture in inputs.values()}
    matched = {picture.key for picture in outputs.values()}
    refused = tuple(sorted(name for name, picture in inputs.items() if picture.key not in matched))
    broken = tuple(sorted(name for name, picture in outputs.items() if picture.problem or picture.key not in keys))
    whole = {picture.whole for picture in outputs.values()}
    damaged = sum(1 for name, picture in inputs.items() if name.endswith("_plain.dcm") and picture.key in matched and picture.whole not in whole)
    kept = (len(_references(planted)), len(_references(output)))
    return Findings(tuple(leaks.values()), len(plants), len(inputs), len(outputs) - len(broken), refused, broken, damaged, kept)


def _parts(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, and what is packed, hidden or encoded in them."""
    content = path.read_bytes()
    yield content
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    if content.startswith(b"\x89PNG"):
        for start in (at for at in range(len(content) - 4) if content[at : at + 4] in (b"zTXt", b"iTXt")):
            body = content[start + 4 :]
            with_name = body.partition(b"\0")[2]
            try:
                yield zlib.decompressobj().decompress(with_name[1:])
            except zlib.error:
                continue
    if content[128:132] == b"DICM":
        yield from _values(path)


def _values(path: Path) -> Iterator[bytes]:
    """Yield every value of a DICOM file as text, and the bits that no viewer shows."""
    dataset = _read(path)
    if dataset is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for level in (dataset.file_meta, dataset):
            for element in level.iterall():
                yield element.value if isinstance(element.value, bytes) else str(element.value).encode("utf-8", "replace")
        if int(dataset.get("BitsAllocated", 0)) == 16 and "PixelData" in dataset:
            yield high_bits(dataset.PixelData)


def _read(path: Path) -> Any:
    """Return a data set, or None when pydicom cannot read the file."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, AttributeError, EOFError):
        return None


@dataclass(frozen=True)
class Picture:
    """The pixels of one file: `key` without the region where writing may be, `whole` with it, or why it cannot be used."""

    key: str
    whole: str
    pixels: Any
    problem: str = ""


def _pictures(folder: Path) -> dict[str, Picture]:
    """Return the pictures of all DICOM files below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.read_bytes()[128:132] == b"DICM":
            found[str(path.relative_to(folder))] = _picture(path)
    return found


def _picture(path: Path) -> Picture:
    dataset = _read(path)
    if dataset is None:
        return Picture("", "", None, "not readable")
    if (
        dataset.get("SOPClassUID", "") == ""
        or dataset.get("SOPInstanceUID", "") == ""
        or dataset.file_meta.get("MediaStorageSOPInstanceUID") != dataset.SOPInstanceUID
    ):
        return Picture("", "", None, "no UIDs, or not those of the file meta")
    if "PixelData" not in dataset:
        contours = str([contour.ContourData for roi in dataset.get("ROIContourSequence", []) for contour in roi.get("ContourSequence", [])])
        digest = hashlib.sha256(contours.encode()).hexdigest() if len(contours) > 2 else ""
        return Picture(digest, digest, None, "" if digest else "no pixels")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = dataset.pixel_array
    except (AttributeError, ValueError, RuntimeError, NotImplementedError, KeyError, TypeError) as error:
        return Picture("", "", None, type(error).__name__)
    if pixels.dtype == np.uint16:
        pixels = pixels & ((1 << int(dataset.BitsStored)) - 1)
    pixels = np.asarray(pixels).astype(np.int32)
    outside = pixels
    if pixels.shape[-2] > 400 or pixels.shape[-3:-1] == (480, 640):
        outside = pixels.copy()
        region = (..., TEXT_ROWS, TEXT_COLUMNS, slice(None)) if pixels.shape[-1] == 3 else (..., TEXT_ROWS, TEXT_COLUMNS)
        outside[region] = 0
    return Picture(hashlib.sha256(outside.tobytes()).hexdigest(), hashlib.sha256(pixels.tobytes()).hexdigest(), pixels)


def _readable_writing(planted: Path, outputs: dict[str, Picture]) -> set[str]:
    """Return the planted files whose burned-in text can be made out in an output with the same picture around it."""
    readable = set()
    for path in sorted((planted / "writing").glob("*_written.dcm")):
        before, plain = _picture(path), _picture(path.with_name(path.name.replace("_written", "_plain")))
        rest = [picture for picture in outputs.values() if picture.key == before.key and picture.pixels.shape == before.pixels.shape]
        if any(text_is_visible(before.pixels, picture.pixels, plain.pixels) for picture in rest):
            readable.add(f"writing/{path.name}")
    return readable


def _references(folder: Path) -> list[str]:
    """Return the instance UIDs that are referenced by objects of a folder and belong to objects of the same folder."""
    instances, references = set(), []
    for path in folder.rglob("*"):
        dataset = _read(path) if path.is_file() else None
        if dataset is not None and dataset.get("SOPInstanceUID"):
            instances.add(dataset.SOPInstanceUID)
            references += [str(element.value) for element in dataset.iterall() if element.tag == 0x00081155]
    return [uid for uid in references if uid in instances]
