"""Geometry of slices, against stacks whose place is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.dicom_geometry import PlaneGeometry, levels, plane_geometry, stack_geometry
from curation.errors import ImageError


def a_stack(angles: tuple[float, float], gap_mm: float, count: int, noise_mm: float = 0.0) -> list[PlaneGeometry]:
    """Return parallel planes along a normal that is turned by two angles (radians)."""
    a, b = angles
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    axes = turn_z @ turn_x
    orientation = np.concatenate([axes[:, 0], axes[:, 1]])
    shake = np.random.default_rng(0).uniform(-noise_mm, noise_mm, count)
    return [PlaneGeometry(np.array([5.0, 6.0, 7.0]) + axes[:, 2] * (gap_mm * i + shake[i]), orientation, (0.5, 0.8)) for i in range(count)]


@given(st.tuples(st.floats(-1.5, 1.5), st.floats(-3, 3)), st.floats(0.3, 8), st.integers(3, 20), st.randoms())
def test_any_order_of_an_oblique_stack_gives_the_same_affine(angles: tuple[float, float], gap_mm: float, count: int, random: object) -> None:
    """The affine takes slice numbers to the places of the planes, in RAS."""
    planes = a_stack(angles, gap_mm, count)
    shuffled = planes[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    stack = stack_geometry(shuffled)
    ordered = [shuffled[index] for index in stack.order]
    for number, plane in enumerate(ordered):
        np.testing.assert_allclose((stack.affine @ [0, 0, number, 1])[:3], plane.position * [-1, -1, 1], atol=1e-6)
    assert stack.spacing_mm == pytest.approx((gap_mm, 0.5, 0.8))
    assert np.linalg.det(stack.affine[:3, :3]) == pytest.approx(gap_mm * 0.5 * 0.8)  # right-handed, at right angles
    np.testing.assert_allclose(stack.affine, stack_geometry(planes).affine, atol=1e-6)


def test_rounding_is_tolerated_and_a_real_gap_is_not() -> None:
    """Half a percent of the gap is noise; three percent is uneven; twice the gap is a missing slice."""
    assert stack_geometry(a_stack((0.2, 0.3), 4.0, 9, noise_mm=0.01)).spacing_mm[0] == pytest.approx(4.0, abs=0.01)
    planes = a_stack((0.2, 0.3), 4.0, 9)
    with pytest.raises(ImageError, match="MISSING_SLICES: 1 "):
        stack_geometry(planes[:4] + planes[5:])
    with pytest.raises(ImageError, match="UNEVEN_SPACING"):
        stack_geometry([*planes[:-1], planes[-1]._replace(position=planes[-1].position + (planes[1].position - planes[0].position) * 0.03)])


def test_a_slow_drift_of_the_distance_is_uneven() -> None:
    """Each gap is within one percent of its neighbour's, but half way the slices lie where the next ones should."""
    places = np.concatenate([np.arange(200) * 0.992, 199 * 0.992 + 1.008 * np.arange(1, 200)])
    planes = [plane._replace(position=np.array([0.0, 0.0, place])) for plane, place in zip(a_stack((0, 0), 1.0, 399), places, strict=True)]
    with pytest.raises(ImageError, match="UNEVEN_SPACING"):
        stack_geometry(planes)


def test_planes_at_one_place_share_a_level() -> None:
    """Levels number the places along the normal."""
    planes = a_stack((0, 0), 2.0, 3)
    np.testing.assert_array_equal(levels([planes[2], planes[0], planes[1], planes[2]]), [2, 0, 1, 2])


@pytest.mark.parametrize("orientation", [[1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 0, float("nan"), 0], [1, 0, 0]])
def test_directions_that_cannot_be_are_refused(orientation: list[float]) -> None:
    """Parallel, too long, no number, too few."""
    with pytest.raises(ImageError, match="ORIENTATION"):
        plane_geometry([0, 0, 0], orientation, [1, 1])
