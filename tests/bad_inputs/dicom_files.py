"""Bad DICOM files: groups 1 to 47."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.bad_inputs.cases import KEPT, KEPT_ALL, Case, quarantined, skipped
from tests.curation.dicom_builders import ROOT, a_dataset, a_dicom, a_pattern, a_series, an_xray, save

DATA_SET = b"\x08\x00\x05\x00CS"
SOP = "1.2.840.10008.5.1.4.1.1."


def _bytes(content: bytes) -> Any:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "one.dcm").write_bytes(content)

    return make


def _edited(edit: Any, **tags: Any) -> Any:
    """Return a maker of one X-ray whose bytes are edited."""

    def make(folder: Path) -> None:
        path = an_xray(folder, **tags)
        path.write_bytes(edit(path.read_bytes()))

    return make


def _cut(length: int) -> Any:
    return _edited(lambda content: content[:length])


def _xray(**tags: Any) -> Any:

    def make(folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            an_xray(folder, **tags)

    return make


def _series(changes: dict[int, dict[str, Any]] | None = None, slices: int = 5, **tags: Any) -> Any:
    return lambda folder: a_series(folder, slices, changes, **tags)


def _without_preamble(content: bytes) -> bytes:
    return content[content.index(b"\x08\x00\x08\x00") if b"\x08\x00\x08\x00" in content else content.index(b"\x08\x00\x16\x00") :]


def _two_files(first: dict[str, Any], second: dict[str, Any]) -> Any:
    """Return a maker of two X-rays."""

    def make(folder: Path) -> None:
        an_xray(folder / "a", **first)
        an_xray(folder / "b", **second)

    return make


def _encapsulated(syntax: str, stream: bytes) -> Any:
    def make(folder: Path) -> None:
        from pydicom.encaps import encapsulate
        from pydicom.uid import UID

        dataset = a_dataset(SOPClassUID=SOP + "1.1", Modality="DX", PixelData=encapsulate([stream]))
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        save(dataset, folder / "one.dcm")

    return make


def _nested(depth: int) -> Any:
    begin = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)

    def edit(content: bytes) -> bytes:
        at = content.index(b"\x08\x00\x18\x00UI")
        return content[:at] + begin * depth + end * depth + content[at:]

    return _edited(edit)


def _long_element(content: bytes) -> bytes:
    """Add a private element that claims 4 GB."""
    at = content.index(b"\x08\x00\x18\x00UI")
    return content[:at] + struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0) + content[at:]


def _deflated_bomb(folder: Path) -> None:
    path = an_xray(folder)
    content = path.read_bytes()
    start = 144 + struct.unpack_from("<I", content, 140)[0]
    meta = content[:start].replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")
    meta = meta[:140] + struct.pack("<I", struct.unpack_from("<I", meta, 140)[0] + 2) + meta[144:]
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta + deflater.compress(b"\0" * (80 << 20)) + deflater.flush())


def _mismatched_j2k(folder: Path) -> None:
    """The file of pydicom whose JPEG 2000 stream says another sign than its header."""
    from pydicom.data import get_testdata_file

    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_testdata_file("J2K_pixelrep_mismatch.dcm", download=False)
    (folder / "one.dcm").write_bytes(Path(str(found)).read_bytes())


def _twice(folder: Path) -> None:
    for path in a_series(folder / "a", 3):
        (folder / "b").mkdir(exist_ok=True)
        (folder / "b" / path.name).write_bytes(path.read_bytes())


def _series_of_one_uid(folder: Path) -> None:
    """Two series that give their slices the same instance UIDs."""
    a_series(folder / "a", 3)
    other = {index: {"PixelData": a_pattern(index + 50).tobytes()} for index in range(3)}
    a_series(folder / "b", 3, other, SeriesInstanceUID=f"{ROOT}.33")


def _two_patients(folder: Path) -> None:
    a_series(folder, 5, {2: {"PatientID": "PID-4712-Y"}})


def _two_ids(folder: Path) -> None:
    """One patient under two ids: the same pixels, everything else different."""
    an_xray(folder / "a")
    an_xray(folder / "b", PatientID="OTHER", SOPInstanceUID=f"{ROOT}.71", SeriesInstanceUID=f"{ROOT}.73", StudyInstanceUID=f"{ROOT}.72")


def _at(*heights_mm: float, tilt_mm: float = 0.0) -> Any:
    changes = {index: {"ImagePositionPatient": [-10.0, -20.0 + tilt_mm * index, height]} for index, height in enumerate(heights_mm)}
    return _series(changes, len(heights_mm))


def _turned(count: int) -> dict[int, dict[str, Any]]:
    """Return changes that turn the last slices to another orientation."""
    return {
        5 + index: {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImagePositionPatient": [2.0 * index, 0, 0]} for index in range(count)
    }  # fmt: skip


def _no_decoder(folder: Path) -> None:
    _encapsulated("1.2.840.10008.1.2.4.94", b"https://jpip.example/1")(folder)


def _photometric(folder: Path) -> None:
    """An inverted X-ray, a palette image and one in YBR."""
    an_xray(folder / "a", PhotometricInterpretation="MONOCHROME1")
    rgb = np.random.default_rng(3).integers(0, 255, (16, 16, 3), np.uint8)
    colour = {
        "SOPClassUID": SOP + "77.1.4",
        "Modality": "XC",
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
    }
    an_xray(folder / "b", **colour, PhotometricInterpretation="YBR_FULL", PixelData=rgb.tobytes(), SeriesInstanceUID=f"{ROOT}.81", SOPInstanceUID=f"{ROOT}.82")


def _echoes(folder: Path) -> None:
    """Two echoes at every place of one series."""
    tags = {"SOPClassUID": SOP + "4", "Modality": "MR", "RescaleIntercept": None, "RescaleSlope": None}
    for echo in range(2):
        own = {
            index: {"EchoTime": 10 + 5 * echo, "SOPInstanceUID": f"{ROOT}.9.{echo}.{index}", "PixelData": a_pattern(10 * echo + index).tobytes()}
            for index in range(4)
        }
        a_series(folder / str(echo), 4, own, **tags)


def _other_objects(folder: Path) -> None:
    """A directory of files, a report, an encapsulated PDF and a dose object."""
    for index, tail in enumerate(("88.11", "104.1", "481.2")):
        a_dicom(folder / str(index), SOPClassUID=SOP + tail, SOPInstanceUID=f"{ROOT}.6.{index}", PixelData=None, Rows=None, Columns=None)
    a_dicom(folder / "dir", SOPClassUID="1.2.840.10008.1.3.10", PixelData=None, Rows=None, Columns=None)


def _signed(folder: Path) -> None:
    """Signed Hounsfield units that the header calls unsigned: -1000 becomes 64536."""
    values = {index: {"PixelData": (a_pattern(index).astype(np.int16) - 1024).tobytes()} for index in range(5)}
    a_series(folder, 5, values, BitsStored=16, HighBit=15, RescaleIntercept=0)


def _private_bulk(folder: Path) -> None:
    dataset = a_dataset(SOPClassUID=SOP + "1.1", Modality="DX", RescaleIntercept=None, RescaleSlope=None)
    dataset.private_block(0x0009, "ACME", create=True).add_new(1, "OB", b"\1" * (20 << 20))
    save(dataset, folder / "one.dcm")


NAN_ORIENTATION = [0, 0, 0, 0, 0, 0]
CASES = (
    Case(1, "a file without bytes", "dicom", _bytes(b""), quarantined("EMPTY")),
    Case(2, "a text that is called .dcm", "dicom", _bytes(b"just a note, no image at all\n" * 20), quarantined("BAD_MAGIC")),
    Case(3, "cut after 200 bytes", "dicom", _cut(200), quarantined("TRUNCATED")),
    Case(3, "cut after 700 bytes", "dicom", _cut(700), quarantined("TRUNCATED")),
    Case(4, "the last pixels are missing", "dicom", _edited(lambda content: content[:-40]), quarantined("TRUNCATED")),
    Case(
        5, "missing pixels behind padding", "dicom", _xray(PixelData=a_pattern(0).tobytes()[:-100], DataSetTrailingPadding=b"\0" * 88), quarantined("TRUNCATED")
    ),
    Case(6, "no preamble and no meta", "dicom", _edited(_without_preamble), KEPT_ALL),
    Case(7, "a report, a PDF, a dose and a directory", "dicom", _other_objects, skipped("REPORT", "DOCUMENT", "RT_DOSE", "DIRECTORY")),
    Case(8, "more rows than pixels", "dicom", _xray(Rows=4096), quarantined("TRUNCATED")),
    Case(9, "fewer rows than pixels", "dicom", _xray(Rows=8), quarantined("SHAPE")),
    Case(10, "no rows at all", "dicom", _xray(Rows=0), quarantined("SHAPE")),
    Case(11, "65535 x 65535 declared", "dicom", _xray(Rows=65535, Columns=65535), quarantined("TOO_LARGE")),
    Case(11, "a thousand million frames declared", "dicom", _xray(NumberOfFrames=1_000_000_000), quarantined("MULTIFRAME")),
    Case(12, "spacing of zero", "dicom", _series(PixelSpacing=[0, 0]), quarantined("SPACING")),
    Case(12, "negative spacing", "dicom", _series(PixelSpacing=[-0.5, 0.5]), quarantined("SPACING")),
    Case(12, "no spacing", "dicom", _series(PixelSpacing=None), quarantined("SPACING")),
    Case(13, "a rescale slope of zero", "dicom", _series(RescaleSlope=0), quarantined("RESCALE")),
    Case(14, "an orientation of zeros", "dicom", _series(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), quarantined("ORIENTATION")),
    Case(14, "direction cosines that are no unit vectors", "dicom", _series(ImageOrientationPatient=[2, 0, 0, 0, 1, 0]), quarantined("ORIENTATION")),
    Case(14, "direction cosines at 60 degrees", "dicom", _series(ImageOrientationPatient=[1, 0, 0, 0.5, 0.866, 0]), quarantined("ORIENTATION")),
    Case(15, "more bits stored than allocated", "dicom", _xray(BitsStored=20, HighBit=19), quarantined("BITS")),
    Case(16, "signed values called unsigned", "dicom", _signed, quarantined("VALUE_RANGE")),
    Case(17, "a JPEG 2000 stream of another sign than the header", "dicom", _mismatched_j2k, quarantined("SINGLE_SLICE")),
    Case(18, "an empty instance UID", "dicom", _xray(SOPInstanceUID=""), quarantined("NO_UID")),
    Case(19, "an instance UID and a patient id that are paths", "dicom", _xray(SOPInstanceUID="../../etc/x", PatientID="../../x"), KEPT_ALL),
    Case(20, "the same files twice", "dicom", _twice, frozenset({KEPT, ("duplicate", "SAME_PIXELS")})),
    Case(21, "one instance UID, two pictures", "dicom", _two_files({}, {"PixelData": a_pattern(5).tobytes()}), quarantined("UID_CONFLICT")),
    Case(22, "instance UIDs used again in another series", "dicom", _series_of_one_uid, KEPT_ALL),
    Case(23, "two patients in one series", "dicom", _two_patients, quarantined("IDENTITY")),
    Case(24, "one picture under two patients", "dicom", _two_ids, frozenset({KEPT, ("duplicate", "SAME_IMAGE")})),
    Case(25, "a slice is missing", "dicom", _at(0, 2, 6, 8, 10), quarantined("MISSING_SLICES")),
    Case(26, "slices at uneven distances", "dicom", _at(0, 2, 4.3, 6.1, 8), quarantined("UNEVEN_SPACING")),
    Case(26, "distances that differ by rounding", "dicom", _at(0, 2.001, 3.999, 6.0, 8.001), KEPT_ALL),
    Case(27, "a tilted gantry", "dicom", _at(0, 2, 4, 6, 8, tilt_mm=0.7), quarantined("GANTRY_TILT")),
    Case(28, "three slices of another orientation", "dicom", _series(_turned(3), 8), KEPT_ALL),
    Case(28, "one slice of another orientation", "dicom", _series(_turned(1), 6), frozenset({KEPT, ("quarantined", "MIXED_ORIENTATION")})),
    Case(29, "neighbours with equal pixels", "dicom", _series({2: {"PixelData": a_pattern(1).tobytes()}}), KEPT_ALL),
    Case(30, "numbers against the order of places", "dicom", _series({0: {"InstanceNumber": 3}, 3: {"InstanceNumber": 9}}), KEPT_ALL),
    Case(31, "another slope in every slice", "dicom", _series({index: {"RescaleSlope": 1 + index / 10} for index in range(5)}), KEPT_ALL),
    Case(31, "a slice of another size", "dicom", _series({2: {"Rows": 8, "PixelData": a_pattern(2)[:8].tobytes()}}), quarantined("MISSING_SLICES", "SHAPE")),
    Case(32, "two echoes in one series", "dicom", _echoes, KEPT_ALL),
    Case(34, "a volume of one slice", "dicom", _series(slices=1), quarantined("SINGLE_SLICE")),
    Case(35, "a transfer syntax that nobody knows", "dicom", _encapsulated("1.2.3.4.5", b"\0\1"), quarantined("NO_DECODER")),
    Case(36, "a transfer syntax without decoder here", "dicom", _no_decoder, quarantined("NO_DECODER")),
    Case(37, "a broken JPEG 2000 stream", "dicom", _encapsulated("1.2.840.10008.1.2.4.90", b"\xff\x4f\xff\x51 no codestream"), quarantined("CORRUPT")),
    Case(37, "a broken JPEG-LS stream", "dicom", _encapsulated("1.2.840.10008.1.2.4.80", b"\xff\xd8\xff\xf7 nothing"), quarantined("CORRUPT")),
    Case(38, "sequences 3000 deep", "dicom", _nested(3000), quarantined("NESTED")),
    Case(39, "an element that claims 4 GB", "dicom", _edited(_long_element), quarantined("TRUNCATED")),
    Case(40, "a deflated bomb", "dicom", _deflated_bomb, quarantined("TOO_LARGE")),
    Case(41, "a program in the preamble", "dicom", _edited(lambda content: b"MZ" + b"\x90" * 126 + content[128:]), KEPT_ALL),
    Case(42, "a character set that nobody knows", "dicom", _xray(SpecificCharacterSet="ISO_IR 999"), KEPT_ALL),
    Case(43, "a day that no calendar has", "dicom", _xray(StudyDate="20251399"), KEPT_ALL),
    Case(44, "inverted gray and YBR", "dicom", _photometric, KEPT_ALL),
    Case(46, "20 MB in a private element", "dicom", _private_bulk, KEPT_ALL),
)
