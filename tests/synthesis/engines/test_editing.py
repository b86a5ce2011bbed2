"""Changing a real image by what the wanted class would change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from curation.errors import UsageError
from synthesis.conditions import Vocabulary
from synthesis.engines.editing import Denoiser, apply_change, edit_parents, open_denoiser
from synthesis.engines.engine import Condition, Wanted
from synthesis.engines.masks import random_ellipse
from synthesis.generator import Trained
from synthesis.network import build_network
from synthesis.recipe import EditSettings, SamplingSettings
from synthesis.training_set import gray_range, shrink_square
from tests.synthesis.builders import a_phantom, tiny_generator

SAMPLING = SamplingSettings(steps=5, guidance_scale=1.5)
LABELS = Vocabulary({"label": ("disc", "stripes")})
LEVELS = torch.tensor([0.1, -0.1, 0.0])


def knows_levels(noisy: Any, timestep: Any, codes: Any) -> Any:
    """Return v of a network that has learned one thing: discs are 0.1 everywhere, stripes -0.1, and anything else 0."""
    from diffusers import DDPMScheduler

    from synthesis.network import SCHEDULE

    power = DDPMScheduler(**SCHEDULE).alphas_cumprod[timestep]
    clean = LEVELS[codes[:, 0]][:, None, None, None].expand_as(noisy)
    noise = (noisy - power.sqrt() * clean) / (1 - power).sqrt()
    return power.sqrt() * noise - (1 - power).sqrt() * clean


def edit(wanted: list[Wanted], shown: list[Condition], **changes: Any) -> list[Any]:
    """Return edits by that network at 16 px."""
    return edit_parents(Denoiser(knows_levels, LABELS, 3, 16), wanted, shown, EditSettings(**changes), SAMPLING)


def wish(seed: int, label: str = "disc", size_px: int = 48, **changes: Any) -> Wanted:
    """Return a wish whose parent shows stripes."""
    return Wanted({"label": label}, seed, a_phantom("stripes", seed, size_px), f"{seed:032x}", **changes)


def test_an_edit_moves_the_mask_towards_the_wanted_class_and_leaves_the_rest() -> None:
    """Deep in the mask every pixel moves by as much as the classes differ, so its texture stays; outside the mask no pixel moves."""
    mask = random_ellipse(48, 1)
    made = wish(1, mask=mask)
    drawn = edit([made], [{"label": "stripes"}], strength=0.8, rim_px=1.0)[0]
    assert made.parent is not None
    assert (drawn.shape, drawn.dtype) == ((48, 48, 3), np.uint8)
    change, deep = drawn.astype(int) - made.parent, ndimage.distance_transform_edt(mask) > 6
    assert (change[mask == 0] == 0).all()
    assert change[deep].min() > 15
    assert np.ptp(change[deep]) <= 1


def noisy_generator() -> Trained:
    """Return a tiny generator with random weights everywhere; fresh networks begin with zeros in places, which would hide differences."""
    settings = tiny_generator()
    network, random = build_network(3, LABELS.rows, settings).eval(), torch.Generator().manual_seed(3)
    network.load_state_dict({name: torch.randn(value.shape, generator=random) * 0.4 for name, value in network.state_dict().items()})
    return Trained(network, LABELS, settings, {"channels": 3}, {})


def test_an_edit_depends_on_its_wish_alone() -> None:
    """The same wishes give the same pixels however many are asked for at once; another seed gives another image."""
    denoiser, wishes, shown = open_denoiser(noisy_generator()), [wish(seed) for seed in range(6)], [{"label": "stripes"}] * 6

    def edit_at(batch: int) -> list[Any]:
        parts = [(wishes[start : start + batch], shown[:batch]) for start in range(0, 6, batch)]
        return [made for some, own in parts for made in edit_parents(denoiser, some, own, EditSettings(mask="whole"), SAMPLING)]

    whole = edit_at(6)
    assert all((one == two).all() for size in (1, 3) for one, two in zip(whole, edit_at(size), strict=True))
    assert all((made != wish(seed).parent).any() for seed, made in enumerate(whole))


def test_smoothing_keeps_grain_out_of_an_edit() -> None:
    """A change that is noise only leaves a real texture nearly as it was; without smoothing it would not."""
    change = np.random.default_rng(0).normal(0, 20, (16, 16, 3)).astype(np.float32)
    parent, mask = np.full((32, 32, 3), 128, np.uint8), np.ones((32, 32), np.uint8)
    rough, smooth = (apply_change(parent, change, mask, EditSettings(lowpass_px=width)).std() for width in (0.0, 2.0))
    assert smooth < 0.3 * rough


def test_a_gray_parent_stays_gray() -> None:
    """One channel in, one channel out, also from a larger parent that is not square."""
    parent = a_phantom("stripes", 2, 64, channels=1)[:40]
    gray = Denoiser(knows_levels, LABELS, 1, 16)
    made = edit_parents(gray, [Wanted({"label": "disc"}, 0, parent)], [{"label": "stripes"}], EditSettings(), SAMPLING)
    assert made[0].shape == (40, 64)
    assert (made[0][:, :12] == parent[:, :12]).all()


def test_a_change_is_stretched_to_sixteen_bits_and_kept_to_the_middle_square() -> None:
    """Ten gray levels are 10/255 of the range that the network saw as black to white; values of the rest stay to the bit."""
    parent = np.random.default_rng(0).integers(1000, 5000, (24, 40)).astype(np.uint16)
    low, high = gray_range(shrink_square(parent, 8))
    mask = random_ellipse(24, 1)
    made = apply_change(parent, np.full((8, 8, 1), 10, np.float32), mask, EditSettings(rim_px=0.0))
    inside = np.zeros(parent.shape, bool)
    inside[:, 8:32] = mask == 1
    assert (made[~inside] == parent[~inside]).all()
    assert np.abs(made[inside].astype(float) - parent[inside] - 10 * (high - low) / 255).max() <= 0.5
    whole = apply_change(parent, np.full((8, 8, 1), -255, np.float32), np.ones((24, 24), np.uint8), EditSettings())
    assert (made.dtype, whole.min(), (whole[:, :8] == parent[:, :8]).all()) == (np.uint16, 0, True)


def test_wrong_parents_are_refused() -> None:
    """No parent, a parent that shows the wanted class already, fewer conditions than wishes."""
    with pytest.raises(UsageError, match="needs a parent"):
        edit([Wanted({"label": "disc"}, 0)], [{"label": "stripes"}])
    with pytest.raises(UsageError, match="already"):
        edit([wish(0, label="stripes")], [{"label": "stripes"}])
    with pytest.raises(UsageError, match="give one for each"):
        edit([wish(0), wish(1)], [{"label": "stripes"}])
