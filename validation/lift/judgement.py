"""What the court says: estimates with intervals, one verdict a class and one overall, and what the images would cost elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Arm = Literal["real", "weighted", "logit_adjusted", "duplicated", "augmented", "smote", "unfiltered", "screened", "accepted"]
Schedule = Literal["none", "mix", "pretrain", "decay"]
Word = Literal["accept", "reject", "inconclusive"]
CostKind = Literal["class", "calibration", "subgroup"]
CONTROLS: tuple[Arm, ...] = ("real", "weighted", "logit_adjusted", "duplicated", "augmented", "smote")


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; None for what cannot be said."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class DosePoint:
    """One configuration on validation, for one class (`label` None: mean over the judged classes). Test is not in here.

    Attributes:
        schedule: "none" where nothing is added.
        dose: images added, as multiple of the class's real train images; for `logit_adjusted` the strength tau; 0 where nothing is added.
        auprc: mean over splits and seeds.
        gain: difference to training on real images only.
    """

    label: str | None
    arm: Arm
    schedule: Schedule
    dose: float
    auprc: float | None
    gain: Estimate


@dataclass(frozen=True)
class ArmResult:
    """One arm on test, as chosen on validation, for one class (`label` None: mean over the judged classes).

    Attributes:
        auprc: on real test patients.
        lift: the judged synthetic images minus this arm; above 0 the images win. Of the judged arm itself: 0.
        is_judged: whether this is the arm that the verdict is about.
    """

    label: str | None
    arm: Arm
    schedule: Schedule
    dose: float
    auprc: Estimate
    lift: Estimate
    is_judged: bool = False


@dataclass(frozen=True)
class Cost:
    """What the judged images change elsewhere on test, compared with training on real images only.

    Attributes:
        kind: `class` (AUPRC of another class), `calibration` (expected calibration error), `subgroup` (AUPRC of the judged class in a subgroup).
        name: the class, `ECE`, or `site=B`.
        change: positive is better, except for `calibration`, where it is worse.
        is_harm: shown, after correction for the number of places looked at, and at least as large as the recipe's limit.
        is_suspected: the same without the correction, which makes harm harder to show: enough to doubt, too little to reject.
    """

    kind: CostKind
    name: str
    change: Estimate
    is_harm: bool
    is_suspected: bool = False


@dataclass(frozen=True)
class Verdict:
    """The verdict on one class (`label` None: overall).

    Attributes:
        word: `accept`, `reject` or `inconclusive`.
        reason: one or two sentences.
        arm: the arm that was judged: `accepted` where experts were asked, else `screened`.
        schedule: as chosen on validation.
        dose: as chosen on validation.
        images: synthetic images of the class that may be used when the word is `accept`: dose x real train images.
        best_control: the control that the images had most trouble with.
        lift: judged minus `best_control`, on real test patients.
        source_auc: how well real and synthetic images of the class can be told apart; .5 is not at all.
        is_companion: too few images of the class for a dose of their own: they go with the batch, as a counter-weight.
        costs: what it would cost elsewhere.
    """

    label: str | None
    word: Word
    reason: str
    arm: Arm
    schedule: Schedule
    dose: float
    images: int
    best_control: Arm | None
    lift: Estimate
    source_auc: Estimate
    is_companion: bool = False
    costs: tuple[Cost, ...] = ()


@dataclass(frozen=True)
class ClassCount:
    """How many images and patients stand behind the numbers of one class, over all splits."""

    label: str
    train_images: int
    val_patients: int
    test_images: int
    test_patients: int
    synthetic: int
    screened: int
    accepted: int | None


@dataclass(frozen=True)
class Judgement:
    """Everything that the court found about one batch.

    Attributes:
        verdicts: one a class of the batch, then the overall one (`label` None).
        arms: every arm on test, for each class and overall: the forest plot.
        doses: every configuration on validation: the dose curve.
        counts: what stands behind it.
        splits: repeated splits that were pooled.
        seeds: trainings of each configuration in each split.
        notes: sentences about arms that were left out and sets that are too small.
        settings: the court's settings.
        seconds: wall time.
    """

    verdicts: tuple[Verdict, ...]
    arms: tuple[ArmResult, ...]
    doses: tuple[DosePoint, ...]
    counts: tuple[ClassCount, ...]
    splits: int
    seeds: int
    notes: tuple[str, ...]
    settings: dict[str, Any]
    seconds: float

    @property
    def overall(self) -> Verdict:
        """Return the verdict on the batch as a whole."""
        return self.verdicts[-1]

    def of(self, label: str) -> Verdict:
        """Return the verdict on one class of the batch."""
        return next(verdict for verdict in self.verdicts if verdict.label == label)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, ready for `json.dumps`."""
        return asdict(self)
