"""Every figure has its worked value, moves the right way, and stands beside that of held-out real images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthesis.fidelity import Side, frechet_distance, kernel_distance, measure_fidelity, neighbourhoods
from tests.synthesis.builders import a_phantom


def a_side(features: Any, label: str = "disc", groups: list[str] | None = None) -> Side:
    """Return images of one class with these `(N, F)` features, each of its own group unless said otherwise."""
    features = np.asarray(features, np.float32)
    number = len(features)
    return Side([a_phantom("disc", n) for n in range(number)], features, [label] * number, groups or [f"{id(features)}-{n}" for n in range(number)])


def normal(number: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> Any:
    """Return `(number, 6)` normal features."""
    return (np.random.default_rng(seed).normal(0, spread, (number, 6)) + shift).astype(np.float32)


def test_the_worked_values_hold() -> None:
    """FID 1 and 3, KID 9.5, precision 1, recall 1, density 1.5, coverage 1."""
    one = np.array([[0], [2]], np.float32)
    assert frechet_distance(one, one + 1) == pytest.approx(1.0)
    assert frechet_distance(one, 2 * one) == pytest.approx(3.0)
    assert kernel_distance(a_side([[0], [1]]), a_side([[1], [2]]))[0] == pytest.approx(9.5)
    near = neighbourhoods(np.array([[0], [1], [5]], np.float32), np.array([[0.5], [9]], np.float32), neighbours=1)
    assert near == pytest.approx((1.0, 1.0, 1.5, 1.0))


def test_the_frechet_distance_is_that_of_the_matrix_root() -> None:
    """More images than features or fewer: the same as the textbook's formula."""
    from scipy.linalg import sqrtm

    for number in (5, 40):
        one, other = normal(number, 0), normal(number, 1, 0.5, 2.0)
        shared = sqrtm(np.cov(one.T) @ np.cov(other.T) + 1e-12 * np.eye(6))
        wanted = np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(np.cov(one.T) + np.cov(other.T) - 2 * shared.real)
        assert frechet_distance(one, other) == pytest.approx(float(wanted), abs=2e-3)


def test_equal_distributions_give_no_kernel_distance_however_few_images() -> None:
    """On average; a shift is found; copies within a patient do not make it look nearer."""
    values = [kernel_distance(a_side(normal(10, 2 * seed)), a_side(normal(10, 2 * seed + 1)))[0] for seed in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    value, low, high = kernel_distance(a_side(normal(60, 0)), a_side(normal(60, 1, 1.0)))
    assert 0 < low < value < high
    assert np.isnan(kernel_distance(a_side(normal(4, 0), groups=["a"] * 4), a_side(normal(4, 1)))[0])


def test_a_worse_set_moves_every_figure_the_right_way() -> None:
    """Collapsed: less recall, coverage; far away: no precision, density; both: larger distances."""
    train, held_out = a_side(normal(80, 0)), a_side(normal(40, 1))
    good, far, collapsed = (
        measure_fidelity(train, a_side(features), held_out)["disc"].synthetic for features in (normal(40, 2), normal(40, 2, 6.0), normal(40, 2, 0.0, 0.2))
    )
    for bad in (far, collapsed):
        assert bad.fid is not None
        assert good.fid is not None
        assert bad.kid is not None
        assert good.kid is not None
        assert bad.fid > good.fid
        assert bad.kid > good.kid
    assert far.precision == far.density == 0.0
    assert collapsed.precision == 1.0
    assert collapsed.recall is not None
    assert good.recall is not None
    assert collapsed.recall < 0.5 < good.recall


def test_held_out_real_images_are_measured_on_as_many_images() -> None:
    """Real images of other patients get about the figures of a perfect generator; both come from 20 images, though there are 60 synthetic ones."""
    train, held_out = a_side(normal(80, 0)), a_side(normal(20, 1))
    found = measure_fidelity(train, a_side(normal(60, 2)), held_out)["disc"]
    assert (found.real_images, found.synthetic_images, found.held_out_images, found.compared) == (80, 60, 20, 20)
    assert found.synthetic.fid == pytest.approx(found.held_out.fid, rel=0.5)
    assert "From 20 images against 80 in 6 dimensions FID is mostly bias" in found.caution
    alone = measure_fidelity(train, a_side(normal(200, 2)), a_side(normal(2, 1)))["disc"]
    assert alone.synthetic.fid is not None
    assert found.held_out.fid is not None
    assert alone.synthetic.fid < found.held_out.fid
    assert "too few held-out" in alone.caution
    assert alone.held_out.fid is None


def test_too_few_images_have_no_figures_but_their_variety() -> None:
    """And the caution says so; a class is measured against its own real images only."""
    train = a_side(normal(18, 0))._replace(labels=["disc"] * 9 + ["stripes"] * 9)
    found = measure_fidelity(train, a_side(normal(3, 2)), a_side(normal(0, 3)))
    assert list(found) == ["disc"]
    assert (found["disc"].real_images, found["disc"].synthetic.fid) == (9, None)
    assert found["disc"].synthetic.ms_ssim is not None
    assert "too few" in found["disc"].caution
