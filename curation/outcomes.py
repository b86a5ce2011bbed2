"""What became of a file: its outcome, and how whatever a reader raises becomes a code and a sentence without identifiers."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curation.dicom_kinds import ROUTED
from curation.errors import ImageError
from curation.sources.sniff import foreign_format, is_analyze_header, is_packed_dicom, is_taken, promises_image, sniff

SKIPPED = frozenset({*ROUTED, "OTHER_KIND", "LABEL_MAP", "SIDECAR"})
"""Codes of files that are no images for us; all other codes go to quarantine."""

MAC_SIDECAR = b"\x00\x05\x16\x07"
"""Begin of the `._name` files that a Mac leaves beside every file, in archives too."""
READ_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip
"""What readers raise on files that break their formats."""


@dataclass
class FileResult:
    """What became of one file."""

    path: str
    outcome: str
    code: str = ""
    reason: str = ""
    sha256: str | None = None
    image_ids: list[str] = field(default_factory=list)


@dataclass
class UnitResult:
    """What became of one unit: its files, and rows of the manifest with the encoded image of each."""

    source: str
    unit: str
    files: list[FileResult]
    rows: list[dict[str, Any]] = field(default_factory=list)
    encoded: list[bytes | memoryview] = field(default_factory=list)


def hash_file(path: Path) -> str | None:
    """Return the SHA-256 of the bytes, or None for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def refuse(error: BaseException) -> ImageError:
    """Return why a file is refused; the text of a library's error may quote the file, so only its kind is told."""
    if isinstance(error, ImageError):
        return error
    if isinstance(error, ValidationError):
        names = sorted({str(detail["loc"][0]) for detail in error.errors(include_input=False, include_url=False) if detail["loc"]})
        return ImageError("RECORD", f"the row of the image would break the schema: {', '.join(names)}")
    if isinstance(error, OSError) and error.errno is not None:  # without a number it is a decoder's word on the bytes
        return ImageError("UNREADABLE", f"the file cannot be read: {error.strerror or 'input error'}")
    if isinstance(error, MemoryError):
        return ImageError("MEMORY", "reading it needs more memory than there is")
    if isinstance(error, RecursionError):
        return ImageError("NESTED", "its elements are nested too deeply")
    return ImageError("READER_FAILED", f"the reader failed ({type(error).__name__})")


def refusal_of(path: str, error: ImageError, sha256: str | None) -> FileResult:
    """Return the outcome of a file that is not used."""
    return FileResult(path, "skipped" if error.code in SKIPPED else "quarantined", error.code, error.reason, sha256)


def check_kind(path: str, head: bytes, kind: str) -> None:
    """Raise `ImageError` unless a file that begins with `head` is one that a source of this kind reads.

    EMPTY, ANALYZE, PACKED, FORMAT and BAD_MAGIC go to quarantine, NOT_AN_IMAGE and OTHER_KIND are skipped.
    """
    if not head:
        raise ImageError("EMPTY", "the file has no bytes")
    found = sniff(head)
    if is_taken(found, kind):
        return
    if is_analyze_header(head) and kind == "nifti":
        raise ImageError("ANALYZE", "an Analyze 7.5 header does not say which side is left; convert the image to NIfTI")
    if kind == "dicom" and is_packed_dicom(head):
        raise ImageError("PACKED", "a DICOM file packed with gzip; unpack it, and it is read")
    if found == "other" and (name := foreign_format(head, kind)):
        raise ImageError("FORMAT", f"an image in the format {name}, which is not read; convert it")
    if promises_image(path, kind) and not head.startswith(MAC_SIDECAR):
        raise ImageError("BAD_MAGIC", "the name promises an image, but the first bytes are not those of one")
    raise ImageError("NOT_AN_IMAGE", "not an image") if found == "other" else ImageError("OTHER_KIND", "an image of another kind than this source reads")
