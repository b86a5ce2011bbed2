"""The arms of the court: what is added to the real train images, at the same count in every arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adaptation.probe import Projection, fit_projection
from validation.lift.cohort import Batch, Cohort
from validation.lift.judgement import Arm, Schedule
from validation.lift.student import Floats32, Pool, Rows, Training
from validation.recipe import LiftSettings

NEIGHBOURS = 5
"""Of SMOTE (Chawla et al. 2002)."""


class Configuration(NamedTuple):
    """One arm with its schedule and dose."""

    arm: Arm
    schedule: Schedule
    dose: float


@dataclass(frozen=True)
class Bench:
    """One split, ready to train on.

    Attributes:
        cohort: real images.
        batch: synthetic images.
        projection: standardisation and PCA of the real train images, divided by `scale`.
        scale: one number that makes the mean variance of the components 1.
        pool: real train images, then synthetic ones, then augmented ones; SMOTE's rows are appended for each seed.
        classes: names of all classes.
        synthetic: `(M,)` rows of the pool.
        augmented: `(A,)` rows of the pool.
    """

    cohort: Cohort
    batch: Batch
    projection: Projection
    scale: float
    pool: Pool
    classes: tuple[str, ...]
    synthetic: Rows
    augmented: Rows

    def project(self, features: Floats32) -> Floats32:
        """Return `(N, K)` of `(N, F)`."""
        projected: Floats32 = (self.projection.apply(features) / self.scale).astype(np.float32)
        return projected


def set_up(cohort: Cohort, batch: Batch, classes: tuple[str, ...], settings: LiftSettings) -> Bench:
    """Return one split with everything projected; standardisation and PCA are fitted on real train images."""
    train = cohort.on("train")
    projection = fit_projection(cohort.features[train], settings.pca)
    scale = float(np.sqrt(projection.apply(cohort.features[train]).var(axis=0).mean())) or 1.0
    parts, names = [cohort.features[train], batch.features], [cohort.labels[train], batch.labels]
    if cohort.augmented is not None:
        parts, names = [*parts, cohort.augmented.features], [*names, cohort.augmented.labels]
    features = (projection.apply(np.concatenate(parts)) / scale).astype(np.float32)
    codes = np.searchsorted(np.array(classes), np.concatenate(names)).astype(np.int64)
    pool = Pool(features, codes, len(train), len(classes))
    after = len(train) + len(batch.labels)
    return Bench(cohort, batch, projection, scale, pool, classes, np.arange(len(train), after), np.arange(after, len(features)))


def count_patients(benches: Sequence[Bench], side: str, label: str, subgroup: tuple[str, str] | None = None) -> int:
    """Return how many patients of a class one side has over all splits; with `subgroup`, a column and its value, those in it."""
    found: set[str] = set()
    for cohort in (bench.cohort for bench in benches):
        own = (cohort.split == side) & (cohort.labels == label)
        if subgroup is not None:
            own &= cohort.subgroups[subgroup[0]] == subgroup[1]
        found |= set(cohort.patients[own].tolist())
    return len(found)


def count_added(bench: Bench, dose: float) -> dict[int, int]:
    """Return how many images of each class a dose adds: dose x real train images, and never more than the batch holds.

    A class of which no image may be released is added in no arm: else the controls would add a class that the judged images lack.
    """
    made, releasable = bench.pool.codes[bench.synthetic], bench.batch.releasable()
    real, held = (np.bincount(codes, minlength=bench.pool.classes) for codes in (bench.pool.codes[: bench.pool.real], made))
    added = np.unique(made[releasable] if releasable.any() else made)
    return {code: min(max(1, round(dose * int(real[code]))), int(held[code])) for code in added.tolist()}


def distinct_doses(benches: Sequence[Bench], doses: Sequence[float]) -> list[float]:
    """Return the doses without those that add no more than the one before, because the batch has no more images."""
    kept: list[float] = []
    seen: list[list[dict[int, int]]] = []
    for dose in sorted(doses):
        counts = [count_added(bench, dose) for bench in benches]
        if counts not in seen:
            kept.append(dose)
            seen.append(counts)
    return kept


def list_arms(benches: Sequence[Bench]) -> tuple[list[Arm], dict[Arm, Arm]]:
    """Return the arms that add images, and those that need no training of their own because they hold the same images as another."""
    arms: list[Arm] = ["duplicated", "smote"]
    if all(bench.cohort.augmented is not None for bench in benches):
        arms.append("augmented")
    same: dict[Arm, Arm] = {}
    if all(bench.batch.screened.all() for bench in benches):
        same["unfiltered"] = "screened"
    else:
        arms.append("unfiltered")
    if any(bench.batch.accepted is None for bench in benches):
        return [*arms, "screened"], same
    if all((bench.batch.releasable() == bench.batch.screened).all() for bench in benches):
        return [*arms, "accepted"], dict.fromkeys((*same, "screened"), "accepted")
    return [*arms, "screened", "accepted"], same


def judged_arm(benches: Sequence[Bench]) -> Arm:
    """Return the arm that the verdict is about: what may be released at most."""
    return "screened" if any(bench.batch.accepted is None for bench in benches) else "accepted"


def list_configurations(arms: Sequence[Arm], doses: Sequence[float], settings: LiftSettings) -> list[Configuration]:
    """Return every configuration that is trained."""
    free = [Configuration("real", "none", 0.0), Configuration("weighted", "none", 0.0)]
    return [*free, *(Configuration(arm, schedule, dose) for arm in arms for schedule in settings.schedules for dose in doses)]


def with_smote(bench: Bench, most: dict[int, int], seed: int) -> tuple[Pool, dict[int, Rows]]:
    """Return the pool with interpolated real train images appended, and their rows by class.

    Each lies on the line between a random image of the class and one of its `NEIGHBOURS` nearest of the same class. A class with one image gives copies.

    Args:
        bench: one split.
        most: images of each class to make.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    rows: dict[int, Rows] = {}
    made, codes, start = [bench.pool.features], [bench.pool.codes], len(bench.pool.features)
    for code, number in most.items():
        own = bench.pool.features[: bench.pool.real][bench.pool.codes[: bench.pool.real] == code]
        first = random.integers(len(own), size=number)
        made.append(_interpolate(own, first, random))
        codes.append(np.full(number, code, np.int64))
        rows[code] = np.arange(start, start + number)
        start += number
    return Pool(np.concatenate(made), np.concatenate(codes), bench.pool.real, bench.pool.classes), rows


def _interpolate(own: Floats32, first: Rows, random: np.random.Generator) -> Floats32:
    """Return one point for each of the rows `first`, on the way to one of its nearest neighbours."""
    from sklearn.neighbors import NearestNeighbors

    if len(own) < 2:
        return own[first]
    near = min(NEIGHBOURS, len(own) - 1)
    neighbours = NearestNeighbors(n_neighbors=near).fit(own).kneighbors(return_distance=False)
    second = neighbours[first, random.integers(near, size=len(first))]
    way = random.random((len(first), 1)).astype(np.float32)
    mixed: Floats32 = own[first] + way * (own[second] - own[first])
    return mixed


def list_trainings(bench: Bench, configurations: Sequence[Configuration], settings: LiftSettings, seed: int, decay: float) -> tuple[Pool, list[Training]]:
    """Return the pool of one seed and one training for each configuration."""
    counts = {dose: count_added(bench, dose) for dose in sorted({configuration.dose for configuration in configurations}) if dose}
    most = {code: max(count[code] for count in counts.values()) for code in next(iter(counts.values()), {})}
    pool, smote = with_smote(bench, most, seed)
    orders = _order_rows(bench, smote, most, seed)
    trainings = []
    for arm, schedule, dose in configurations:
        added = [orders[arm][code][:number] for code, number in counts.get(dose, {}).items()] if arm in orders else []
        trainings.append(Training(np.concatenate([np.empty(0, np.int64), *added]), schedule, arm == "weighted", decay, settings.seed + seed))
    return pool, trainings


def _order_rows(bench: Bench, smote: dict[int, Rows], most: dict[int, int], seed: int) -> dict[Arm, dict[int, Rows]]:
    """Return the rows of each arm and class in the order in which doses take them; too few rows are taken again and again.

    The order is another one for each seed, so a lift is that of so many of the images that passed, whichever they are; the intervals hold that, too.
    """
    batch = bench.batch
    sources: dict[Arm, Rows] = {
        "duplicated": np.arange(bench.pool.real),
        "augmented": bench.augmented,
        "unfiltered": bench.synthetic,
        "screened": bench.synthetic[batch.screened],
        "accepted": bench.synthetic[batch.releasable()],
    }
    orders: dict[Arm, dict[int, Rows]] = {"smote": smote}
    for arm, rows in sources.items():
        codes = bench.pool.codes[rows]
        orders[arm] = {code: _repeat(rows[codes == code], number, seed) for code, number in most.items()}
    return orders


def _repeat(rows: Rows, number: int, seed: int) -> Rows:
    """Return `number` of the rows in random order, each as often as any other, up to one."""
    if not len(rows):
        return rows
    random = np.random.default_rng(seed)
    rounds: list[npt.NDArray[np.int64]] = [random.permutation(rows) for _ in range(-(-number // len(rows)))]
    return np.concatenate(rounds)[:number]
