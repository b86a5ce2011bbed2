"""The sound files that are damaged: DICOM in every transfer syntax and of every kind, NIfTI, pictures, archives; each names one patient."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.uid import UID

from tests.curation.dicom_builders import a_dataset, a_pattern, a_series, an_xray, save
from tests.curation.label_map_builders import a_box, a_contour, a_seg, a_segment, a_square, a_structure_set
from tests.curation_builders import a_nifti, a_picture, a_raster, a_volume

NAME, PATIENT = "Quastenflosser^Wilhelmine", "PID-4711-X"
MAX_BYTES = 120_000
DEFLATED = "1.2.840.10008.1.2.1.99"
PROJECTION = "1.2.840.10008.5.1.4.1.1.1.1"


class Base(NamedTuple):
    """Sound files that are read together; those in `damaged` are damaged in turn.

    Attributes:
        name: of the base.
        kind: dicom, nifti, raster or archive.
        files: all of them.
        damaged: which of them are damaged.
    """

    name: str
    kind: str
    files: tuple[Path, ...]
    damaged: tuple[Path, ...]


def make_bases(folder: Path) -> list[Base]:
    """Write all sound files below `folder`."""
    return [*_built(folder / "built"), *_from_pydicom(folder / "pydicom"), *_nifti(folder / "nifti"), *_pictures(folder / "raster"), *_archives(folder)]


def _built(folder: Path) -> Iterator[Base]:
    series = a_series(folder / "series")
    yield Base("CT series", "dicom", tuple(series), tuple(series))
    seg = a_seg(folder / "series", {1: a_box()}, [a_segment(1, ("10200004", "Liver"))])
    yield Base("CT series with SEG", "dicom", (*series, seg), (seg,))
    drawn = a_structure_set(folder / "series", {"Leber": [a_contour(a_square(4, 9), level) for level in (1, 2, 3)]})
    yield Base("CT series with RTSTRUCT", "dicom", (*series, drawn), (drawn,))
    xray = an_xray(folder / "xray")
    yield Base("X-ray", "dicom", (xray,), (xray,))
    dataset = a_dataset(SOPClassUID=PROJECTION, Modality="DX", ImagerPixelSpacing=[0.2, 0.2], PixelSpacing=None)
    dataset.file_meta.TransferSyntaxUID = UID(DEFLATED)
    deflated = save(dataset, folder / "deflated.dcm")
    yield Base("X-ray, deflated", "dicom", (deflated,), (deflated,))


def _from_pydicom(folder: Path) -> Iterator[Base]:
    """Yield the test files that pydicom installs; one-slice CT and MR also as X-rays, so that their pixels are kept."""
    import pydicom
    from pydicom.data import get_testdata_files

    folder.mkdir(parents=True)
    for found in sorted({Path(str(name)) for name in get_testdata_files("*.dcm")}):
        if "test_files" not in found.parts or found.stat().st_size > MAX_BYTES:
            continue
        plain = folder / found.name
        plain.write_bytes(found.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(found, force=True)
            try:
                dataset.PatientName, dataset.PatientID = NAME, PATIENT
                dataset.save_as(plain)
                if dataset.get("Modality") in ("CT", "MR", "NM") and dataset.get("NumberOfFrames", 1) == 1:
                    dataset.SOPClassUID, dataset.Modality = PROJECTION, "DX"
                    dataset.save_as(folder / f"dx-{found.name}")
                    yield Base(f"dx-{found.name}", "dicom", (folder / f"dx-{found.name}",), (folder / f"dx-{found.name}",))
            except (AttributeError, ValueError, TypeError, NotImplementedError):
                pass  # pydicom cannot write some of its own files again: they are taken as they are
        yield Base(found.name, "dicom", (plain,), (plain,))


def _nifti(folder: Path) -> Iterator[Base]:
    folder.mkdir(parents=True)
    whole = a_nifti(a_volume((12, 11, 10)), descrip=NAME.encode())
    for name, content in (("v.nii", whole), ("v.nii.gz", a_nifti(a_volume((12, 11, 10)), packed=True, descrip=NAME.encode()))):
        (folder / name).write_bytes(content)
        yield Base(name, "nifti", (folder / name,), (folder / name,))
    header = bytearray(whole[:348])
    header[344:348], header[108:112] = b"ni1\0", np.float32(0).tobytes()
    pair = folder / "pair.hdr", folder / "pair.img"
    pair[0].write_bytes(bytes(header))
    pair[1].write_bytes(whole[352:])
    yield Base("pair.hdr + .img", "nifti", pair, pair)


def _pictures(folder: Path) -> Iterator[Base]:
    from PIL.PngImagePlugin import PngInfo

    folder.mkdir(parents=True)
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    text = PngInfo()
    text.add_text("Patient", NAME)
    files = {
        "colour.png": a_raster(a_picture(1), pnginfo=text), "16.png": a_raster(a_pattern(1)), "colour.jpg": a_raster(a_picture(2), "JPEG", comment=NAME),
        "progressive.jpg": a_raster(np.stack([smooth] * 3, 2), "JPEG", progressive=True), "plain.tif": a_raster(a_picture(3), "TIFF", description=NAME),
        "lzw.tif": a_raster(a_picture(4), "TIFF", compression="tiff_lzw"), "deflate.tif": a_raster(a_picture(5), "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": a_raster(a_picture(6), "TIFF", compression="jpeg"),
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
        yield Base(name, "raster", (folder / name,), (folder / name,))


def _archives(folder: Path) -> Iterator[Base]:
    members = sorted((folder / "built" / "series").iterdir()) + sorted((folder / "raster").glob("*.png"))
    for name, write in (("a.zip", _zip), ("stored.zip", _stored), ("a.tar", _tar), ("a.tar.gz", _tar_gz)):
        (folder / name).write_bytes(write(members))
        yield Base(name, "archive", (folder / name,), (folder / name,))


def _zip(members: list[Path], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path in members:
            archive.write(path, path.name)
    return buffer.getvalue()


def _stored(members: list[Path]) -> bytes:
    return _zip(members, zipfile.ZIP_STORED)


def _tar(members: list[Path], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for path in members:
            archive.add(path, path.name)
    return buffer.getvalue()


def _tar_gz(members: list[Path]) -> bytes:
    return _tar(members, "w:gz")
