"""The model learns what simulated experts reject, knows how sure it may be, and says so when it has learned nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthesis.reward import Anchor, Judged, calibration_error, fit_anchor, fit_reward
from tests.synthesis.builders import CLASSES, a_phantom, embed_phantoms

REAL = [(label, number) for label in CLASSES for number in range(30)]


def the_anchor() -> Anchor:
    """Return the anchor of thirty phantoms a class, one a patient."""
    images = [a_phantom(label, number, 32) for label, number in REAL]
    return fit_anchor(embed_phantoms(images), [label for label, _ in REAL], [f"{label} {number}" for label, number in REAL])


def verdicts(number: int, seed: int, error: float = 0.05, generators: int = 1, is_random: bool = False) -> tuple[Judged, Any]:
    """Return judged candidates and whether each truly has a fault: half are good, a quarter shows the other class, a quarter is too bright."""
    random = np.random.default_rng(seed)
    images, labels, faults = [], [], []
    for place in range(number):
        label, fault = CLASSES[int(random.integers(2))], int(random.integers(4))
        image = a_phantom(CLASSES[1 - CLASSES.index(label)] if fault == 2 else label, 1000 * (seed + 1) + place, 32)
        images.append(np.clip(image.astype(int) + 70, 0, 255).astype(np.uint8) if fault == 3 else image)
        labels.append(label)
        faults.append(fault)
    has_fault = np.array(faults) > 1
    rejected = has_fault ^ (random.random(number) < error)
    if is_random:
        rejected = random.random(number) < 0.5
    names = {2: "wrong class", 3: "artefact"}
    reasons = tuple((names.get(fault, "poor quality"),) if bad else () for fault, bad in zip(faults, rejected, strict=True))
    made_by = tuple(f"generator {int(random.integers(generators))}" for _ in range(number))
    return Judged(embed_phantoms(images), tuple(labels), rejected, reasons, made_by), has_fault


def test_it_tells_what_experts_would_reject_on_candidates_that_it_never_saw() -> None:
    """Probabilities rank faults above good ones, are about right, and name the reason."""
    judged, _ = verdicts(160, seed=1)
    model = fit_reward(judged, the_anchor())
    assert model is not None
    fresh, has_fault = verdicts(120, seed=2)
    forecasts = model.judge(fresh.features, fresh.labels)
    said = np.array([forecast.reject_probability for forecast in forecasts])
    assert said[has_fault].mean() - said[~has_fault].mean() > 0.5
    assert calibration_error(said, fresh.rejected) < 0.15
    told = [forecast.reason == reasons[0] for forecast, reasons, bad in zip(forecasts, fresh.reasons, has_fault & fresh.rejected, strict=True) if bad]
    assert np.mean(told) > 0.8
    assert model.quality.auroc_low > 0.8
    assert model.quality.brier < model.quality.brier_of_share
    assert model.judge(fresh.features[:0], ()) == []


def test_verdicts_without_a_rule_teach_nothing() -> None:
    """The interval of the area holds .5, and the probabilities stay near the share, so nothing would be filtered."""
    judged, _ = verdicts(120, seed=3, is_random=True)
    model = fit_reward(judged, the_anchor())
    assert model is not None
    assert model.quality.auroc_low <= 0.5
    said = [forecast.reject_probability for forecast in model.judge(judged.features, judged.labels)]
    assert max(said) < 0.9


def test_folds_keep_generators_apart_where_there_are_three() -> None:
    """Else the patients that the candidates come closest to."""
    many, few = (fit_reward(verdicts(90, seed=4, generators=number)[0], the_anchor()) for number in (4, 2))
    assert many is not None
    assert few is not None
    assert (many.quality.grouped_by, few.quality.grouped_by) == ("generator", "nearest patient")


def test_the_same_image_in_two_folds_would_flatter() -> None:
    """Copies of one candidate with random verdicts come closest to one patient, so they stand in one fold and teach nothing about each other."""
    judged, _ = verdicts(40, seed=5, is_random=True)
    places = [place for place in range(40) for _ in range(4)]
    reasons, labels, made_by = ([part[place] for place in places] for part in (judged.reasons, judged.labels, judged.generators))
    copied = Judged(judged.features[places], tuple(map(str, labels)), judged.rejected[places], tuple(map(tuple, reasons)), tuple(map(str, made_by)))
    model = fit_reward(copied, the_anchor())
    assert model is not None
    assert model.quality.auroc < 0.75


def test_no_folds_no_model() -> None:
    """Verdicts of one kind, or all about one patient, cannot be learned from and measured."""
    judged, _ = verdicts(30, seed=6)
    assert fit_reward(judged._replace(rejected=np.ones(30, np.bool_)), the_anchor()) is None
    lone = Judged(np.repeat(judged.features[:1], 30, axis=0), judged.labels, judged.rejected, judged.reasons, judged.generators)
    assert fit_reward(lone, the_anchor()) is None


def test_a_reason_that_is_seldom_given_keeps_its_share() -> None:
    """Too few to learn: no area is claimed."""
    judged, _ = verdicts(80, seed=7)
    first = int(np.flatnonzero(judged.rejected)[0])
    reasons = tuple(("rare",) if place == first else given for place, given in enumerate(judged.reasons))
    model = fit_reward(judged._replace(reasons=reasons), the_anchor())
    assert model is not None
    assert (model.quality.reasons["rare"].images, model.quality.reasons["rare"].auroc) == (1, None)
    assert model.quality.reasons["wrong class"].auroc is not None


def test_the_worked_value_of_the_calibration_error_holds() -> None:
    """.45."""
    assert calibration_error(np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, False, True, True])) == pytest.approx(0.45)
