"""Tokens in files that are not DICOM: NIfTI, PNG, JPEG, TIFF, and files that no image tool should pass on."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.leaks.tokens import Garden

Image8 = npt.NDArray[np.uint8]


def plant_others(folder: Path, garden: Garden, image: Image8) -> None:
    """Write one carrier of each format; `image` is `(H, W)` uint8."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (
        ("scan.nii", _nifti),
        ("scan_packed.nii.gz", _packed_nifti),
        ("photo.png", _png),
        ("photo.jpg", _jpeg),
        ("pages.tif", _tiff),
        ("notes.json", _json),
    ):
        path = folder / name
        garden.file = f"{folder.name}/{name}"
        write(path, garden, image)
    garden.file = f"{folder.name}/notes.txt"
    (folder / "notes.txt").write_text(f"seen by {garden.word('text file beside the images', 'stream')}")


def _nifti_image(garden: Garden, image: Image8) -> Any:
    import nibabel

    volume = nibabel.Nifti1Image(np.stack([image] * 5, -1).astype(np.int16), np.diag([1.5, 1.5, 2.5, 1.0]))
    for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        volume.header[name] = garden.word(f"NIfTI header {name}", "nifti")
    for code in (2, 4, 6, 44):
        volume.header.extensions.append(nibabel.nifti1.Nifti1Extension(4 if code == 2 else code, garden.word(f"NIfTI extension {code}", "nifti").encode()))
    return volume


def _nifti(path: Path, garden: Garden, image: Image8) -> None:
    content = _nifti_image(garden, image).to_bytes()
    path.write_bytes(content + garden.word("bytes after the voxels", "nifti").encode())


def _packed_nifti(path: Path, garden: Garden, image: Image8) -> None:
    packed = gzip.compress(_nifti_image(garden, image).to_bytes(), mtime=0)
    name, comment = garden.word("gzip FNAME", "nifti").encode(), garden.word("gzip FCOMMENT", "nifti").encode()
    path.write_bytes(packed[:3] + b"\x18" + packed[4:10] + name + b"\0" + comment + b"\0" + packed[10:])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(path: Path, garden: Garden, image: Image8) -> None:
    from PIL import Image

    Image.fromarray(image).save(path)
    content = path.read_bytes()
    ihdr_end = 8 + 25
    words = {name: garden.word(f"PNG {name}", "raster").encode() for name in ("tEXt", "zTXt", "iTXt", "eXIf", "prVt", "tIME neighbour")}
    chunks = (
        _chunk(b"tEXt", b"Author\0" + words["tEXt"]) + _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(words["zTXt"]))
        + _chunk(b"iTXt", b"Title\0\0\0\0\0" + words["iTXt"]) + _chunk(b"eXIf", b"II*\0\x08\0\0\0" + words["eXIf"]) + _chunk(b"prVt",
        words["prVt"] + words["tIME neighbour"])
    )  # fmt: skip
    path.write_bytes(content[:ihdr_end] + chunks + content[ihdr_end:] + garden.word("bytes after PNG's IEND", "raster").encode())


def _jpeg(path: Path, garden: Garden, image: Image8) -> None:
    from PIL import Image

    from benchmarks.leaks.streams import jpeg_segments

    exif = Image.Exif()
    for tag, name in ((0x010E, "ImageDescription"), (0x013B, "Artist"), (0x8298, "Copyright"), (0x010F, "Make"), (0x9C9B, "XPTitle"), (0x8825, "GPS")):
        if tag == 0x8825:
            exif.get_ifd(0x8825)[29] = garden.word("JPEG EXIF GPSDateStamp", "raster")
        elif tag == 0x9C9B:
            exif[tag] = garden.word("JPEG EXIF XPTitle, UTF-16", "raster").encode("utf-16-le")
        else:
            exif[tag] = garden.word(f"JPEG EXIF {name}", "raster")
    Image.fromarray(image).save(path, exif=exif, quality=95)
    path.write_bytes(jpeg_segments(path.read_bytes(), garden))


def _tiff(path: Path, garden: Garden, image: Image8) -> None:
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    for tag, name in ((270, "ImageDescription"), (315, "Artist"), (316, "HostComputer"), (285, "PageName"), (33432, "Copyright"), (65000, "private tag")):
        tags[tag] = garden.word(f"TIFF {tag} {name}", "raster")
    Image.fromarray(image).save(path, tiffinfo=tags, save_all=True, append_images=[Image.fromarray(255 - image)])
    path.write_bytes(path.read_bytes() + garden.word("bytes after TIFF's last page", "raster").encode())


def _json(path: Path, garden: Garden, image: Image8) -> None:
    path.write_text(json.dumps({"PatientName": garden.word("BIDS sidecar", "stream"), "rows": image.shape[0]}))
