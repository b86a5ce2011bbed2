"""SEG and RTSTRUCT become label maps of the series that they refer to: right to the voxel, named by codes, never by free text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sequence import Sequence

from curation.acquired import Acquired
from curation.dicom import read_header, read_series
from curation.dicom_contours import fill_polygon
from curation.errors import ImageError
from curation.structures import Structure, paint
from tests.curation.dicom_builders import ROOT, SIZE, a_dicom, a_pattern, a_series
from tests.curation.label_map_builders import KIDNEY, LEFT, LIVER, a_box, a_contour, a_reference, a_seg, a_segment, a_square, a_structure_set, an_item

KEY = b"k" * 32


def volume_of(paths: list[Path], drawing: Path, **options: Any) -> Acquired:
    """Return the volume of a series with a label map; all files must be kept."""
    result = read_series([*paths, drawing], KEY, **options)
    assert {(outcome.outcome, outcome.code) for outcome in result.outcomes.values()} == {("kept", "")}
    assert result.outcomes[drawing].images == (0,)
    (volume,) = result.images
    return volume


def code_of(paths: list[Path], drawing: Path) -> str:
    """Return the code that a drawing is refused with; its series is kept without it."""
    result = read_series([*paths, drawing], KEY)
    assert {result.outcomes[path].outcome for path in paths} == {"kept"}
    assert all(image.label_map is None for image in result.images)
    assert result.outcomes[drawing].outcome == "quarantined"
    return result.outcomes[drawing].code


def test_a_binary_segmentation_lies_on_its_voxels(tmp_path: Path) -> None:
    """Two segments, frames in any order; names are the standard's words for their codes, with the side."""
    liver, kidney = a_box(), a_box(low=11, high=13)
    volume = volume_of(a_series(tmp_path), a_seg(tmp_path, {1: liver, 2: kidney}, [a_segment(1, LIVER), a_segment(2, KIDNEY, LEFT)]))
    np.testing.assert_array_equal(volume.label_map, liver + 2 * kidney)
    assert volume.label_values == {1: "Liver", 2: "Left kidney"}
    assert volume.label_map is not None
    assert volume.label_map.dtype == np.uint8
    assert volume.notes == ()


def test_what_no_known_code_names_is_numbered(tmp_path: Path) -> None:
    """The label, the meaning in the file and private codes are never copied; the user's own words are used."""
    segments = [a_segment(1), a_segment(2, ("4711", "99HINTERWALD")), a_segment(3, ("T-62000", "SRT")), a_segment(4, label="Lung_L")]
    masks = {number: a_box(low=3 * number - 2, high=3 * number) for number in (1, 2, 3, 4)}
    drawing = a_seg(tmp_path, masks, segments)
    assert volume_of(a_series(tmp_path), drawing).label_values == {1: "structure-1", 2: "structure-2", 3: "Liver", 4: "Left lung"}
    named = volume_of(a_series(tmp_path), drawing, structures={"Wilhelmines Leber": "own name"})
    assert named.label_values[1] == "own name"


def test_where_segments_overlap_the_smaller_one_is_on_top(tmp_path: Path) -> None:
    """And the image says that they do."""
    organ, tumour = a_box(low=2, high=12), a_box(low=5, high=7)
    volume = volume_of(a_series(tmp_path), a_seg(tmp_path, {1: tumour, 2: organ}, [a_segment(1), a_segment(2)]))
    np.testing.assert_array_equal(volume.label_map, np.where(tumour, 1, 2 * organ))
    assert volume.notes == ("LABEL_OVERLAP",)


def test_a_fractional_segmentation_counts_from_half_on(tmp_path: Path) -> None:
    """127 of 255 is less than half, 128 is more."""
    mask = a_box() * 128
    mask[2, 4, 4] = 127
    volume = volume_of(a_series(tmp_path), a_seg(tmp_path, {1: mask}, [a_segment(1)], "FRACTIONAL"))
    np.testing.assert_array_equal(volume.label_map, mask > 127)


def test_a_label_map_segmentation_keeps_its_segments(tmp_path: Path) -> None:
    """Pixels hold the numbers of segments; 0 is the background; numbers that are left out are closed up."""
    mask = a_box() * 5
    mask[2, 0, 0] = 9
    drawing = a_seg(tmp_path, {0: mask}, [a_segment(0), a_segment(5, LIVER), a_segment(9)], "LABELMAP", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.7")
    volume = volume_of(a_series(tmp_path), drawing)
    np.testing.assert_array_equal(volume.label_map, np.select([mask == 5, mask == 9], [1, 2], 0))
    assert volume.label_values == {1: "Liver", 2: "structure-2"}


def test_a_turned_segmentation_is_turned_back(tmp_path: Path) -> None:
    """Frames whose rows and columns run the other way mark the same voxels."""
    mask = a_box()
    mask[2, 4, 4] = 0
    flipped = mask[:, ::-1, ::-1]
    drawing = a_seg(tmp_path, {1: flipped}, [a_segment(1)])
    shared = an_item(
        PlaneOrientationSequence=Sequence([an_item(ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])]),
        PixelMeasuresSequence=Sequence([an_item(PixelSpacing=[0.5, 0.7])]),
    )
    corner = [-10 + 15 * 0.7, -20 + 15 * 0.5]
    groups = [
        an_item(
            PlanePositionSequence=Sequence([an_item(ImagePositionPatient=[*corner, 30.0 + 2 * level])]),
            SegmentIdentificationSequence=Sequence([an_item(ReferencedSegmentNumber=1)]),
        )
        for level in (3, 2, 1)
    ]
    tags = {"SharedFunctionalGroupsSequence": Sequence([shared]), "PerFrameFunctionalGroupsSequence": Sequence(groups)}
    drawing = a_seg(tmp_path, {1: flipped}, [a_segment(1)], **tags)
    np.testing.assert_array_equal(volume_of(a_series(tmp_path), drawing).label_map, mask)


def test_a_picture_has_a_label_map_too(tmp_path: Path) -> None:
    """A segmentation of an X-ray has rows and columns of its own, and names the instance."""
    from tests.curation.dicom_builders import an_xray

    image = an_xray(tmp_path / "x")
    mask = a_box(3)[1:2]
    drawing = a_seg(tmp_path, {1: mask}, [a_segment(1)], ReferencedSeriesSequence=a_reference(instances=(f"{ROOT}.1",)))
    (picture,) = read_series([image, drawing], KEY).images
    np.testing.assert_array_equal(picture.label_map, mask[0])


BAD_SEGMENTATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "another grid": ("OFF_GRID", {"SharedFunctionalGroupsSequence": Sequence([an_item(
        PlaneOrientationSequence=Sequence([an_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=Sequence([an_item(PixelSpacing=[1.0, 1.4])]))])}),
    "no place": ("OFF_GRID", {"SharedFunctionalGroupsSequence": Sequence([an_item()])}),
    "too few groups": ("SEGMENTATION", {"PerFrameFunctionalGroupsSequence": Sequence([an_item()])}),
    "another kind": ("SEGMENTATION", {"SegmentationType": "MAGIC"}),
    "no segment described": ("SEGMENTATION", {"SegmentSequence": Sequence([])}),
    "another segment described": ("SEGMENTATION", {"SegmentSequence": Sequence([a_segment(3)])}),
    "pixels cut off": ("TRUNCATED", {"PixelData": b"\0\0"}),
    "no pixels": ("TRUNCATED", {"PixelData": None}),
    "another patient": ("IDENTITY", {"PatientID": "OTHER"}),
    "other instances": ("NO_REFERENCE", {"ReferencedSeriesSequence": a_reference(instances=("1.2.3.4",))}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SEGMENTATIONS)
def test_a_segmentation_that_does_not_fit_is_refused_and_its_series_kept(tmp_path: Path, name: str) -> None:
    """Nothing is moved, cut or guessed to make it fit."""
    code, tags = BAD_SEGMENTATIONS[name]
    assert code_of(a_series(tmp_path), a_seg(tmp_path, {1: a_box()}, [a_segment(1)], **tags)) == code


@pytest.mark.parametrize("reference", [None, Sequence([*a_reference("1.2.3"), *a_reference("1.2.4")])])
def test_a_label_map_must_name_one_series(tmp_path: Path, reference: Sequence | None) -> None:
    """None or two leave open what it belongs to."""
    with pytest.raises(ImageError, match="NO_REFERENCE"):
        read_header(a_seg(tmp_path, {1: a_box()}, [a_segment(1)], ReferencedSeriesSequence=reference))


def test_a_label_map_without_its_series_is_refused(tmp_path: Path) -> None:
    """Alone, or with a series that is refused itself."""
    drawing = a_seg(tmp_path, {1: a_box()}, [a_segment(1)])
    assert read_header(drawing).series_uid == f"{ROOT}.3"
    assert read_series([drawing], KEY).outcomes[drawing].code == "NO_REFERENCE"
    assert read_series([*a_series(tmp_path, 1), drawing], KEY).outcomes[drawing].code == "NO_REFERENCE"


def test_two_label_maps_of_one_series_are_joined_and_a_copy_is_a_duplicate(tmp_path: Path) -> None:
    """Their structures follow each other; the order of files does not matter."""
    paths = a_series(tmp_path)
    one = a_seg(tmp_path, {1: a_box()}, [a_segment(1, LIVER)])
    other = a_seg(tmp_path, {1: a_box(low=12, high=13)}, [a_segment(1, KIDNEY)], name="a.dcm", SOPInstanceUID=f"{ROOT}.99")
    copy = a_seg(tmp_path, {1: a_box()}, [a_segment(1, LIVER)], name="copy.dcm", SOPInstanceUID=f"{ROOT}.999")
    result = read_series([*paths, copy, other, one], KEY)
    assert result.outcomes[copy].code == "SAME_LABEL_MAP"
    (volume,) = result.images
    assert volume.label_values == {1: "Liver", 2: "Kidney"}
    np.testing.assert_array_equal(volume.label_map, a_box() + 2 * a_box(low=12, high=13))


def test_contours_are_filled_on_their_slices(tmp_path: Path) -> None:
    """A voxel is inside when its centre is; the interpreted type, a code or a listed name says what it is; points enclose nothing."""
    contours = {
        "Wilhelmines Tumor": [a_contour(a_square(3.5, 8.5), level) for level in (1, 2, 3)],
        "Lung_R": [a_contour(a_square(11.5, 13.5), 2)],
        "Quastenflosser": [a_contour(a_square(0.5, 1.5), 0)],
        "Iso": [a_contour([(5, 5)], 2, "POINT")],
    }
    observations = {"Wilhelmines Tumor": an_item(RTROIInterpretedType="GTV"), "Quastenflosser": an_item(RTROIInterpretedType="ORGAN")}
    volume = volume_of(a_series(tmp_path), a_structure_set(tmp_path, contours, observations))
    expected = np.zeros((5, SIZE, SIZE), np.uint8)
    expected[1:4, 4:9, 4:9], expected[2, 12:14, 12:14], expected[0, 1, 1] = 1, 2, 3
    np.testing.assert_array_equal(volume.label_map, expected)
    assert volume.label_values == {1: "GTV", 2: "Right lung", 3: "structure-3"}


def test_a_contour_within_a_contour_cuts_a_hole(tmp_path: Path) -> None:
    """And the image says so."""
    contours = {"ring": [a_contour(a_square(2.5, 12.5), 2), a_contour(a_square(5.5, 9.5), 2)]}
    volume = volume_of(a_series(tmp_path), a_structure_set(tmp_path, contours))
    expected = np.zeros((5, SIZE, SIZE), np.uint8)
    expected[2, 3:13, 3:13] = 1
    expected[2, 6:10, 6:10] = 0
    np.testing.assert_array_equal(volume.label_map, expected)
    assert volume.notes == ("CONTOUR_HOLES",)


@pytest.mark.parametrize(
    ("code", "contours"),
    [
        ("OFF_GRID", [a_contour(a_square(2, 5), 9)]), ("OFF_GRID", [an_item(ContourGeometricType="CLOSED_PLANAR", ContourData=[0, 0, 31, 1, 0, 31, 1, 1, 31])]),
        ("STRUCTURES", [a_contour([(1, 1)], 1, "POINT")]), ("STRUCTURES", [a_contour([(1, 1), (2, 2)], 1)]), ("STRUCTURES", []),
    ],
)  # fmt: skip
def test_contours_that_enclose_nothing_of_the_volume_are_refused(tmp_path: Path, code: str, contours: list[Any]) -> None:
    """Outside of it, between its slices, or no contour at all."""
    assert code_of(a_series(tmp_path), a_structure_set(tmp_path, {"x": contours})) == code


@given(st.lists(st.tuples(st.floats(-4, 20), st.floats(-4, 20)), min_size=3, max_size=9))
def test_a_filled_polygon_holds_the_centres_that_a_ray_finds_inside(points: list[tuple[float, float]]) -> None:
    """Against the textbook's test of each pixel by itself."""
    corners = np.array(points)
    filled = fill_polygon(corners, 12, 14)
    for row in range(12):
        for column in range(14):
            inside = False
            for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                if (y1 > row) != (y2 > row) and column >= x1 + (row - y1) * (x2 - x1) / (y2 - y1):
                    inside = not inside
            if not np.isclose(corners[:, 1], row).any():  # rows through a corner go by a convention of their own
                assert filled[row, column] == inside


def test_more_than_255_structures_need_16_bits() -> None:
    """No value is lost."""
    label_map, values, overlaps = paint([Structure(None, np.array([number])) for number in range(300)], (20, 15))
    assert (label_map.dtype, label_map.max(), values[300], overlaps) == (np.uint16, 300, "structure-300", False)


def test_a_dose_beside_a_series_is_routed(tmp_path: Path) -> None:
    """It has pixels, but is no image."""
    path = a_dicom(tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.481.2", Modality="RTDOSE")
    outcome = read_series([path], KEY).outcomes[path]
    assert (outcome.outcome, outcome.code) == ("skipped", "RT_DOSE")


def test_nobody_has_an_id_and_the_study_still_says_whose_it_is(tmp_path: Path) -> None:
    """A structure set of a study of its own, without a patient id, as its series has none."""
    drawing = a_structure_set(tmp_path, {"x": [a_contour(a_square(2, 5), 2)]}, PatientID=None, StudyInstanceUID="1.2.3.4.5")
    assert volume_of(a_series(tmp_path, PatientID=None), drawing).label_map is not None


@pytest.mark.parametrize(("named", "with_map"), [((f"{ROOT}.1.0",), [True, False]), ((), [True, True])])
def test_of_several_volumes_at_one_place_those_that_are_named_get_the_label_map(tmp_path: Path, named: tuple[str, ...], with_map: list[bool]) -> None:
    """Two echoes: the SEG names a slice of the first; without a name it belongs to both."""
    mr = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "RescaleIntercept": 0}
    paths = a_series(tmp_path / "first", EchoTime=10, **mr)
    changes = {n: {"SOPInstanceUID": f"{ROOT}.2.{n}", "InstanceNumber": 20 - n, "PixelData": a_pattern(50 + n).tobytes()} for n in range(5)}
    paths += a_series(tmp_path / "second", 5, changes, EchoTime=80, **mr)
    result = read_series([*paths, a_seg(tmp_path, {1: a_box()}, [a_segment(1)], ReferencedSeriesSequence=a_reference(instances=named))], KEY)
    echoes = sorted(result.images, key=lambda image: str(image.fields["attributes"]))
    assert [image.label_map is not None for image in echoes] == with_map
