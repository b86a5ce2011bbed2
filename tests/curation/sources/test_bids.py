"""What names of NIfTI files say, and which files are read together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.bids import describe_name, find_units, is_label_map, modality_of, structure_of, subject_of

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("label_map", "image"),
    [
        ("derivatives/labels/sub-1/ct/sub-1_ct_seg-manual.nii.gz", "sub-1/ct/sub-1_ct.nii.gz"),
        ("set/derivatives/labels/sub-1/ct/sub-1_ct_seg-manual.nii.gz", "set/sub-1/ct/sub-1_ct.nii.gz"),
        ("sub-1/anat/sub-1_T1w_label-GM_mask.nii.gz", "sub-1/anat/sub-1_T1w.nii.gz"),
        ("derivatives/x/sub-1/anat/sub-1_space-orig_label-WM_dseg.nii.gz", "sub-1/anat/sub-1_T1w.nii.gz"),
        ("derivatives/f/sub-1/anat/sub-1_space-MNI_desc-brain_mask.nii.gz", "derivatives/f/sub-1/anat/sub-1_space-MNI_desc-preproc_T1w.nii.gz"),
        ("labelsTr/spleen_2.nii.gz", "imagesTr/spleen_2_0000.nii.gz"),
        ("labels/case7.nii", "images/case7.nii.gz"),
        ("case7-label.nii.gz", "case7.nii"),
        ("case7_roi.nii", "case7.nii"),
        ("case7_Segmentation.nii", "case7.hdr"),
        ("seg_case7.nii", "case7.nii"),
    ],
)
def test_a_label_map_finds_its_image(label_map: str, image: str) -> None:
    """By BIDS derivatives, by folders of the usual data sets, or by the same name with a word more."""
    assert find_units([label_map, image, "other/sub-2_T1w.nii.gz", "case8.nii"])[label_map] == image


@pytest.mark.parametrize(
    "paths",
    [
        ["derivatives/x/sub-1/anat/sub-1_dseg.nii.gz", "sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_T2w.nii.gz"],
        ["case7_seg.nii", "case7.nii", "case7.nii.gz"],
        ["derivatives/x/sub-1/anat/sub-1_dseg.nii.gz", "sub-2/anat/sub-2_T1w.nii.gz"],
        ["a/case7_seg.nii", "b/case7.nii"],
        ["Case7_seg.nii", "case7.nii"],
        ["mask.nii", "case7.nii"],
    ],
)
def test_a_label_map_that_fits_none_or_several_stays_alone(paths: list[str]) -> None:
    """Nothing is guessed; names that differ in case are different."""
    assert find_units(paths) == {}


@given(
    st.permutations(["a.hdr", "a.img", "a_seg.nii", "sub-1_T1w.nii", "sub-1_dseg.nii.gz", "sub-1_T1w.json", "sub-2_dwi.nii", "sub-2_dwi.bval", "b/a_mask.nii"])
)
def test_the_order_of_the_files_does_not_matter(paths: list[str]) -> None:
    """Folders are walked in no fixed order."""
    beside = {
        "a.img": "a.hdr",
        "a_seg.nii": "a.hdr",
        "sub-1_dseg.nii.gz": "sub-1_T1w.nii",
        "sub-1_T1w.json": "sub-1_T1w.nii",
        "sub-2_dwi.bval": "sub-2_dwi.nii",
    }
    assert find_units(paths) == beside


def test_voxels_and_b_values_lie_beside_their_image() -> None:
    """A pair of header and voxels is one image, packed or not."""
    found = find_units(["a.hdr", "a.img", "b.hdr.gz", "b.img.gz", "c.img", "d.nii.gz", "d.bval", "d.bvec", "e.bval", "f.nii", "f.img"])
    assert found == {"a.img": "a.hdr", "b.img.gz": "b.hdr.gz", "d.bval": "d.nii.gz"}


def test_names_of_images_are_no_label_maps() -> None:
    """A word inside another word does not count."""
    assert not is_label_map("sub-segura/anat/sub-segura_T1w.nii.gz")
    assert not is_label_map("unmasked/lesion_001.nii")
    assert is_label_map("derivatives/labels/sub-01/x.nii.gz")
    assert is_label_map("sub-01_seg-manual.nii")
    assert is_label_map("labelsTr/liver_001.nii.gz")


def test_subject_session_and_suffix_come_from_the_name() -> None:
    """A session that is not a number or plain word could say who or when, so it becomes a pseudonym."""
    assert subject_of("sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz") == "sub-01"
    assert subject_of("sub-01/anat/t1.nii") == "sub-01"
    assert subject_of("anat/subject.nii") is None
    assert describe_name("sub-01_ses-02_T1w.nii.gz", KEY) == {"suffix": "T1w", "session": "02"}
    assert describe_name("sub-01_ses-pre_JaneDoe.nii.gz", KEY) == {"session": "pre"}
    for session in ("20190131", "JaneDoe", "Smith1"):
        said = describe_name(f"sub-01_ses-{session}_bold.nii.gz", KEY)
        assert said["session"].startswith("session-")
        assert session not in str(said)
    assert [modality_of(f"sub-1_{suffix}.nii.gz") for suffix in ("T2w", "ct", "pet", "scan")] == ["MR", "CT", "PT", None]
    assert modality_of("T1w.nii.gz") is None


def test_structures_have_names_from_a_list_only() -> None:
    """Whatever else stands in a name is not copied."""
    assert structure_of("x/sub-1_label-GM_mask.nii.gz") == "gray matter"
    assert structure_of("x/sub-1_desc-brain_mask.nii.gz") == "brain"
    assert structure_of("x/sub-1_label-DrSmith_mask.nii.gz") is None
