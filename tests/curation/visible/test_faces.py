"""Which volumes could show a face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from curation.visible.faces import has_face_risk, is_thin_head_slice, looks_like_head
from tests.curation.visible.text_builders import a_head


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_head_is_known_by_its_outline(modality: str) -> None:
    """Also when no header names the part, and however the voxels are ordered."""
    head = a_head(3.0, modality=modality)
    assert has_face_risk(head)
    assert head.affine is not None
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[0, 3], flip[2, 3] = 3.0 * (head.pixels.shape[2] - 1), 3.0 * (head.pixels.shape[0] - 1)
    turned = replace(head, pixels=np.ascontiguousarray(head.pixels[::-1, :, ::-1]), affine=head.affine @ np.linalg.inv(flip / 3.0 * 3.0))
    assert looks_like_head(turned)


def test_thick_slices_and_small_volumes_show_no_face() -> None:
    """Steps of 4 mm, or a slab of 60 mm."""
    assert not has_face_risk(a_head(4.0, body_part="HEAD"))
    head = a_head(3.0, body_part="HEAD")
    assert not has_face_risk(replace(head, pixels=head.pixels[:20]))


def test_a_brain_without_its_skull_is_no_face() -> None:
    """It ends where the face would begin. When the header says HEAD, that is believed all the same."""
    brain = a_head(3.0, with_neck=False)
    assert not has_face_risk(brain)
    assert has_face_risk(replace(brain, fields={"body_part": "HEAD"}))


def test_other_parts_of_the_body_are_no_heads() -> None:
    """A header that names them is believed; without one, a trunk is too wide, and a knee goes on above."""
    assert not has_face_risk(a_head(3.0, body_part="KNEE"))
    trunk = a_head(3.0)
    trunk.pixels[:, 5:-5, 2:-2] = 300.0
    assert not has_face_risk(replace(trunk, spacing_mm=(3.0, 3.0, 3.0), affine=np.diag([5.0, 3.0, 3.0, 1.0])))
    leg = np.full((60, 60, 60), 2.0, np.float32)
    leg[:, 10:50, 10:50] = 300.0
    assert not has_face_risk(replace(trunk, pixels=leg))


def a_slice(**tags: object) -> Dataset:
    """Return the header of a head slice of 1 mm."""
    dataset = Dataset()
    values = {"Modality": "MR", "BodyPartExamined": "HEAD", "SliceThickness": 1.0, "Rows": 256, "Columns": 256, "PixelSpacing": [1.0, 1.0], **tags}
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("tags", "is_head"),
    [
        ({}, True),
        ({"BodyPartExamined": "", "SeriesDescription": "t1 mprage sag"}, True),
        ({"BodyPartExamined": "CHEST", "SeriesDescription": "head first"}, False),
        ({"SliceThickness": 5.0}, False),
        ({"SliceThickness": 5.0, "SpacingBetweenSlices": 2.5}, True),
        ({"SliceThickness": None}, True),
        ({"Modality": "CR"}, False),
        ({"PixelSpacing": [0.3, 0.3]}, False),
    ],
)
def test_a_file_alone_is_judged_by_its_header(tags: dict[str, object], is_head: bool) -> None:
    """`curaloop deidentify` sees one slice after the other."""
    assert is_thin_head_slice(a_slice(**tags)) is is_head
