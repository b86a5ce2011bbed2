"""Planes to volumes: several volumes at one place, slices that are missing or twice, padding and rescale; every fault is planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from curation.acquired import Acquired
from curation.dicom import SeriesResult, read_series
from curation.dicom_geometry import PlaneGeometry
from curation.dicom_planes import VOLUME_KEYS, Plane
from curation.dicom_volumes import build_volumes, volume_pixels
from tests.curation.dicom_builders import ROOT, SIZE, a_dataset, a_pattern, a_series, save

KEY = b"k" * 32
MR: dict[str, Any] = {
    "Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "RescaleSlope": None, "RescaleIntercept": None, "ImageType": None, "PatientAge": None,
}  # fmt: skip


def codes_of(result: SeriesResult) -> list[str]:
    """Return the sorted codes of all files."""
    return sorted(outcome.code for outcome in result.outcomes.values())


def attributes_of(image: Acquired) -> dict[str, Any]:
    """Return what the row will say of a part."""
    found: dict[str, Any] = json.loads(image.fields["attributes"])
    return found


def a_plane(height_mm: float, number: int, **keys: str) -> Plane:
    """Return an axial plane of 4 × 4 random values."""
    geometry = PlaneGeometry(np.array([0.0, 0.0, height_mm]), np.array([1.0, 0, 0, 0, 1, 0]), (1.0, 1.0))
    stored = np.random.default_rng(number).integers(0, 1000, (4, 4), dtype=np.int16)
    return Plane(Path(f"{number}.dcm"), (number, 0), geometry, stored, (1.0, 0.0), None, tuple(keys.get(name, "") for name in VOLUME_KEYS))


def many(slices: int, echoes: int, times: int, *, has_times: bool = True) -> list[Plane]:
    """Return planes of a series with several echoes at several times; instance numbers go slice by slice."""
    planes: list[Plane] = []
    for place in range(slices):
        for time in range(times):
            for echo in range(echoes):
                keys = {"EchoTime": str(10 + 5 * echo), "AcquisitionTime": f"1200{place:02d}"}  # the time differs from slice to slice: no key
                keys |= {"TemporalPositionIdentifier": str(time + 1)} if has_times else {}
                planes.append(a_plane(3.0 * place, len(planes), **keys))
    return planes


@given(st.integers(3, 6), st.integers(1, 3), st.integers(1, 6), st.booleans(), st.randoms(use_true_random=False))
def test_echoes_at_several_times_are_volumes_of_their_own(slices: int, echoes: int, times: int, has_times: bool, random: Any) -> None:
    """Whatever the order of the planes, however many parts; without a time in the header, the instance numbers tell them apart."""
    planes = many(slices, echoes, times, has_times=has_times)
    expected = {tuple(plane.number for plane in planes[part :: echoes * times]) for part in range(echoes * times)}
    random.shuffle(planes)
    found = build_volumes(planes)
    assert not found.refused
    assert not found.repeated
    assert {tuple(plane.number for plane in volume.planes) for volume in found.volumes} == expected
    assert [(volume.part, volume.parts) for volume in found.volumes] == [(part, echoes * times) for part in range(1, echoes * times + 1)]


def test_diffusion_weights_may_differ_in_number() -> None:
    """One volume without and three with weighting, which only their directions tell apart."""
    weights = [("0", ""), ("1000", "[1, 0, 0]"), ("1000", "[0, 1, 0]"), ("1000", "[0, 0, 1]")]
    planes = [
        a_plane(2.0 * place, 4 * place + part, DiffusionBValue=value, DiffusionGradientOrientation=direction)
        for place in range(5)
        for part, (value, direction) in enumerate(weights)
    ]
    found = build_volumes([plane._replace(number=(1, 0)) for plane in planes])
    assert [len(volume.planes) for volume in found.volumes] == [5] * 4
    assert {(volume.planes[0].keys[5], volume.planes[0].keys[6]) for volume in found.volumes} == set(weights)


def test_fifty_time_points_of_one_series_are_fifty_rows(tmp_path: Path) -> None:
    """There is no limit to their number, and each says which it is."""
    changes = {
        index: {"ImagePositionPatient": [0, 0, 3.0 * (index % 3)], "InstanceNumber": index + 1, "TemporalPositionIdentifier": index // 3 + 1}
        for index in range(150)
    }
    result = read_series(a_series(tmp_path, 150, changes, **MR), KEY)
    assert len(result.images) == 50
    assert attributes_of(result.images[41]) == {"part": 42, "parts": 50, "temporal_position": 42.0}
    np.testing.assert_array_equal(result.images[41].pixels[0], a_pattern(123).astype(np.float32))


@pytest.mark.parametrize(
    ("creator", "group", "offset", "value"), [("SIEMENS MR HEADER", 0x19, 0x0C, "1000"), ("GEMS_PARM_01", 0x43, 0x39, ["1000001000", "8", "0", "0"])]
)
def test_private_b_values_tell_volumes_apart(tmp_path: Path, creator: str, group: int, offset: int, value: Any) -> None:
    """Siemens and GE keep them in private elements."""
    paths = []
    for index in range(6):
        dataset = a_dataset(
            **MR, SOPInstanceUID=f"{ROOT}.8.{index}", InstanceNumber=1, ImagePositionPatient=[0, 0, 2.0 * (index % 3)], PixelData=a_pattern(index).tobytes()
        )
        dataset.private_block(group, creator, create=True).add_new(offset, "IS", value if index > 2 else "0")
        paths.append(save(dataset, tmp_path / f"{index}.dcm"))
    result = read_series(paths, KEY)
    assert [attributes_of(image).get("b_value_s_mm2") for image in result.images] == [0.0, 1000.0]


def test_equal_slices_of_two_time_points_are_no_duplicates(tmp_path: Path) -> None:
    """A slice of air may be the same twice; dropping it would tear the volume."""
    blank = np.full((SIZE, SIZE), 3, np.uint16).tobytes()
    changes: dict[int, dict[str, Any]] = {index: {"ImagePositionPatient": [0, 0, 3.0 * (index % 4)], "InstanceNumber": index + 1} for index in range(8)}
    changes[3]["PixelData"] = changes[7]["PixelData"] = blank
    result = read_series(a_series(tmp_path, 8, changes, **MR), KEY)
    assert codes_of(result) == [""] * 8
    assert [image.pixels.shape[0] for image in result.images] == [4, 4]


def test_a_slice_sent_twice_under_another_uid_and_number_is_a_duplicate(tmp_path: Path) -> None:
    """The same pixels at the same place: one is kept, one is a duplicate, and the volume is whole."""
    paths = a_series(tmp_path, 6, {5: {"ImagePositionPatient": [-10.0, -20.0, 34.0], "PixelData": a_pattern(2).tobytes(), "InstanceNumber": 77}})
    result = read_series(paths, KEY)
    assert codes_of(result) == [""] * 5 + ["SAME_PIXELS"]
    assert result.images[0].pixels.shape[0] == 5


def test_two_different_slices_at_one_place_are_refused(tmp_path: Path) -> None:
    """Nothing says which of them belongs to the volume."""
    result = read_series(a_series(tmp_path, 6, {5: {"ImagePositionPatient": [-10.0, -20.0, 34.0]}}), KEY)
    assert result.images == []
    assert set(codes_of(result)) == {"FOUR_D"}


def test_the_localizer_of_a_series_is_refused_and_the_rest_kept(tmp_path: Path) -> None:
    """By its name in the header."""
    result = read_series(a_series(tmp_path, 6, {5: {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}}), KEY)
    assert codes_of(result) == [""] * 5 + ["SINGLE_SLICE"]


def test_an_aborted_last_time_point_is_refused_alone(tmp_path: Path) -> None:
    """Three whole time points, and half of a fourth."""
    changes = {
        index: {"ImagePositionPatient": [0, 0, 3.0 * (index % 4)], "InstanceNumber": index + 1, "TemporalPositionIdentifier": index // 4 + 1}
        for index in range(14)
    }
    result = read_series(a_series(tmp_path, 14, changes, **MR), KEY)
    assert len(result.images) == 3
    assert codes_of(result) == [""] * 12 + ["MISSING_SLICES"] * 2


@pytest.mark.parametrize(("gap_mm", "code"), [(0.0, "SINGLE_SLICE"), (0.001, "SINGLE_SLICE"), (150.0, "SPACING"), (2.0, "")])
def test_slices_at_absurd_distances_are_refused(tmp_path: Path, gap_mm: float, code: str) -> None:
    """All at one place, or farther apart than a body is long."""
    changes = {index: {"ImagePositionPatient": [-10.0, -20.0, gap_mm * index]} for index in range(5)}
    assert set(codes_of(read_series(a_series(tmp_path, 5, changes), KEY))) == {code}


def test_a_declared_tilt_that_the_orientation_denies_is_refused(tmp_path: Path) -> None:
    """An original slice cannot be tilted and upright; a reformatted one keeps the tag of the scan it was made of."""
    assert set(codes_of(read_series(a_series(tmp_path / "a", GantryDetectorTilt=18.5), KEY))) == {"GANTRY_TILT"}
    assert set(codes_of(read_series(a_series(tmp_path / "b", GantryDetectorTilt=18.5, ImageType=["DERIVED", "SECONDARY"]), KEY))) == {""}
    assert set(codes_of(read_series(a_series(tmp_path / "c", GantryDetectorTilt=0), KEY))) == {""}


def test_a_padding_range_is_air_in_ct_and_the_smallest_value_in_mr(tmp_path: Path) -> None:
    """From the padding value to its limit; a value written as unsigned is read as the pixels are."""
    pixels = np.full((SIZE, SIZE), 5, np.int16)
    pixels[0], pixels[1], pixels[2] = -2000, -1990, 1900
    stored: dict[str, Any] = {"PixelData": pixels.tobytes(), "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1, "RescaleIntercept": -100}
    ct = read_series(a_series(tmp_path / "ct", 3, **stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990), KEY).images[0].pixels
    assert ct[0, :4, 0].tolist() == [-1024, -1024, 1800, -95]
    mr = read_series(a_series(tmp_path / "mr", 3, **{**MR, **stored, "RescaleIntercept": None, "PixelPaddingValue": -2000}), KEY).images[0].pixels
    assert mr[0, :4, 0].tolist() == [-1990, -1990, 1900, 5]
    plane = a_plane(0, 1)._replace(stored=pixels)
    assert build_volumes([plane]).refused[0].error.code == "SINGLE_SLICE"


def test_every_slice_has_its_own_slope() -> None:
    """As PET writes them, so that small values keep their digits."""
    planes = [a_plane(2.0 * place, place)._replace(rescale=(0.1 * (place + 1), 0.0)) for place in range(4)]
    (volume,) = build_volumes(planes).volumes
    pixels = volume_pixels(volume, "PT")
    for place, plane in enumerate(planes):
        np.testing.assert_allclose(pixels[place], plane.stored * 0.1 * (place + 1), rtol=1e-6)


def test_slices_through_a_palette_or_a_table_are_refused(tmp_path: Path) -> None:
    """Neither gives measurements."""
    lut = a_group({"ModalityLUTSequence": {"LUTDescriptor": [4096, 0, 16], "LUTData": bytes(8192)}})
    assert set(codes_of(read_series(a_series(tmp_path / "a", ModalityLUTSequence=lut.ModalityLUTSequence), KEY))) == {"LUT"}
    assert set(codes_of(read_series(a_series(tmp_path / "b", PhotometricInterpretation="PALETTE COLOR"), KEY))) == {"COLOUR"}


def test_bits_that_do_not_end_where_they_should_are_refused(tmp_path: Path) -> None:
    """Twelve bits stored at the top of sixteen."""
    assert set(codes_of(read_series(a_series(tmp_path, HighBit=15), KEY))) == {"BITS"}


def test_a_slice_that_is_missing_at_the_end_is_known_where_the_header_counts() -> None:
    """PET says how many slices a volume has."""
    planes = [a_plane(2.0 * place, place)._replace(slices=5) for place in range(5)]
    assert len(build_volumes(planes).volumes) == 1
    assert build_volumes(planes[:4]).refused[0].error.code == "MISSING_SLICES"


def an_enhanced_file(folder: Path, frames: list[dict[str, Any]], **tags: Any) -> Path:
    """Write an enhanced MR file; a frame says its height, its own slope, and elements of its MR echo and frame content."""
    dataset = a_dataset(
        **{
            **MR, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1", "NumberOfFrames": len(frames), "ImagePositionPatient": None, "ImageOrientationPatient": None,
            "PixelSpacing": None, "PixelData": b"".join(a_pattern(index).tobytes() for index in range(len(frames))), **tags,
        }
    )  # fmt: skip
    groups = [
        {
            "PlanePositionSequence": {"ImagePositionPatient": [0, 0, frame["height"]]},
            "PlaneOrientationSequence": {"ImageOrientationPatient": frame.get("plane", [1, 0, 0, 0, 1, 0])},
            "PixelMeasuresSequence": {"PixelSpacing": [1, 1]},
            "PixelValueTransformationSequence": {"RescaleSlope": frame.get("slope", 1), "RescaleIntercept": 0},
            "MREchoSequence": {"EffectiveEchoTime": frame.get("echo", 5.0)},
            "FrameContentSequence": {"TemporalPositionIndex": frame.get("time", 1)},
            "MRImageFrameTypeSequence": {"FrameType": frame.get("type", ["ORIGINAL", "PRIMARY", "M", "NONE"])},
        }
        for frame in frames
    ]
    dataset.PerFrameFunctionalGroupsSequence = [a_group(group) for group in groups]
    return save(dataset, folder / "enhanced.dcm")


def a_group(macros: dict[str, dict[str, Any]]) -> Dataset:
    """Return the functional groups of one frame."""
    group = Dataset()
    for sequence, elements in macros.items():
        macro = Dataset()
        for keyword, value in elements.items():
            setattr(macro, keyword, value)
        setattr(group, sequence, [macro])
    return group


@pytest.mark.parametrize("key", [{"echo": [5.0, 10.0]}, {"time": [1, 2]}, {"type": [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]]}])
def test_frames_of_an_enhanced_file_are_split_by_what_they_are(tmp_path: Path, key: dict[str, list[Any]]) -> None:
    """By echo, by time, by magnitude and phase; the file belongs to both volumes."""
    ((name, values),) = key.items()
    frames = [{"height": 2.0 * place, name: value, "slope": 1 + place} for place in range(4) for value in values]
    path = an_enhanced_file(tmp_path, frames)
    result = read_series([path], KEY)
    assert [image.pixels.shape for image in result.images] == [(4, SIZE, SIZE)] * 2
    assert result.outcomes[path].images == (0, 1)
    components = [attributes_of(image)["component"] for image in result.images]
    assert components == (["magnitude", "phase"] if name == "type" else ["magnitude"] * 2)
    np.testing.assert_array_equal(result.images[1].pixels[3], a_pattern(7).astype(np.float32) * 4)


def test_orientations_of_an_enhanced_file_are_split(tmp_path: Path) -> None:
    """Two stacks of different orientation in one file."""
    frames = [{"height": 2.0 * place} for place in range(4)] + [{"height": 0.0, "plane": [0, 1, 0, 0, 0, -1]}]
    result = read_series([an_enhanced_file(tmp_path, frames)], KEY)
    assert [image.pixels.shape[0] for image in result.images] == [4]


def test_an_enhanced_ct_needs_a_rescale(tmp_path: Path) -> None:
    """Neither in the frames nor in the file: no Hounsfield units."""
    path = an_enhanced_file(tmp_path, [{"height": 2.0 * place} for place in range(3)], Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1")
    dataset = dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.PixelValueTransformationSequence
    assert set(codes_of(read_series([save(dataset, path)], KEY))) == {"VALUE_RANGE"}
