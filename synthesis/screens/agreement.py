"""Label fidelity: does a candidate show the class that it was made for?

An ensemble of linear probes, each fitted on another bootstrap sample of the real train *patients*, gives the probability of the wanted class. The mean decides;
how far the members differ says how sure they are. Its worth is counted on real val images: those of the class should pass, those of other classes,
offered as the class, are the planted fault and should be stopped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.screens.distances import Floats
from synthesis.screens.rates import Rate, rate

MEMBERS = 5
COMPONENTS = 64


@dataclass(frozen=True)
class AgreementScreen:
    """Tells how probable the wanted class is for an embedding: one probe a member, all of the same classes."""

    classes: tuple[str, ...]
    members: tuple[Any, ...]

    def probabilities(self, features: Floats, wanted: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return `(members, N)` probabilities of the wanted class of each row of `features`, `(N, F)`; 0 for a class that train lacks."""
        if not len(features):
            return np.empty((len(self.members), 0))
        places = {label: place for place, label in enumerate(self.classes)}
        known = np.array([places.get(label, -1) for label in wanted])
        rows = np.arange(len(features))
        return np.stack([np.where(known >= 0, member.predict_proba(features)[rows, known], 0.0) for member in self.members])

    def judge(self, features: Floats, wanted: Sequence[str], least: float) -> list[dict[str, Any]]:
        """Return, for each row, `passed` (mean probability at least `least`), `probability`, `spread` (standard deviation over members) and `least`."""
        given = self.probabilities(features, wanted)
        means, spreads = given.mean(axis=0).tolist(), given.std(axis=0).tolist()
        return [
            {"passed": mean >= least, "probability": round(mean, 4), "spread": round(spread, 4), "least": least}
            for mean, spread in zip(means, spreads, strict=True)
        ]


def fit_agreement(features: Floats, labels: Sequence[str], groups: Sequence[str], seed: int = 0) -> AgreementScreen:
    """Return the screen for real train images; each member standardises, projects (PCA) and fits a logistic regression that weighs classes equally.

    Args:
        features: `(N, F)` embeddings.
        labels: of at least two classes.
        groups: patient of each; a member sees patients drawn with replacement within each class, so every class is in every member.
        seed: of the draws.
    """
    named, patients, random = np.asarray(labels), np.asarray(groups), np.random.default_rng(seed)
    classes = tuple(str(label) for label in np.unique(named))
    members = tuple(_fit(features[rows], named[rows]) for rows in (_draw_patients(named, patients, random) for _ in range(MEMBERS)))
    return AgreementScreen(classes, members)


def _draw_patients(labels: npt.NDArray[np.str_], patients: npt.NDArray[np.str_], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the rows of a bootstrap sample of the patients of each class."""
    rows: list[int] = []
    for label in np.unique(labels):
        of_patient: dict[str, list[int]] = defaultdict(list)
        for row in np.flatnonzero(labels == label).tolist():
            of_patient[str(patients[row])].append(row)
        own = list(of_patient.values())
        rows += [row for place in random.integers(0, len(own), len(own)) for row in own[place]]
    return np.array(rows, np.int64)


def _fit(features: Floats, labels: npt.NDArray[np.str_]) -> Any:
    """Return one fitted member."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    distinct = len(np.unique(features, axis=0))
    parts = max(1, min(COMPONENTS, features.shape[1], distinct - 1))
    solver = "covariance_eigh" if len(features) > features.shape[1] else "full"
    regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    return make_pipeline(StandardScaler(), PCA(parts, svd_solver=solver), regression).fit(features.astype(np.float64), labels)


@dataclass(frozen=True)
class AgreementPower:
    """What the class screen is worth for one class, on real val images; None where val has none.

    Images of one patient are not independent; the intervals treat them so, and are too narrow where patients have several images.

    Attributes:
        label: class.
        passed: images of the class that pass.
        stopped: images of other classes, offered as the class, that are stopped.
    """

    label: str
    passed: Rate | None
    stopped: Rate | None


def measure_agreement(screen: AgreementScreen, features: Floats, labels: Sequence[str], wanted: str, least: float) -> AgreementPower:
    """Return the worth of the screen for a class on real images, `(N, F)` embeddings with their labels."""
    passes = [judged["passed"] for judged in screen.judge(features, [wanted] * len(features), least)]
    own = [label == wanted for label in labels]
    passed = rate(found for found, is_own in zip(passes, own, strict=True) if is_own)
    return AgreementPower(wanted, passed, rate(not found for found, is_own in zip(passes, own, strict=True) if not is_own))


def agreement_by_condition(conditions: Sequence[dict[str, str]], passed: Sequence[bool]) -> dict[str, Rate]:
    """Return how many candidates pass, by `column=value` of their conditions; a candidate counts for each of its columns."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for condition, outcome in zip(conditions, passed, strict=True):
        for column, value in sorted(condition.items()):
            outcomes[f"{column}={value}"].append(outcome)
    rates = {name: rate(found) for name, found in sorted(outcomes.items())}
    return {name: found for name, found in rates.items() if found is not None}
