"""Bad PNG, JPEG and TIFF files, archives and paths: groups 67 to 80."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.bad_inputs.cases import KEPT, KEPT_ALL, Case, quarantined
from tests.curation_builders import a_picture, a_raster

GRAY = np.arange(24 * 24, dtype=np.uint16).reshape(24, 24) * 100


def _file(content: bytes, name: str = "one.png") -> Any:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)

    return make


def _rotated() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return a_raster(a_picture(3), "JPEG", exif=exif)


def _png_of(width: int, height: int) -> bytes:
    """Return a PNG of a few kB that declares as many pixels; all are zero."""
    row = b"\0" * (1 + width // 8)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packed = zlib.compressobj(9)
    body = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _pages() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(a_picture(4)).save(buffer, "TIFF", save_all=True, append_images=[Image.fromarray(a_picture(5))])
    return buffer.getvalue()


def _zip_slip(folder: Path) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "slip.zip", "w") as packed:
        packed.writestr("../../escaped.png", a_raster(a_picture(6)))
        packed.writestr("inside.png", a_raster(a_picture(7)))


def _tar_slip(folder: Path) -> None:
    folder.mkdir(parents=True)
    with tarfile.open(folder / "slip.tar", "w") as packed:
        for name, seed in (("../../escaped.png", 8), ("/srv/absolute.png", 9), ("inside.png", 10)):
            content = a_raster(a_picture(seed))
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)


def _zip_bomb(folder: Path) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed, packed.open("zeros.png", "w", force_zip64=True) as member:
        for _ in range(1100):
            member.write(b"\0" * (1 << 20))


def _nested_zip(folder: Path) -> None:
    folder.mkdir(parents=True)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("one.png", a_raster(a_picture(11)))
    with zipfile.ZipFile(folder / "outer.zip", "w") as packed:
        packed.writestr("inner.zip", inner.getvalue())


def _links(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "out.png").symlink_to("/etc/passwd")


def _pipe(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.png")


def _odd_names(folder: Path) -> None:
    """Names with control characters, bytes that are no UTF-8, a leading dash, and 255 bytes."""
    folder.mkdir(parents=True)
    for seed, name in enumerate((b"bell\x07\x1b[31m.png", b"latin-\xe9\xff.png", b"-rf.png", b"n" * 251 + b".png")):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(a_raster(a_picture(20 + seed)))


def _twin_names(folder: Path) -> None:
    """Names that are equal up to case, and up to the way to write an accent."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(("Scan.png", "scan.png", "caf\u00e9.png", "cafe\u0301.png")):
        (folder / name).write_bytes(a_raster(a_picture(30 + seed)))


CASES = tuple(
    Case(group, name, "raster", make, answers, modality)
    for group, name, make, answers, modality in (
        (67, "16 bits a pixel", _file(a_raster(GRAY)), KEPT_ALL, "DX"),
        (68, "CMYK", _file(a_raster(a_picture(1), "JPEG", mode="CMYK"), "one.jpg"), KEPT_ALL, "XC"),
        (69, "a palette", _file(a_raster(a_picture(2), "PNG", mode="P")), KEPT_ALL, "XC"),
        (69, "alpha", _file(a_raster(a_picture(2), "PNG", mode="RGBA")), KEPT_ALL, "XC"),
        (70, "EXIF says turned", _file(_rotated(), "one.jpg"), KEPT_ALL, "XC"),
        (71, "a PNG cut in half", _file(a_raster(a_picture(2, 64))[:4000]), quarantined("TRUNCATED"), "XC"),
        (71, "a JPEG cut in half", _file(a_raster(a_picture(2, 64), "JPEG")[:1000], "one.jpg"), quarantined("TRUNCATED"), "XC"),
        (72, "144 million pixels in a few kB", _file(_png_of(12000, 12000)), quarantined("BOMB"), "DX"),
        (73, "a TIFF of two pages", _file(_pages(), "one.tif"), KEPT_ALL, "XC"),
        (74, "a zip member that leads out", _zip_slip, frozenset({KEPT, ("skipped", "ARCHIVE"), ("quarantined", "UNSAFE_PATH")}), "XC"),
        (74, "tar members that lead out", _tar_slip, frozenset({KEPT, ("skipped", "ARCHIVE"), ("quarantined", "UNSAFE_PATH"), ("skipped", "LINK")}), "XC"),
        (75, "a zip bomb", _zip_bomb, quarantined("ARCHIVE_BOMB"), "XC"),
        (75, "a zip in a zip", _nested_zip, frozenset({("skipped", "ARCHIVE"), ("quarantined", "NESTED_ARCHIVE")}), "XC"),
        (76, "links: a loop, and one that leads out", _links, frozenset({("skipped", "LINK")}), "XC"),
        (77, "a pipe", _pipe, frozenset({("skipped", "SPECIAL")}), "XC"),
        (78, "names that are no text", _odd_names, KEPT_ALL, "XC"),
        (79, "names that are nearly equal", _twin_names, KEPT_ALL, "XC"),
    )
)
