"""Label maps stay on the grid of their images."""

import numpy as np
import pytest

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.harmonize.label_maps import follow_image, follow_volume
from curation.harmonize.recipes import harmonize
from curation.recipe import CtSettings, HarmonizeSettings, MrSettings


def an_acquired(modality: str, spacing_mm: tuple[float, float, float]) -> Acquired:
    """Return a volume with a bright box, oriented LPS, and a label map that is 7 in the box."""
    label_map = np.zeros((10, 16, 20), np.uint8)
    label_map[2:6, 4:8, 10:16] = 7
    pixels = np.where(label_map > 0, 500.0, np.random.default_rng(0).normal(-1000, 1, label_map.shape)).astype(np.float32)
    pixels[label_map > 0] += np.arange((label_map > 0).sum())
    affine = np.diag([-spacing_mm[2], -spacing_mm[1], spacing_mm[0], 1.0])
    affine[:3, 3] = 30, 40, -50
    return Acquired(pixels, modality, "p", spacing_mm, affine, {}, label_map, {7: "liver"})


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (4.0, 0.5, 0.5), (1.5, 0.7, 0.7)])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_label_map_lies_on_its_structure_after_harmonization(modality: str, spacing_mm: tuple[float, float, float]) -> None:
    """Also when the volume is resampled or turned round; only values that were there come out."""
    settings = HarmonizeSettings(ct=CtSettings(spacing_mm=(1, 1, 1)), mr=MrSettings(spacing_mm=(1, 1, 1)))
    made = harmonize(an_acquired(modality, spacing_mm), settings)
    assert made.label_map is not None
    assert made.label_map.shape == made.pixels.shape
    assert set(np.unique(made.label_map)) == {0, 7}
    threshold = -250 if modality == "CT" else (made.pixels.max() + made.pixels.min()) / 2
    bright = made.pixels > threshold
    both = (bright & (made.label_map > 0)).sum()
    assert 2 * both / (bright.sum() + (made.label_map > 0).sum()) > (0.999 if min(spacing_mm) == 1 else 0.85)


def test_a_rotated_grid_is_refused() -> None:
    """A label map cannot follow an image that was rotated; the worked shift of half a voxel takes the nearest."""
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(ImageError, match="LABEL_MAP"):
        follow_volume(np.zeros((3, 3, 3), np.uint8), np.eye(4), turned, (3, 3, 3))
    doubled = np.diag([0.5, 1, 1, 1.0])
    doubled[0, 3] = -0.25
    line = np.array([[[1, 2, 3]]], np.uint8)
    np.testing.assert_array_equal(follow_volume(line, np.eye(4), doubled, (1, 1, 6)), [[[1, 1, 2, 2, 3, 3]]])


def test_a_flat_label_map_follows_its_picture() -> None:
    """Rows and columns are taken by nearest neighbour."""
    small = follow_image(np.array([[1, 2], [3, 4]], np.uint8), (4, 4))
    np.testing.assert_array_equal(small, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    np.testing.assert_array_equal(follow_image(small, (2, 2)), [[1, 2], [3, 4]])
