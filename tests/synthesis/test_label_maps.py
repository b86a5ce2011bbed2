"""Masks from label maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.pixels import encode_nifti, encode_png
from curation.project import Project
from curation.records import to_frame
from curation.shards import write_own_shard
from synthesis.drawing import give_parents
from synthesis.engines.engine import Wanted
from synthesis.label_maps import read_masks
from tests.builders import a_record, an_id


def test_label_maps_become_masks_of_the_middle_square(tmp_path: Path) -> None:
    """Any label counts; an image without a map has an empty mask, and a set without maps has none; a parent gets its own as it is stored."""
    project, labels = Project(tmp_path), np.zeros((1, 32, 48), np.uint8)
    labels[0, 8:24, 16:32], labels[0, 8:24, :8] = 3, 1
    content = bytes(encode_nifti(labels, np.eye(4)))
    row = {"image_id": an_id(0), "suffix": ".png", "label_map_size_bytes": len(content)}
    image = np.full((32, 48), 7, np.uint8)
    place = write_own_shard(row, encode_png(image) + content, project.working_shards)
    facts = {"label_map_sha256": "0" * 64, "label_map_values": "{}", "label_map_size_bytes": len(content)}
    rows = to_frame([a_record(image_id=an_id(0), **place, **facts), a_record(image_id=an_id(1))])
    mapped = rows["label_map_offset"].is_not_null()
    masks = read_masks(project, rows, 16)
    assert masks is not None
    assert masks.shape == (2, 16, 16)
    assert masks[mapped.to_numpy()][0, 4:12, 4:12].all()
    assert masks.sum() == 64
    assert read_masks(project, rows.filter(~mapped), 16) is None
    (wish,) = give_parents(project, rows.filter(mapped), [Wanted({"label": "disc"}, 0)], [an_id(0)])
    assert wish.parent is not None
    assert (wish.parent == image).all()
    assert wish.mask is not None
    assert (wish.mask == (labels[0, :, 8:40] != 0)).all()
