"""Reading DICOM: what is kept is right to the voxel, and every kind of bad input gets its code."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.dicom import read_header, read_series
from curation.dicom_instances import Outcome
from curation.dicom_kinds import ROUTED, kind_of, routing_code
from curation.errors import ImageError
from curation.pseudonyms import pseudonymous_uid
from tests.curation.dicom_builders import ROOT, SIZE, a_dataset, a_dicom, a_pattern, a_series, an_xray, save

KEY = b"k" * 32
SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"

real_data = pytest.mark.real_data


def codes_of(paths: list[Path]) -> set[str]:
    """Return the codes of all files of a series; every file must have exactly one outcome."""
    result = read_series(paths, KEY)
    assert set(result.outcomes) == set(paths)
    return {outcome.code for outcome in result.outcomes.values()}


def header_code(path: Path) -> str:
    """Return the code that `read_header` refuses a file with."""
    with pytest.raises(ImageError) as caught:
        read_header(path)
    return caught.value.code


def test_a_ct_series_becomes_a_volume_in_hounsfield_units_sorted_by_place(tmp_path: Path) -> None:
    """Slices are sorted along the normal, whatever their names and instance numbers say."""
    paths = a_series(tmp_path)
    result = read_series(paths, KEY)
    assert {outcome.outcome for outcome in result.outcomes.values()} == {"kept"}
    (volume,) = result.images
    expected = np.stack([a_pattern(index).astype(np.float32) - 1024 for index in range(5)])
    np.testing.assert_array_equal(volume.pixels, expected)
    assert volume.pixels.dtype == np.int16
    assert volume.spacing_mm == (2.0, 0.5, 0.7)
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine @ [3, 2, 4, 1], [10 - 3 * 0.7, 20 - 2 * 0.5, 30 + 4 * 2, 1])


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    """Paths given in any order make the same volume."""
    paths = a_series(tmp_path)
    first, second = (read_series(order, KEY).images[0] for order in (paths, paths[::-1]))
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_fields_are_listed_values_and_pseudonyms(tmp_path: Path) -> None:
    """No text of the header is in the fields, and dates are moved back."""
    fields = read_series(a_series(tmp_path, ViewPosition="Wilhelmine", Laterality="Q"), KEY).images[0].fields
    assert fields["study_uid"] == pseudonymous_uid(KEY, f"{ROOT}.2")
    assert (fields["body_part"], fields["manufacturer"], fields["age_years"], fields["sex"]) == ("CHEST", "Siemens", 63.0, "F")
    assert "view_position" not in fields
    assert "laterality" not in fields
    assert fields["acquired_on"] < "2020-12-24"
    assert not {"Hinterwald", "Somatom", "Quasten", "4711"} & {word for value in fields.values() for word in str(value).split()}


@pytest.mark.parametrize(("age", "years"), [("095Y", 90.0), ("006M", 0.5), ("XXX", 63.0), (None, 63.0)])
def test_ages_are_capped_and_come_from_dates_when_unsaid(tmp_path: Path, age: str | None, years: float) -> None:
    """Ages above 90 are 90; without an age the birth and study dates give it."""
    paths = a_series(tmp_path, PatientAge=age)
    assert read_series(paths, KEY).images[0].fields["age_years"] == pytest.approx(years, abs=0.01)


def test_slope_and_intercept_are_applied_slice_by_slice(tmp_path: Path) -> None:
    """Each slice has its own rescale."""
    paths = a_series(tmp_path, changes={1: {"RescaleSlope": 0.5, "RescaleIntercept": -1000}})
    pixels = read_series(paths, KEY).images[0].pixels
    np.testing.assert_array_equal(pixels[1], a_pattern(1).astype(np.float32) * 0.5 - 1000)
    np.testing.assert_array_equal(pixels[2], a_pattern(2).astype(np.float32) - 1024)


def test_padding_outside_the_field_of_view_becomes_air(tmp_path: Path) -> None:
    """Stored padding is no value of the patient."""
    padded = a_pattern(0)
    padded[5:, 5:] = 4000
    path = a_series(tmp_path, PixelPaddingValue=4000, changes={0: {"PixelData": padded.tobytes()}})
    assert (read_series(path, KEY).images[0].pixels[0, 5:, 5:] == -1024).all()


Damage = Callable[[Path], list[Path]]

BAD_SERIES: dict[str, tuple[str, Damage]] = {
    "pixel spacing zero": ("SPACING", lambda f: a_series(f, PixelSpacing=[0, 0])),
    "pixel spacing negative": ("SPACING", lambda f: a_series(f, PixelSpacing=[-1, 1])),
    "pixel spacing missing": ("SPACING", lambda f: a_series(f, PixelSpacing=None)),
    "rescale slope zero": ("RESCALE", lambda f: a_series(f, RescaleSlope=0)),
    "orientation of zeros": ("ORIENTATION", lambda f: a_series(f, ImageOrientationPatient=[0] * 6)),
    "orientation not at right angles": ("ORIENTATION", lambda f: a_series(f, ImageOrientationPatient=[1, 0, 0, 0.7, 0.7, 0])),
    "orientation missing": ("ORIENTATION", lambda f: a_series(f, ImageOrientationPatient=None)),
    "position missing": ("POSITION", lambda f: a_series(f, changes={i: {"ImagePositionPatient": None} for i in range(5)})),
    "one slice": ("SINGLE_SLICE", lambda f: a_series(f, 1)),
    "a localizer": ("SINGLE_SLICE", lambda f: a_series(f, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])),
    "a slice lost": ("MISSING_SLICES", lambda f: [p for p in a_series(f, 7) if "-3" not in p.name]),
    "uneven gaps": ("UNEVEN_SPACING", lambda f: a_series(f, changes={4: {"ImagePositionPatient": [-10, -20, 39.3]}})),
    "a tilted gantry": ("GANTRY_TILT", lambda f: a_series(f, changes={i: {"ImagePositionPatient": [-10, -20 + i, 30 + 2 * i]} for i in range(5)})),
    "no rescale intercept": ("VALUE_RANGE", lambda f: a_series(f, RescaleIntercept=None)),
    "unsigned that should be signed": ("VALUE_RANGE", lambda f: a_series(f, BitsStored=16, HighBit=15, changes={0: {"PixelData": b"\xff\xff" * SIZE * SIZE}})),
    "no air anywhere": ("VALUE_RANGE", lambda f: a_series(f, RescaleIntercept=0)),
    "a constant": ("VALUE_RANGE", lambda f: a_series(f, changes={i: {"PixelData": struct.pack("<256H", *[i * 0 + 7] * 256)} for i in range(5)})),
    "two patients": ("IDENTITY", lambda f: a_series(f, changes={2: {"PatientID": "OTHER"}})),
    "a mosaic": ("MOSAIC", lambda f: a_series(f, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])),
    "rows too few": ("SHAPE", lambda f: a_series(f, Rows=SIZE // 2)),
    "rows too many": ("TRUNCATED", lambda f: a_series(f, Rows=SIZE * 2)),
    "no rows": ("SHAPE", lambda f: a_series(f, Rows=0)),
    "32 bits": ("BITS", lambda f: a_series(f, BitsAllocated=32, BitsStored=32)),
    "more bits stored than allocated": ("BITS", lambda f: a_series(f, BitsStored=24)),
    "a billion frames": ("TOO_LARGE", lambda f: a_series(f, NumberOfFrames=10**9)),
    "a recognizable face": ("RECOGNIZABLE", lambda f: a_series(f, RecognizableVisualFeatures="YES")),
    "a synthetic image": ("SYNTHETIC", lambda f: a_series(f, SyntheticData="YES")),
    "an unknown modality": ("MODALITY", lambda f: a_series(f, Modality="ZZ")),
    "no modality": ("MODALITY", lambda f: a_series(f, Modality=None)),
    "colour slices": ("COLOUR", lambda f: a_series(f, SamplesPerPixel=3, BitsAllocated=8, BitsStored=8, HighBit=7, PlanarConfiguration=0,
                                                   PhotometricInterpretation="RGB", PixelData=bytes(range(256)) * 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SERIES)
def test_a_bad_series_is_quarantined_whole(tmp_path: Path, name: str) -> None:
    """No image comes of it, and every file says why."""
    code, build = BAD_SERIES[name]
    paths = build(tmp_path)
    result = read_series(paths, KEY)
    assert result.images == []
    assert {(outcome.outcome, outcome.image_index) for outcome in result.outcomes.values()} == {("quarantined", None)}
    assert code in codes_of(paths)
    assert all(outcome.reason and "PID-4711" not in outcome.reason for outcome in result.outcomes.values())


def test_one_unreadable_slice_makes_the_volume_incomplete(tmp_path: Path) -> None:
    """A slice with damaged pixels leaves a hole, and a hole is not filled."""
    paths = a_series(tmp_path, 7)
    damaged = next(path for path in paths if path.name.endswith("-3.dcm"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    outcomes = read_series(paths, KEY).outcomes
    assert outcomes[damaged].code == "TRUNCATED"
    assert {outcome.code for path, outcome in outcomes.items() if path != damaged} == {"MISSING_SLICES"}


def test_bytes_hidden_behind_padding_do_not_hide_a_truncation(tmp_path: Path) -> None:
    """Too many declared pixels, cut so that rows times columns still fit, are refused."""
    path = a_dicom(tmp_path, PixelData=a_pattern(0).tobytes() + b"\0" * 200)
    path.write_bytes(path.read_bytes()[:-150])
    assert codes_of([path]) == {"TRUNCATED"}


def test_a_second_orientation_is_split_off_and_a_stray_slice_refused(tmp_path: Path) -> None:
    """Three slices of another orientation are a volume of their own; one is not."""
    sagittal = [0, 1, 0, 0, 0, -1]
    changes = {i: {"ImageOrientationPatient": sagittal, "ImagePositionPatient": [3.0 * i, 0, 0]} for i in (5, 6, 7)}
    changes[8] = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "ImagePositionPatient": [0, 0, 0]}
    result = read_series(a_series(tmp_path, 9, changes), KEY)
    assert sorted(image.pixels.shape[0] for image in result.images) == [3, 5]
    assert [outcome.code for outcome in result.outcomes.values() if outcome.outcome != "kept"] == ["MIXED_ORIENTATION"]


def test_three_single_orientations_are_refused(tmp_path: Path) -> None:
    """A three-plane scout is no volume."""
    planes = ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1])
    assert codes_of(a_series(tmp_path, 3, {i: {"ImageOrientationPatient": plane} for i, plane in enumerate(planes)})) == {"MIXED_ORIENTATION"}


def test_a_slice_of_another_size_is_refused(tmp_path: Path) -> None:
    """It does not go with the rest, which is kept."""
    half = a_pattern(0)[:8].tobytes()
    result = read_series(a_series(tmp_path, 6, {5: {"Rows": 8, "PixelData": half}}), KEY)
    assert len(result.images) == 1
    assert [outcome.code for outcome in result.outcomes.values() if outcome.outcome != "kept"] == ["SHAPE"]


def mr_volumes(folder: Path, volumes: int, key: str | None = "EchoTime", numbers: bool = True) -> list[Path]:
    """Write several MR volumes of four slices at one place in one series."""
    changes: dict[int, dict[str, Any]] = {}
    for index in range(4 * volumes):
        changes[index] = {"ImagePositionPatient": [0, 0, 3.0 * (index % 4)], "InstanceNumber": index + 1 if numbers else 1}
        if key:
            changes[index][key] = 10 + index // 4
    return a_series(
        folder, 4 * volumes, changes, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4", RescaleSlope=None, RescaleIntercept=None, ImageType=None
    )


@pytest.mark.parametrize(("key", "numbers"), [("EchoTime", True), ("AcquisitionNumber", True), (None, True)])
def test_volumes_at_one_place_are_kept_apart(tmp_path: Path, key: str | None, numbers: bool) -> None:
    """By echo time, by acquisition, or by the order of instance numbers."""
    result = read_series(mr_volumes(tmp_path, 3, key, numbers), KEY)
    assert [image.pixels.shape for image in result.images] == [(4, SIZE, SIZE)] * 3
    np.testing.assert_array_equal(result.images[1].pixels[0], a_pattern(4).astype(np.float32))
    assert sorted(outcome.image_index for outcome in result.outcomes.values() if outcome.image_index is not None) == [0] * 4 + [1] * 4 + [2] * 4


def test_volumes_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    """Two volumes, and no key or number that differs."""
    assert codes_of(mr_volumes(tmp_path, 2, None, numbers=False)) == {"FOUR_D"}


def test_an_incomplete_second_volume_is_refused_and_the_first_kept(tmp_path: Path) -> None:
    """Two echoes, of which one lacks its last slice: nothing else would show that it is missing."""
    result = read_series(mr_volumes(tmp_path, 2)[:-1], KEY)
    assert [image.pixels.shape for image in result.images] == [(4, SIZE, SIZE)]
    assert sorted(outcome.code for outcome in result.outcomes.values()) == [""] * 4 + ["MISSING_SLICES"] * 3


def test_equal_files_are_duplicates_and_different_ones_of_one_uid_conflict(tmp_path: Path) -> None:
    """The same UID and pixels twice: one is kept. The same UID with other pixels: neither."""
    paths = a_series(tmp_path)
    copy = tmp_path / "zz-copy.dcm"
    copy.write_bytes(paths[0].read_bytes())
    outcomes = read_series([*paths, copy], KEY).outcomes
    assert outcomes[copy] == Outcome("duplicate", "SAME_PIXELS", outcomes[copy].reason)
    assert sum(outcome.outcome == "kept" for outcome in outcomes.values()) == 5
    save(a_dataset(SOPInstanceUID=f"{ROOT}.1.0", PixelData=a_pattern(99).tobytes()), copy)
    outcomes = read_series([*paths, copy], KEY).outcomes
    assert {outcomes[path].code for path in (paths[0], copy)} == {"UID_CONFLICT"}


def test_enhanced_frames_are_placed_by_their_functional_groups(tmp_path: Path) -> None:
    """One file with four frames in mixed order is one volume."""
    order = [2, 0, 3, 1]
    dataset = a_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1", Modality="MR", NumberOfFrames=4, PixelData=b"".join(a_pattern(i).tobytes() for i in order),
        RescaleSlope=None, RescaleIntercept=None, ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None,
    )  # fmt: skip
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.7]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    frames = []
    for index in order:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, 1.5 * index]
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(frames)
    path = save(dataset, tmp_path / "one.dcm")
    (volume,) = read_series([path], KEY).images
    np.testing.assert_array_equal(volume.pixels, np.stack([a_pattern(index) for index in range(4)]).astype(np.float32))
    assert volume.spacing_mm == (1.5, 0.5, 0.7)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames[:3])
    assert codes_of([save(dataset, tmp_path / "two.dcm")]) == {"ENHANCED"}


def test_frames_without_a_place_are_refused(tmp_path: Path) -> None:
    """Several frames in a plain CT file, or a film of X-rays."""
    two = a_pattern(0).tobytes() * 2
    assert codes_of([a_dicom(tmp_path, NumberOfFrames=2, PixelData=two)]) == {"MULTIFRAME"}
    assert codes_of([an_xray(tmp_path, NumberOfFrames=2, PixelData=two)]) == {"MULTIFRAME"}


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


def test_an_xray_is_shown_through_its_window(tmp_path: Path) -> None:
    """Window centre 2048, width 1024, 12 bits: below black, above white, the middle gray."""
    image = read_series([an_xray(tmp_path, WindowCenter=2048, WindowWidth=1024)], KEY).images[0]
    stored = a_pattern(0).astype(np.float64)
    expected = np.rint(np.clip((stored - 2047.5) / 1023 + 0.5, 0, 1) * 65535)
    np.testing.assert_array_equal(image.pixels, expected.astype(np.uint16))
    assert image.spacing_mm == (0.2, 0.2)
    assert image.affine is None
    assert image.fields["view_position"] == "PA"


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    """What was stored as bright comes out dark."""
    plain = read_series([an_xray(tmp_path)], KEY).images[0].pixels
    inverted = read_series([an_xray(tmp_path, PhotometricInterpretation="MONOCHROME1")], KEY).images[0].pixels
    np.testing.assert_array_equal(inverted, 65535 - plain)


def test_eight_bits_stay_eight_bits_and_bits_above_those_stored_are_dropped(tmp_path: Path) -> None:
    """An overlay that hides in the high bits is not part of the image."""
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": bytes(range(256))}
    assert read_series([an_xray(tmp_path, **eight)], KEY).images[0].pixels.dtype == np.uint8
    hidden = (a_pattern(0) | 0x8000).tobytes()
    np.testing.assert_array_equal(
        read_series([an_xray(tmp_path, PixelData=hidden)], KEY).images[0].pixels, read_series([an_xray(tmp_path / "b")], KEY).images[0].pixels
    )


def test_a_voi_lut_wins_over_a_window(tmp_path: Path) -> None:
    """The table inverts the values here, so that its use is seen."""
    dataset, lut = a_dataset(), Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 12], np.arange(4095, -1, -1, dtype=np.uint16).tobytes()
    path = an_xray(tmp_path, VOILUTSequence=Sequence([lut]), WindowCenter=100, WindowWidth=10)
    stored = np.frombuffer(dataset.PixelData, np.uint16).reshape(SIZE, SIZE)
    np.testing.assert_array_equal(read_series([path], KEY).images[0].pixels, np.rint((4095 - stored.astype(np.float64)) / 4095 * 65535).astype(np.uint16))


@pytest.mark.parametrize("spacing", [[0, 0], [-1, 1]])
def test_an_impossible_spacing_of_an_xray_is_refused(tmp_path: Path, spacing: list[float]) -> None:
    """Missing is fine for a 2-D image, wrong is not."""
    assert codes_of([an_xray(tmp_path, ImagerPixelSpacing=spacing)]) == {"SPACING"}
    assert codes_of([an_xray(tmp_path, ImagerPixelSpacing=None)]) == {""}


def test_what_a_header_says_of_text_goes_with_the_image(tmp_path: Path) -> None:
    """Screens and ultrasound are suspect, unless they deny that text is burned in; the pixels, in RGB, are looked at later."""
    rgb = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    colour = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US", "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB",
              "PlanarConfiguration": 0,
              "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": rgb.tobytes()}  # fmt: skip
    for said, risk in ((None, "high"), ("NO", "low"), ("YES", "said")):
        kept = read_series([a_dicom(tmp_path, BurnedInAnnotation=said, **colour)], KEY).images[0]
        assert kept.text_risk == risk
        np.testing.assert_array_equal(kept.pixels, rgb)


def test_every_file_that_pydicom_ships_gets_an_answer() -> None:
    """Broken and odd ones too: an outcome with a code, never another exception, and no lost file."""
    series: dict[str, list[Path]] = {}
    refused = 0
    files = sorted(path for path in PYDICOM_FILES.rglob("*") if path.is_file())
    for path in files:
        try:
            series.setdefault(read_header(path).series_uid, []).append(path)
        except ImageError as error:
            refused += bool(error.code and error.reason)
    results = [read_series(paths, KEY) for paths in series.values()]
    outcomes = [outcome for result in results for outcome in result.outcomes.values()]
    assert len(outcomes) + refused == len(files)
    assert sum(len(result.images) for result in results) >= 4
    assert all(outcome.outcome == "kept" or (outcome.code and outcome.reason) for outcome in outcomes)


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


@real_data
def test_seven_transfer_syntaxes_decode_to_the_same_pixels() -> None:
    """Real files, one slice in seven lossless syntaxes."""
    from curation.dicom_pixels import decode_frames
    from curation.dicom_reading import open_dataset

    folder = SHARED / "mr-siemens-7-syntaxes"
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder}")
    datasets = [open_dataset(path) for path in sorted(folder.glob("*.dcm"))]
    assert len({str(dataset.file_meta.TransferSyntaxUID) for dataset in datasets}) == 7
    assert len({decode_frames(dataset).tobytes() for dataset in datasets}) == 1


@real_data
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("ct-ge-head-tilt", {("quarantined", "GANTRY_TILT")}), ("ct-ge-small", {("quarantined", "VALUE_RANGE")}), ("ct-philips-phantom-tilt", {("kept", "")}),
        ("mr-ge-fmri", {("kept", "")}), ("mr-siemens-mosaic", {("kept", "")}), ("mr-enhanced", {("kept", "")}),
        ("mr-siemens-7-syntaxes", {("kept", ""), ("duplicate", "SAME_PIXELS")}),
    ],
)  # fmt: skip
def test_real_series_are_judged_by_what_they_are(folder: str, expected: set[tuple[str, str]]) -> None:
    """Tilt and a T1 image that calls itself CT are refused; whole volumes, functional MR and mosaics are kept."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"real data are not here: {SHARED / folder}")
    series: dict[str, list[Path]] = {}
    refused: set[str] = set()
    for path in sorted(path for path in (SHARED / folder).rglob("*") if path.is_file()):
        try:
            series.setdefault(read_header(path).series_uid, []).append(path)
        except ImageError as error:
            refused.add(error.code)
    assert refused <= {"DIRECTORY", "NOT_DICOM"}
    found = {(outcome.outcome, outcome.code) for paths in series.values() for outcome in read_series(paths, KEY).outcomes.values()}
    assert found == expected


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
