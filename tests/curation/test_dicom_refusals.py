"""Reading DICOM: every kind of bad input gets its code, and nothing hostile gets further than that."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.dicom import read_header, read_series
from curation.dicom_kinds import ROUTED, kind_of, routing_code
from curation.errors import ImageError
from tests.curation.dicom_builders import a_dataset, a_dicom, a_series, an_xray, save
from tests.curation.dicom_codes import KEY, PYDICOM_FILES, codes_of


def header_code(path: Path) -> str:
    """Return the code that `read_header` refuses a file with."""
    with pytest.raises(ImageError) as caught:
        read_header(path)
    return caught.value.code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "EMPTY"), (b"just a note, no image at all\n" * 20, "NOT_DICOM"), (b"\0" * 128 + b"DICM" + b"\xff" * 50, "NO_UID"),
        (b"\0" * 128 + b"DICM", "NO_UID"),
    ],
)  # fmt: skip
def test_files_that_are_no_dicom_say_so(tmp_path: Path, content: bytes, code: str) -> None:
    """Empty, text, broken, or nothing behind the mark."""
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    assert header_code(path) == code


def test_a_header_cut_short_is_truncated(tmp_path: Path) -> None:
    """Pydicom reads such a file without a word."""
    path = a_dicom(tmp_path)
    content = path.read_bytes()
    for length in (200, 400, 700):
        path.write_bytes(content[:length])
        assert header_code(path) == "TRUNCATED"


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    """A folder stands for a file that the system does not let us read."""
    assert header_code(tmp_path) == "UNREADABLE"


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_a_missing_uid_is_refused(tmp_path: Path, keyword: str) -> None:
    """Empty UIDs would throw images of strangers together."""
    assert header_code(a_dicom(tmp_path, **{keyword: ""})) == "NO_UID"


OTHER_OBJECTS = {
    "88.11": "REPORT", "88.59": "KEY_OBJECTS", "11.1": "PRESENTATION_STATE", "481.2": "RT_DOSE", "481.5": "RT_PLAN", "104.1": "DOCUMENT", "9.1.1": "WAVEFORM",
    "481.1": "RT_IMAGE", "66.1": "REGISTRATION", "66": "RAW_DATA", "4.2": "SPECTROSCOPY", "77.1.1.1": "VIDEO", "30": "PARAMETRIC_MAP",
}  # fmt: skip


@pytest.mark.parametrize("sop", OTHER_OBJECTS)
def test_objects_that_are_no_images_are_routed_by_what_they_are(tmp_path: Path, sop: str) -> None:
    """They are skipped, not refused, and counted under their own code."""
    path = a_dicom(tmp_path, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{sop}")
    assert header_code(path) == OTHER_OBJECTS[sop]
    assert read_series([path], KEY).outcomes[path].outcome == "skipped"


def test_every_storage_class_of_the_standard_has_one_answer() -> None:
    """A picture, a label map, or a code that says what it is; only what nobody listed is NOT_AN_IMAGE."""
    from pydicom._uid_dict import UID_dictionary

    classes = [uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class" and "Storage" in entry[0] and "Commitment" not in entry[0]]
    kinds = {uid: kind_of(uid) for uid in classes}
    assert set(kinds.values()) == {"image", "label map", "routed"}
    assert {routing_code(uid) for uid, kind in kinds.items() if kind == "routed"} == set(ROUTED) - {"NOT_AN_IMAGE"}


def test_a_file_without_mark_is_taken_only_if_it_names_an_image_class(tmp_path: Path) -> None:
    """The data set alone, without preamble and meta, is read; noise that begins alike is not."""
    path = tmp_path / "bare.dcm"
    bare = a_dataset()
    bare.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    path.write_bytes(path.read_bytes()[path.read_bytes().index(b"\x08\x00\x08\x00CS") :])
    assert read_header(path).modality == "CT"
    assert codes_of([path]) == {"SINGLE_SLICE"}
    path.write_bytes(b"\x08\x00" + bytes(range(256)) * 4)
    assert header_code(path) == "NOT_DICOM"


def test_unknown_and_undecodable_streams_are_refused(tmp_path: Path) -> None:
    """An unknown transfer syntax is named; a broken JPEG 2000 stream is corrupt."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    dataset = a_dataset(PixelData=encapsulate([b"\xff\x4f\xff\x51 no codestream"]))
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.90")
    assert codes_of([save(dataset, tmp_path / "one.dcm")]) == {"CORRUPT"}
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.94")
    path = save(dataset, tmp_path / "two.dcm")
    outcome = read_series([path], KEY).outcomes[path]
    assert outcome.code == "NO_DECODER"
    assert "1.2.840.10008.1.2.4.94" in outcome.reason


def test_deep_nesting_and_deflated_bombs_are_refused(tmp_path: Path) -> None:
    """Neither the stack nor the memory is exhausted."""
    begin = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    path = a_dicom(tmp_path)
    content = path.read_bytes()
    start = content.index(b"\x08\x00\x08\x00CS")
    path.write_bytes(content[:start] + begin * 3000 + end * 3000 + content[start:])
    assert header_code(path) == "NESTED"
    meta = content[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    length = struct.unpack_from("<I", meta, 140)[0] + 2
    meta = meta[:140] + struct.pack("<I", length) + meta[144:]
    meta = meta.replace(b"UI\x14\x001.2.840.10008.1.2.1.99", b"UI\x16\x001.2.840.10008.1.2.1.99")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta + deflater.compress(b"\0" * (80 << 20)) + deflater.flush())
    assert header_code(path) == "TOO_LARGE"


def test_hostile_ids_are_only_hashed(tmp_path: Path) -> None:
    """A UID that is a path is not an error, and never leaves as such."""
    paths = a_series(tmp_path, SeriesInstanceUID="../../etc/passwd", PatientID="../../x")
    (volume,) = read_series(paths, KEY).images
    assert volume.fields["series_uid"].startswith("2.25.")


FUZZED = ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_expb.dcm", "priv_SQ.dcm")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(FUZZED), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=6))
def test_bytes_changed_at_random_never_escape_as_another_error(tmp_path: Path, name: str, edits: list[tuple[float, bytes, int]]) -> None:
    """Bytes are replaced, inserted and removed, mostly in the header; a panic of the RLE decoder counts as corrupt, too."""
    content = bytearray((PYDICOM_FILES / name).read_bytes())
    for place, new, removed in edits:
        begin = int(place**3 * len(content))
        content[begin : begin + removed] = new
    path = tmp_path / "fuzzed.dcm"
    path.write_bytes(content)
    assert set(read_series([path], KEY).outcomes) == {path}


def test_an_element_that_claims_four_gigabytes_takes_no_room(tmp_path: Path) -> None:
    """With less memory than it claims, the answer is that the file is cut short."""
    import subprocess
    import sys

    content = an_xray(tmp_path).read_bytes()
    place = content.index(b"\x08\x00\x18\x00UI")
    (tmp_path / "claim.dcm").write_bytes(content[:place] + b"\x09\x00\x01\x10OB\0\0\xf0\xff\xff\xff" + content[place:])
    script = (
        "import resource, sys; from pathlib import Path; from curation.dicom_reading import open_dataset; from curation.errors import ImageError\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
        "try:\n    open_dataset(Path(sys.argv[1]))\n"
        "except ImageError as error:\n    print(error.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "claim.dcm")], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.stdout == "TRUNCATED\n", done.stderr
