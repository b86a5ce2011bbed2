"""The fast header reader gives what pydicom gives, or leaves the file to pydicom."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pydicom
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from curation.dicom_reading import guarded
from curation.dicom_scan import scan

EXAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
TEXT = st.text(st.characters(codec="latin-1", exclude_characters="\\" + "".join(map(chr, [*range(32), *range(127, 160)]))), max_size=16)
NUMBER = st.floats(-1000, 1000, allow_nan=False).map(lambda value: f"{value:.3f}")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "PatientID": TEXT, "PatientName": TEXT, "ImageType": st.lists(st.sampled_from(["ORIGINAL", "PRIMARY", "AXIAL"]), max_size=3),
    "ImagePositionPatient": st.lists(NUMBER, min_size=3, max_size=3), "PixelSpacing": st.lists(NUMBER, min_size=2, max_size=2), "EchoTime": NUMBER,
    "InstanceNumber": st.integers(0, 9999).map(str), "Rows": st.integers(0, 65535), "SmallestImagePixelValue": st.integers(0, 60000),
    "StudyInstanceUID": st.from_regex(r"[12]\.[1-9][0-9]{0,9}", fullmatch=True), "StudyDate": st.just("20240102"), "DiffusionBValue": st.floats(0, 3000),
    "Modality": st.sampled_from(["CT", "MR", ""]), "RescaleSlope": NUMBER,
}  # fmt: skip


def a_file(values: dict[str, Any], syntax: str, nested: bool, undefined: bool) -> bytes:
    """Return the bytes of a file with the values, perhaps a sequence and private elements, and pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(syntax), CTImageStorage, UID("1.2.3")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet, dataset.PixelRepresentation = "ISO_IR 100", 0
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    if nested:
        inner = Dataset()
        inner.CodeValue, inner.CodeMeaning = "T-1", "Über"
        dataset.ProcedureCodeSequence = Sequence([inner])
        dataset["ProcedureCodeSequence"].is_undefined_length = undefined
    dataset.private_block(0x0019, "MAKER", create=True).add_new(1, "LO", "own")
    dataset.BitsAllocated, dataset.PixelData = 16, b"\1\2" * 8
    dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def check_equal(content: bytes, with_pixels: bool) -> bool:
    """Compare a scan with pydicom's reading, value by value; say whether there was one."""
    with guarded():
        scanned = scan(content, with_pixels=with_pixels)
        if scanned is None:
            return False
        wanted = dcmread(io.BytesIO(content), stop_before_pixels=not with_pixels)
        assert list(scanned.keys()) == list(wanted.keys())
        for name in [element.keyword for element in dcmread(io.BytesIO(content), stop_before_pixels=not with_pixels) if element.keyword]:
            ours, theirs = scanned.get(name), wanted.get(name)
            assert name in scanned
            assert (bytes(ours) if isinstance(ours, memoryview) else ours) == theirs, name
            assert isinstance(ours, memoryview) or type(ours) is type(theirs), name
        if "PixelData" in scanned:
            scanned.PixelData = bytes(scanned.PixelData)
        assert all(scanned[element.tag] == element or element.value != element.value for element in wanted)
        assert scanned.file_meta == wanted.file_meta
        assert (scanned.original_encoding, scanned.original_character_set) == (wanted.original_encoding, wanted.original_character_set)
    return True


@given(st.fixed_dictionaries({}, optional=VALUES), st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]), st.booleans(), st.booleans())
def test_scanned_headers_equal_those_of_pydicom(values: dict[str, Any], syntax: str, nested: bool, undefined: bool) -> None:
    """Whatever the values, the kinds of sequences and the syntax."""
    content = a_file(values, syntax, nested, undefined)
    read = [check_equal(content, with_pixels) for with_pixels in (True, False)]
    assert all(read) or (undefined and syntax == ImplicitVRLittleEndian)


@given(st.fixed_dictionaries({}, optional=VALUES), st.data())
def test_a_damaged_file_is_left_to_pydicom_or_read_as_pydicom_reads_it(values: dict[str, Any], data: st.DataObject) -> None:
    """Cut or with one byte changed behind the file meta."""
    content = a_file(values, ExplicitVRLittleEndian, True, False)
    place = data.draw(st.integers(330, len(content) - 1))
    changed = content[:place] + bytes([data.draw(st.integers(0, 255))]) + content[place + 1 :]
    for damaged in (content[:place], changed):
        with guarded():
            scanned = scan(damaged)
            assert scanned is None or list(scanned.keys()) == list(dcmread(io.BytesIO(damaged)).keys())


def test_the_files_of_pydicom_are_read_as_pydicom_reads_them() -> None:
    """Most of them are plain enough; big-endian and deflated ones are not."""
    read = 0
    for path in sorted(EXAMPLES.glob("*.dcm")):
        content = path.read_bytes()
        try:
            with guarded():
                dcmread(io.BytesIO(content))
        except Exception:  # noqa: S112 (pydicom's own broken examples)
            continue
        read += check_equal(content, True) + check_equal(content, False)
    assert read > 50


def test_what_is_not_plain_is_left_to_pydicom() -> None:
    """Nothing, no DICOM, and big endian."""
    for content in (b"", b"\0" * 200, (EXAMPLES / "MR_small_bigendian.dcm").read_bytes()):
        assert scan(content) is None
