"""Reading DICOM: what is kept is right to the voxel, and every kind of bad input gets its code."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.dicom import read_series
from curation.dicom_instances import Outcome
from curation.pseudonyms import pseudonymous_uid
from tests.curation.dicom_builders import ROOT, SIZE, a_dataset, a_dicom, a_pattern, a_series, an_xray, save
from tests.curation.dicom_codes import KEY, codes_of


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
