"""Does harmonization do what it is for? How well a probe tells the site, and how well it tells the label, before and after, on held-out patients.

Each variant of the features (pixels as they came, harmonized pixels, with ComBat) gets its own probes, fitted on train, their strength chosen on val,
measured on real test patients. Lower is better for the site, higher for the label. `label within sites` is the label among images of one site only: a
site that decides the label cannot help there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from adaptation.encoders import Features
from adaptation.evaluate import resampled
from adaptation.metrics import LEAST_PATIENTS, Floats, auroc, balanced_accuracy, macro
from adaptation.probe import Labels, Part, Probabilities, choose_strength, fit_probe, fit_projection
from adaptation.recipe import FinetuneSettings
from adaptation.site_correction import fit_correction, sites_of
from curation.confounding import WARN_FROM, find_empty_pairs, tie
from curation.errors import UsageError
from curation.resampling import interval, resample_patients

Target = Literal["site", "label", "label within sites"]
Triple = tuple[float | None, float | None, float | None]
PLAIN, HARMONIZED = "plain pixels", "harmonized pixels"
COMBAT = f"{HARMONIZED} + ComBat"
ENOUGH_PATIENTS = 30
MOST_NAMED = 3


@dataclass(frozen=True)
class Effect:
    """How well a probe tells `target` from the features of one variant.

    Attributes:
        auroc: macro AUROC with its 95 % interval over patients; .5 is chance.
        balanced_accuracy: with its interval; chance is 1 / number of classes.
        change: AUROC minus that of the variant before, paired over the same resampled patients; None for the first.
    """

    target: Target
    variant: str
    classes: int
    auroc: Triple
    balanced_accuracy: Triple
    change: Triple | None


@dataclass(frozen=True)
class SiteProof:
    """What one task of a cohort shows. `verdicts` says it in sentences, `warnings` what speaks against believing them."""

    task: str
    column: str
    label_column: str
    sites: dict[str, int]
    labels: dict[str, int]
    train_images: int
    test_images: int
    test_patients: int
    cramers_v: float
    effects: tuple[Effect, ...] = ()
    verdicts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Cohort:
    """Rows that state site and label, the features of each variant in their order, and which rows are train, val and test."""

    rows: pl.DataFrame
    variants: dict[str, Features]
    sites: Labels
    labels: Labels
    patients: Labels
    settings: FinetuneSettings

    def side(self, name: str) -> npt.NDArray[np.bool_]:
        return (self.rows["split"] == name).fill_null(False).to_numpy()


def prove_task(task: str, rows: pl.DataFrame, variants: dict[str, Features], label: str, settings: FinetuneSettings) -> SiteProof:
    """Measure one task.

    Args:
        task: its name.
        rows: N real rows; those without site, label or split are left out.
        variants: `(N, F)` features of each variant, in the order of the steps of harmonization; ComBat on the last of them is added here. Without
            any, the answer only counts, and warns when nothing could be measured.
        label: column of what must survive.
        settings: of the probes and of ComBat; `combat` names the column of the site (`off` is read as `site`).
    """
    column = "site" if settings.combat == "off" else settings.combat
    renamed = rows.with_columns(label=pl.col(label))
    stated = (pl.col(column).is_not_null() & pl.col("label").is_not_null() & pl.col("split").is_in(["train", "val", "test"])).fill_null(False)
    mask = renamed.select(stated).to_series().to_numpy()
    kept = _drop_rare(renamed.filter(mask), column, settings.least_train_images)
    chosen = mask.copy()
    chosen[mask] = kept
    rows = renamed.filter(chosen)
    cohort = _Cohort(
        rows,
        {name: features[chosen] for name, features in variants.items()},
        sites_of(rows, column),
        sites_of(rows, "label"),
        np.array(rows.select(pl.coalesce("group_id", "patient_id")).to_series().to_list(), np.str_),
        settings,
    )
    return _measure(task, column, label, cohort)


def _drop_rare(rows: pl.DataFrame, column: str, least: int) -> npt.NDArray[np.bool_]:
    """Return which rows have a site and a label with at least `least` train images each; a probe cannot learn the others."""
    enough = [(rows.filter(split="train")[name].value_counts().filter(pl.col("count") >= least)[name]).to_list() for name in (column, "label")]
    return (rows[column].is_in(enough[0]) & rows["label"].is_in(enough[1])).to_numpy()


def _measure(task: str, column: str, label: str, cohort: _Cohort) -> SiteProof:
    test = cohort.side("test")
    patients = len(np.unique(cohort.patients[test]))
    v, _ = tie(cohort.rows, column, "label")
    counted = [dict(cohort.rows[name].value_counts().sort(name).iter_rows()) for name in (column, "label")]
    about: dict[str, Any] = {"task": task, "column": column, "label_column": label, "sites": counted[0], "labels": counted[1]}
    about |= {"train_images": int(cohort.side("train").sum()), "test_images": int(test.sum()), "test_patients": patients, "cramers_v": round(v, 4)}
    reason = _why_not(cohort, counted[0], counted[1])
    if reason is not None or not cohort.variants:
        return SiteProof(**about, warnings=(reason,) if reason else ())
    warnings = _warn(cohort.rows, column, label, patients)
    try:
        corrected = fit_correction(cohort.rows, list(cohort.variants.values())[-1], cohort.settings).apply(cohort.rows, list(cohort.variants.values())[-1])
        cohort.variants[COMBAT] = corrected
    except UsageError as error:
        warnings.append(f"no ComBat: {error}")
    effects = _effects(cohort)
    return SiteProof(**about, effects=effects, verdicts=tuple(judge(effects, column, label)), warnings=tuple(warnings))


def _why_not(cohort: _Cohort, sites: dict[str, int], labels: dict[str, int]) -> str | None:
    """Return why nothing can be measured, or None."""
    if len(sites) < 2:
        return "fewer than two sites have enough labelled train images: nothing to compare"
    if len(labels) < 2:
        return "fewer than two labels have enough train images: there is nothing whose harm could be measured"
    if len(np.unique(cohort.sites[cohort.side("test")])) < 2:
        return "the test patients come from fewer than two sites: nothing to measure on"
    return None


def _warn(rows: pl.DataFrame, column: str, label: str, patients: int) -> list[str]:
    """Return what speaks against believing the numbers: a site that is tied to the label, few test patients."""
    warnings = []
    v, pair = tie(rows, column, "label")
    missing = [f"no {name} at {value}, where {expected:.0f} patients were expected" for name, value, expected in find_empty_pairs(rows, column, "label")]
    if v >= WARN_FROM or missing:
        why = [f"Cramér's V {v:.2f}", f"most over-represented: {pair[0]} at {pair[1]}", *missing[:MOST_NAMED]]
        warnings.append(
            f"{column} and {label} are confounded ({'; '.join(why)}): the label probe may be reading the {column}, and taking the {column} away may take the "
            f"{label} with it. Believe only “label within sites”"
        )
    if patients < ENOUGH_PATIENTS:
        warnings.append(f"{patients} test patients: the intervals are wide, and a harm that is not shown may still be there")
    return warnings


def _effects(cohort: _Cohort) -> tuple[Effect, ...]:
    """Return the effects of all variants on all targets."""
    test = cohort.side("test")
    weights = resample_patients(cohort.patients[test], cohort.settings.bootstrap, cohort.settings.seed).astype(np.uint16)
    found: list[Effect] = []
    scores = {(target, name): _predict(cohort, features, target) for name, features in cohort.variants.items() for target in ("site", "label")}
    targets: tuple[Target, ...] = ("site", "label", "label within sites")
    for target in targets:
        before: tuple[Floats, Floats] | None = None
        for name in cohort.variants:
            probabilities, classes = scores["site" if target == "site" else "label", name]
            truth = (cohort.sites if target == "site" else cohort.labels)[test]
            groups = cohort.sites[test] if target == "label within sites" else np.full(len(truth), "")
            effect, before = _effect(target, name, probabilities, truth, classes, groups, weights, before)
            found.append(effect)
    return tuple(effect for effect in found if effect.auroc[0] is not None)


def _predict(cohort: _Cohort, features: Features, target: str) -> tuple[Probabilities, tuple[str, ...]]:
    """Return the probabilities of the test images from a probe that was fitted on train and tuned on val."""
    truth = cohort.sites if target == "site" else cohort.labels
    train, val, test = (Part(features[mask], truth[mask], cohort.patients[mask]) for mask in map(cohort.side, ("train", "val", "test")))
    classes = tuple(np.unique(train.labels).tolist())
    projection = fit_projection(train.features, cohort.settings.pca)
    choice = choose_strength(train, val, classes, projection, cohort.settings.strengths, cohort.settings.seed)
    return fit_probe(train.features, train.labels, classes, projection, choice.strength).predict(test.features), classes


def _effect(
    target: Target,
    variant: str,
    probabilities: Probabilities,
    truth: Labels,
    classes: tuple[str, ...],
    groups: Labels,
    weights: npt.NDArray[Any],
    before: tuple[Floats, Floats] | None,
) -> tuple[Effect, tuple[Floats, Floats]]:
    """Return one effect, and its AUROC with all resamples for the difference to the next one."""

    def area(weight: npt.NDArray[Any] | None) -> Floats:
        return grouped_auroc(truth, probabilities, classes, groups, weight)

    codes, guessed = np.searchsorted(classes, truth), probabilities.argmax(1)

    def accuracy(weight: npt.NDArray[Any] | None) -> Floats:
        return balanced_accuracy(codes, guessed, weight)

    now = (area(None), resampled(area, weights))
    change = _triple(now[0] - before[0], now[1] - before[1]) if before else None
    right = (None, None, None) if target == "label within sites" else _triple(accuracy(None), resampled(accuracy, weights))
    return Effect(target, variant, len(classes), _triple(*now), right, change), now


def grouped_auroc(truth: Labels, probabilities: Probabilities, classes: tuple[str, ...], groups: Labels, weight: npt.NDArray[Any] | None = None) -> Floats:
    """Macro AUROC within each group, averaged over the groups in which two classes occur; every group counts the same.

    Range and direction are those of AUROC. With one group it is the plain macro AUROC. NaN when no group has two classes.

    Worked value: group 1 has labels a, b with P(a) = .9, .2 (AUROC 1), group 2 has a, b with P(a) = .5, .6 (AUROC 0): .5, though all four together give .75.

    Args:
        truth: `(N,)` labels.
        probabilities: `(N, C)`, columns in the order of `classes`.
        classes: sorted names of the C classes.
        groups: `(N,)`, e.g. the site of each image.
        weight: `(..., N)`.
    """
    areas = []
    for group in np.unique(groups):
        inside = groups == group
        own = None if weight is None else weight[..., inside]
        shown = [place for place, name in enumerate(classes) if 0 < (truth[inside] == name).sum() < inside.sum()]
        if shown:
            areas.append(macro([auroc(truth[inside] == classes[place], probabilities[inside, place], own) for place in shown]))
    shape = () if weight is None else weight.shape[:-1]
    return macro(areas) if areas else np.full(shape, np.nan)


def _triple(value: Floats, draws: Floats) -> Triple:
    if not np.isfinite(value):
        return (None, None, None)
    bounds = interval(draws) if len(draws) >= LEAST_PATIENTS else None
    return (round(float(value), 4), *((round(bounds[0], 4), round(bounds[1], 4)) if bounds else (None, None)))


def judge(effects: tuple[Effect, ...], column: str, label: str) -> list[str]:
    """Return what the paired changes say, one sentence each; a change is claimed only when its interval leaves out 0."""
    before: dict[str, Effect] = {}
    said = []
    for effect in effects:
        was, before[effect.target] = before.get(effect.target), effect
        change, low, high = effect.change or (None, None, None)
        if was is None or change is None or low is None or high is None:
            continue
        what = f"the {column}" if effect.target == "site" else effect.target.replace("label", f"the label ({label})" if label != "label" else "the label", 1)
        numbers = f"AUROC {was.auroc[0]:.3f} → {effect.auroc[0]:.3f}, change {change:+.3f} ({low:+.3f} to {high:+.3f})"
        said.append(f"{was.variant} → {effect.variant}: {what} {_word(effect, low, high)}; {numbers}")
    return said


def _word(effect: Effect, low: float, high: float) -> str:
    """Return what a change of AUROC with this interval says."""
    if effect.target != "site":
        return "is HURT" if high < 0 else "is told better" if low > 0 else "is not shown to be hurt"
    still = " but still told" if (effect.auroc[1] or 0) > 0.5 else " and not shown to be told any more"
    return f"is told less well,{still}" if high < 0 else "is told BETTER" if low > 0 else "is not shown to be told less well"
