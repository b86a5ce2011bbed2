"""Opening a DICOM file that nobody has looked at yet: what is damaged, oversized or no image says so with a code.

pydicom warns with values of the header in the text, so it is silenced here; nothing of a header reaches a log or an error.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.dicom_kinds import kind_of
from curation.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_FILE_BYTES = 4 << 30
MAX_INFLATED_BYTES = 64 << 20
MAX_INFLATION = 100
LOGGER = logging.getLogger("pydicom")
_silenced: ContextVar[bool] = ContextVar("silenced", default=False)
"""An outer `guarded` silences already: asking for it again would cost more than reading an element."""
RUST_PANIC = "PanicException"
"""The RLE decoder is written in Rust, and its panics are no `Exception` and cannot be imported."""

PREAMBLE_BYTES = 132
START_BYTES = 16 << 10
DEFLATED_SYNTAX = b"1.2.840.10008.1.2.1.99"
UNDEFINED_LENGTH = 0xFFFFFFFF
FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")

# What pydicom and its decoders raise on input that breaks the standard.
PARSE_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, NotImplementedError, RecursionError, RuntimeError,
    TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


@contextmanager
def guarded(code: str = "CORRUPT", reason: str = "an element of the file cannot be read") -> Iterator[None]:
    """Silence pydicom and turn what it raises into an `ImageError` that quotes nothing of the file."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    is_inner = _silenced.get()
    token = _silenced.set(True)
    was_disabled, LOGGER.disabled = LOGGER.disabled, True
    try:
        if is_inner:
            yield
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
    except OSError as error:
        if error.errno is None:  # a decoder's word on the bytes, not the system's on the file
            raise ImageError(code, f"{reason} ({type(error).__name__})") from None
        raise ImageError("UNREADABLE", f"the file cannot be read: {error.strerror or 'input error'}") from None
    except MemoryError:
        raise ImageError("MEMORY", "reading it needs more memory than there is") from None
    except RecursionError:
        raise ImageError("NESTED", "its elements are nested too deeply") from None
    except (*PARSE_ERRORS, InvalidDicomError, BytesLengthException) as error:
        raise ImageError(code, f"{reason} ({type(error).__name__})") from None
    except BaseException as error:
        if type(error).__name__ != RUST_PANIC:
            raise
        raise ImageError(code, f"{reason} (panic)") from None
    finally:
        LOGGER.disabled = was_disabled
        _silenced.reset(token)


class Sober(io.BufferedReader):
    """A file that takes no more memory than it has bytes, whatever length an element claims."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(str(path)))  # pydicom wants a name that is a text
        self._size_bytes = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes."""
        return super().read(min(size, self._size_bytes) if size else size)


def open_dataset(path: Path, tags: list[str] | None = None, read: Callable[[Path], bytes | memoryview] = Path.read_bytes) -> Dataset:
    """Return the data set at `path`: all of it, or at least `tags` of what lies before the pixels.

    Args:
        path: the file.
        tags: keywords that are asked for; none for the whole file.
        read: gives the bytes of a file; a caller that needs them too passes what keeps them.

    Raises:
        ImageError: UNREADABLE, EMPTY, NOT_DICOM, TRUNCATED, TOO_LARGE or CORRUPT.
    """
    from pydicom import dcmread

    with guarded():
        scanned = _scan_whole(path, read) if tags is None else _scan_start(path)
        if scanned is not None:
            return scanned
        has_magic = _check_start(path)
        with Sober(path) as stream:
            dataset = dcmread(stream, force=not has_magic, specific_tags=list(tags) if tags else None, stop_before_pixels=tags is not None)
        if not has_magic and kind_of(str(dataset.get("SOPClassUID", ""))) == "unknown":
            raise ImageError("NOT_DICOM", "the file has no DICOM mark and does not begin with a known object")
        if tags is None and is_cut_short(dataset):
            raise ImageError("TRUNCATED", "an element is longer than what is left of the file")
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = _assumed_syntax(dataset)
        return dataset


def _scan_start(path: Path) -> Dataset | None:
    """Return what lies before the pixels, when the beginning of the file holds all of it and it is plain."""
    from curation.dicom_scan import scan

    with path.open("rb", buffering=0) as stream:
        start = stream.read(START_BYTES)
    return scan(start, is_whole=len(start) < START_BYTES, with_pixels=False)


def _scan_whole(path: Path, read: Callable[[Path], bytes | memoryview]) -> Dataset | None:
    """Return the data set of a plain uncompressed file."""
    from curation.dicom_scan import scan

    return scan(read(path)) if path.stat().st_size <= MAX_FILE_BYTES else None


def _check_start(path: Path) -> bool:
    """Return whether the file has the DICOM mark; refuse what is empty, too large, or cannot be DICOM."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise ImageError("EMPTY", "the file has no bytes")
    if size_bytes > MAX_FILE_BYTES:
        raise ImageError("TOO_LARGE", f"the file is larger than {MAX_FILE_BYTES >> 30} GiB")
    with path.open("rb") as stream:
        start = stream.read(1024)
    has_magic = start[128:PREAMBLE_BYTES] == b"DICM"
    if not has_magic and start[:2] not in FIRST_GROUPS:
        raise ImageError("NOT_DICOM", "the file has no DICOM mark")
    if has_magic and DEFLATED_SYNTAX in start:
        _refuse_bomb(path)
    return has_magic


def _refuse_bomb(path: Path) -> None:
    """Inflate a deflated file piece by piece and stop before it fills the memory."""
    content = path.read_bytes()
    begin = PREAMBLE_BYTES + 12 + struct.unpack_from("<I", content, PREAMBLE_BYTES + 8)[0]
    limit = max(MAX_INFLATED_BYTES, MAX_INFLATION * len(content))
    inflater, rest, inflated = zlib.decompressobj(-zlib.MAX_WBITS), content[begin:], 0
    while rest:
        inflated += len(inflater.decompress(rest, 1 << 20))
        rest = inflater.unconsumed_tail
        if inflated > min(limit, MAX_FILE_BYTES):
            raise ImageError("TOO_LARGE", f"the deflated file grows more than {MAX_INFLATION} times")


def _assumed_syntax(dataset: Dataset) -> Any:
    """Return the transfer syntax that the file was read with when it does not name one."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def is_cut_short(dataset: Dataset) -> bool:
    """Return whether an element declares more bytes than the file gave."""
    for tag in dataset.keys():  # noqa: SIM118 (iterating a Dataset converts every element)
        element: Any = dataset.get_item(tag)
        if element.is_raw and element.length != UNDEFINED_LENGTH and len(element.value or b"") < element.length:
            return True
    return False


def is_image_class(sop_class_uid: str, *, has_rows: bool) -> bool:
    """Return whether the SOP class stores pixels of a patient; a class unknown to the standard counts when it has rows."""
    kind = kind_of(sop_class_uid)
    return kind == "image" or (kind == "unknown" and bool(sop_class_uid) and has_rows)
