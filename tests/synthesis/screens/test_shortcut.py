"""The source screen finds planted artefacts, and finds nothing between patients of one source."""

from __future__ import annotations

import numpy as np
import pytest

from curation.pixels import Pixels
from synthesis.screens.artefacts import border_step, checkerboard, compare_artefacts, radial_power, residue
from synthesis.screens.planting import plant_artefacts
from synthesis.screens.rates import count, pool
from synthesis.screens.shortcut import auc_of, tell_apart
from synthesis.screens.source import Sample, judge_source, measure_source_power
from synthesis.screens.swap import source_of, swap_source
from tests.synthesis.screens.builders import GROUPS, LABELS, OTHERS, TRAIN, UNSEEN, features_of

REAL, OTHER = TRAIN[:60], UNSEEN[:60]
MARKED = plant_artefacts(OTHER)


def a_sample(images: list[Pixels], groups: list[str]) -> Sample:
    """Return images of one class with their embeddings."""
    return Sample(images, features_of(images), groups)


@pytest.mark.parametrize(("kind", "seen"), [("blur", "residue"), ("checkerboard", "checkerboard"), ("frame", "border")])
def test_a_planted_artefact_is_found_and_named(kind: str, seen: str) -> None:
    """By the number that is there for it."""
    told = judge_source("disc", a_sample(REAL, GROUPS[:60]), a_sample(MARKED[kind], OTHERS[:60]), None, None, 0.9)
    assert told.is_told_apart
    assert seen in told.reasons


def test_patients_of_one_source_are_not_told_apart() -> None:
    """Real images offered as synthetic ones: neither probe nor artefact says anything."""
    told = judge_source("disc", a_sample(REAL, GROUPS[:60]), a_sample(OTHER, OTHERS[:60]), a_sample(OTHER, OTHERS[:60]), None, 0.9)
    assert not told.is_told_apart
    assert told.probe is not None
    assert told.probe.low <= 0.5 + 0.1 <= told.probe.high + 0.2
    assert told.chance == told.probe


def test_the_ratios_say_which_way_it_is_wrong() -> None:
    """Noise is above 1 in the finest band, blur below."""
    noisy, blurred = (compare_artefacts(REAL, MARKED[kind], GROUPS[:60]) for kind in ("noise", "blur"))
    assert noisy.residue_ratio > 1.05 > 0.95 > blurred.residue_ratio
    assert noisy.spectrum_ratio[-1] > 1 > blurred.spectrum_ratio[-1]
    assert len(noisy.spectrum_ratio) == 8


def test_power_is_counted_on_halves_of_the_patients() -> None:
    """Most planted artefacts are found, and untouched halves are not told apart; without a planted image nobody knows."""
    real = a_sample(REAL[:40], GROUPS[:40])
    marked = {kind: a_sample(images, GROUPS[:40]) for kind, images in plant_artefacts(REAL[:40]).items()}
    power = measure_source_power("disc", real, marked, 0.9)
    assert power is not None
    assert power.by_kind["frame"].share == 1.0
    assert power.false_alarms.found == 0
    assert power.all_kinds.of == 15
    assert measure_source_power("disc", real, {}, 0.9) is None


def test_the_probe_holds_groups_together() -> None:
    """Ten noisy versions of each of five images are told by heart when they are taken for fifty patients, and not when they are five."""
    random = np.random.default_rng(0)
    first, second = (np.repeat(random.normal(size=(5, 64)), 10, axis=0).astype(np.float32) for _ in range(2))
    names = [f"{number}" for number in range(50)]
    leaking = tell_apart(first, second, names)
    held = tell_apart(first, second, [f"a{number // 10}" for number in range(50)], [f"b{number // 10}" for number in range(50)])
    assert leaking is not None
    assert held is not None
    assert (leaking.value, leaking.low) == (1.0, 1.0)
    assert held.value < 0.9


def test_too_few_groups_are_not_judged() -> None:
    """Three patients cannot be folded."""
    assert tell_apart(features_of(REAL[:3]), features_of(OTHER), GROUPS[:3]) is None


def test_the_area_has_its_worked_value() -> None:
    """Scores 1 to 4, every second one synthetic: 3 of 4 pairs in order."""
    found = auc_of(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True]), np.array(list("abcd")))
    assert found.value == 0.75
    assert found.low <= 0.75 <= found.high


def test_wilson_has_its_worked_value() -> None:
    """8 of 10, and nothing of nothing is unknown."""
    found = count(8, 10)
    assert found is not None
    assert (found.share, found.low, found.high) == (0.8, 0.4902, 0.9433)
    assert count(0, 0) is None
    assert pool([found, None, count(2, 10)]) == count(10, 20)


def test_an_even_image_has_no_artefact() -> None:
    """Neither residue, nor a step at its border, nor power."""
    even = np.full((32, 32), 90, np.uint8)
    assert residue(even) == 0
    assert border_step(even) == pytest.approx(0)
    assert checkerboard(even) == pytest.approx(0)
    assert radial_power(even) == pytest.approx(np.zeros(8))


def a_batch(shift: float, is_balanced: bool) -> float:
    """Return the swap effect of a batch whose source moves all features one way; balanced: the common class is drawn too, as often as among real images."""
    random = np.random.default_rng(1)
    labels = np.array(["common"] * 120 + ["rare"] * 20)
    centre = np.where(labels == "rare", 1.0, -1.0)[:, None] * np.eye(8)[0]
    train = source_of((centre + random.normal(size=(140, 8))).astype(np.float32), labels.tolist(), [str(number) for number in range(140)])
    unseen = source_of((-np.eye(8)[0] + random.normal(size=(60, 8))).astype(np.float32), ["common"] * 60, [f"u{number}" for number in range(60)])
    made = ["rare"] * 60 + ["common"] * 360 * is_balanced
    place = np.where(np.array(made) == "rare", 1.0, -1.0)[:, None] * np.eye(8)[0]
    drawn = (place + shift * np.eye(8)[1] + random.normal(size=(len(made), 8))).astype(np.float32)
    swap = swap_source(train, unseen, source_of(drawn, made, [f"s{number}" for number in range(len(made))]), "rare")
    assert swap is not None
    assert swap.is_shortcut == (swap.low > 0.05)
    return swap.effect


def test_a_source_that_means_the_class_moves_the_answer_and_balance_cures_it() -> None:
    """Planted: only the rare class is synthetic and shifted. Counter-balanced, the same shift says nothing; without a shift there is nothing to find."""
    assert a_batch(4.0, is_balanced=False) > 0.3
    assert a_batch(4.0, is_balanced=True) < 0.1
    assert abs(a_batch(0.0, is_balanced=False)) < 0.1


def test_there_is_no_swap_without_another_class() -> None:
    """Nobody can be called by mistake."""
    source = source_of(features_of(TRAIN), LABELS, GROUPS)
    assert swap_source(source, source_of(features_of(OTHER), ["disc"] * 60, OTHERS[:60]), source, "disc") is None
